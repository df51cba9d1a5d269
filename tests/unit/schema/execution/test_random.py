"""Thousands of random operations: each comes to the same bytes by plan and by graphql-core."""

from __future__ import annotations

import logging
from collections import Counter

import orjson
import pytest

from tests.unit.schema.execution.judge import ANYONE, CUSTOMER, SCHEMA, STAFF, Judge, ids
from tests.unit.schema.execution.operations import OperationMaker

CHUNKS, OPERATIONS = 6, 250
CURSORS = "{ products(first: 2) { edges { cursor } } }"


# graphql-core leaves behind some of what it cancels.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_a_plan_answers_as_graphql_core_does(chunk: int) -> None:
    logging.disable(logging.CRITICAL)  # of defects, which are meant to be here
    try:
        ended = await _judged(chunk)
    finally:
        logging.disable(logging.NOTSET)
    # Many are planned and end well, many come upon errors, and few are given up for nothing.
    assert ended["planned"] > OPERATIONS * 0.4
    assert ended["Unfit"] > OPERATIONS * 0.2
    assert ended["same errors"] > ended["Unfit"] * 0.8
    assert ended["needless"] < OPERATIONS * 0.05
    assert ended["NotPlanned"] == 0


async def _judged(chunk: int) -> Counter[str]:
    judge = Judge()
    [page, _] = orjson.loads(await judge.agree(CURSORS))
    cursors = [edge["cursor"] for edge in page["products"]["edges"]] + ["nonsense"]
    for number in range(chunk * OPERATIONS, (chunk + 1) * OPERATIONS):
        maker = OperationMaker(SCHEMA._schema, ids(), cursors, number)
        query = maker.make()
        principal = (ANYONE, CUSTOMER, STAFF, STAFF)[number % 4]
        # One in twenty shows that what is made is valid.
        await judge.agree(query, maker.variables, principal, valid=number % 20 > 0)
    return judge.ended
