"""Answers by plan that are held against graphql-core's while the service runs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from graphql import OperationDefinitionNode, get_operation_ast, parse

from schema.execution import Checks

QUERY = "query Shelf($secret: ID!) { product(id: $secret) { name } }"
DOCUMENT = parse(QUERY)


def definition(query: str = QUERY) -> OperationDefinitionNode:
    found = get_operation_ast(parse(query))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("share", "drawn", "due"),
    [(0, 0.0, False), (0.25, 0.2, True), (0.25, 0.25, False), (1, 0.999, True)],
)
def test_a_share_of_the_answers_is_due(share: float, drawn: float, due: bool) -> None:
    assert Checks(share, lambda: drawn).is_due() is due


@pytest.mark.parametrize(
    ("expected", "alike"),
    [
        ({"a": 1, "b": 2}, True),
        ({"b": 2, "a": 1}, False),  # an answer is in the order of its document
        ({"a": 1, "b": 2.0}, False),
        (None, False),
    ],
)
def test_answers_are_compared_byte_for_byte(expected: dict[str, Any] | None, alike: bool) -> None:
    checks = Checks(1, lambda: 0.0)

    checks.compare({"a": 1, "b": 2}, expected, DOCUMENT, definition())

    assert (checks.alike, checks.different) == (int(alike), int(not alike))


def test_the_log_names_the_operation_and_tells_no_data(caplog: pytest.LogCaptureFixture) -> None:
    Checks(1, lambda: 0.0).compare({"a": "private"}, {"a": "other"}, DOCUMENT, definition())

    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "operation Shelf" in record.getMessage()
    assert hashlib.sha256(QUERY.encode()).hexdigest() in record.getMessage()
    assert "private" not in caplog.text
    assert "other" not in caplog.text


def test_an_operation_without_a_name_is_told_by_its_document(
    caplog: pytest.LogCaptureFixture,
) -> None:
    query = '{ userByEmail(email: "ノート") { id } }'

    Checks(1, lambda: 0.0).compare({}, None, parse(query), definition(query))

    assert hashlib.sha256(query.encode()).hexdigest() in caplog.text
