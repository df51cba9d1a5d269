"""Random operations: each comes to the same bytes by plan and by graphql-core.

Some are drawn by hypothesis-graphql, which takes its time; our own have what those do not: named
fragments, merged fields, directives and variables. JUDGED in the environment is how many there
are to be of either sort; `make judge` takes 5,000.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator

import orjson
import pytest
import strawberry
from graphql import OperationType
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from resolvers.principal import Principal
from schema.categories import Category
from schema.orders import Order
from schema.products import Product
from schema.query import Query
from schema.reviews import Review
from schema.scalars import SCALARS
from schema.users import User
from tests.unit.schema.execution.drawn import drawn
from tests.unit.schema.execution.judge import ANYONE, CUSTOMER, SCHEMA, STAFF, Judge, ids
from tests.unit.schema.execution.operations import OperationMaker

CHUNKS = 4
JUDGED = int(os.environ.get("JUDGED", "0")) // CHUNKS
OURS, DRAWN = JUDGED or 250, JUDGED or 25  # in a chunk
MUTATIONS = OURS // 5
CALLERS = (ANYONE, CUSTOMER, STAFF, STAFF)
CURSORS = "{ products(first: 2) { edges { cursor } } }"


@strawberry.type
class Mutation(Query):
    """What can be read, as the answers of mutations: one after another, by loaders they share."""


MUTATING = strawberry.Schema(
    Query,
    Mutation,
    types=[User, Category, Product, Order, Review],
    config=StrawberryConfig(scalar_map=SCALARS),
)

pytestmark = [
    # graphql-core leaves behind some of what it cancels.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.parametrize("chunk", range(CHUNKS)),
]


@pytest.fixture(autouse=True)
def nothing_is_logged() -> Iterator[None]:
    """Of defects, which are meant to be here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def test_a_plan_answers_as_graphql_core_does(chunk: int) -> None:
    judge = Judge()
    cursors = await _cursors(judge)
    for number in range(chunk * OURS, (chunk + 1) * OURS):
        maker = OperationMaker(SCHEMA._schema, ids(), cursors, number)
        query = maker.make()
        # One in twenty shows that what is made is valid.
        await judge.agree(query, maker.variables, CALLERS[number % 4], valid=number % 20 > 0)
    _weigh(judge, OURS)


async def test_a_mutation_answers_as_graphql_core_does_whatever_it_selects(chunk: int) -> None:
    judge = Judge(MUTATING)
    cursors = await _cursors(judge)
    for number in range(chunk * MUTATIONS, (chunk + 1) * MUTATIONS):
        maker = OperationMaker(MUTATING._schema, ids(), cursors, number)
        query = maker.make(OperationType.MUTATION)
        await judge.agree(query, maker.variables, CALLERS[number % 4], valid=number % 20 > 0)
    assert judge.ended["planned"] > MUTATIONS * 0.4
    assert judge.ended["Unfit"] > judge.ended["needless"]


def test_a_plan_answers_as_graphql_core_does_whatever_hypothesis_draws(chunk: int) -> None:
    judge = Judge()
    with asyncio.Runner() as runner:

        @seed(chunk)
        @settings(
            max_examples=DRAWN,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn(runner.run(_cursors(judge))), st.sampled_from(CALLERS))
        def agree(query: str, caller: Principal) -> None:
            runner.run(judge.agree(query, None, caller))

        agree()
    _weigh(judge, DRAWN)


async def _cursors(judge: Judge) -> list[str]:
    [page, _] = orjson.loads(await judge.agree(CURSORS))
    return [edge["cursor"] for edge in page["products"]["edges"]] + ["nonsense"]


def _weigh(judge: Judge, number: int) -> None:
    """Many are planned and end well, many come upon errors, and few are given up for nothing."""
    ended = judge.ended
    assert ended["planned"] > number * 0.3
    assert ended["Unfit"] > number * 0.2
    # Of few operations one sort of error can be most of what is met.
    if number >= 100:
        assert ended["same errors"] > ended["Unfit"] * 0.6
    assert ended["needless"] < number * 0.05 + 1
    assert ended["NotPlanned"] == 0
