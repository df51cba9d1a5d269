"""Variables that come as what they are, and all others, are what graphql-core makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import (
    GraphQLError,
    OperationDefinitionNode,
    build_schema,
    get_variable_values,
    parse,
)
from graphql.execution.values import VariableValues

from schema.operations.variables import VariableBook

SCHEMA = build_schema(
    """
    input Range { low: Int, high: Int = 9 }
    enum Order { UP DOWN }
    type Query { all(id: ID, text: String, size: Int, share: Float, in: Range, by: Order,
      ids: [ID!]): Int }
    """
)
BOOK = VariableBook(SCHEMA, suggests=False)


def operation(declared: str) -> OperationDefinitionNode:
    [node] = parse(f"query {declared} {{ all }}").definitions
    assert isinstance(node, OperationDefinitionNode)
    return node


def told(found: VariableValues | list[GraphQLError]) -> object:
    """What was found, types by their names."""
    if isinstance(found, list):
        return [str(error) for error in found]
    sources = {
        name: (source.signature.name, str(source.signature.type), source.value)
        for name, source in found.sources.items()
    }
    return sources, found.coerced


def library(node: OperationDefinitionNode, given: dict[str, Any]) -> object:
    variables = node.variable_definitions or ()
    found = get_variable_values(SCHEMA, variables, given, max_errors=10, hide_suggestions=True)
    return told(found)


def ours(book: VariableBook, node: OperationDefinitionNode, given: dict[str, Any]) -> object:
    return told(book.coerce(node, given))


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ("", {}),
        ("", {"more": 1}),
        ("($id: ID!)", {"id": "x"}),
        ("($id: ID!)", {"id": "x", "more": 1}),
        ("($id: ID!)", {"id": 7}),
        ("($id: ID!)", {"id": 7.5}),
        ("($id: ID!)", {"id": None}),
        ("($id: ID!)", {}),
        ("($id: ID)", {}),
        ("($id: ID)", {"id": None}),
        ('($id: ID = "x")', {}),
        ('($id: ID = "x")', {"id": None}),
        ("($text: String!, $size: Int)", {"text": "", "size": 5}),
        ("($text: String!, $size: Int)", {"text": ["x"], "size": 5}),
        ("($size: Int!)", {"size": True}),
        ("($size: Int!)", {"size": 5.0}),
        ("($size: Int!)", {"size": 2**31 - 1}),
        ("($size: Int!)", {"size": 2**31}),
        ("($size: Int!)", {"size": -(2**31)}),
        ("($size: Int!)", {"size": -(2**31) - 1}),
        ("($share: Float)", {"share": 1}),
        ("($in: Range, $id: ID)", {"in": {"low": 1}, "id": "x"}),
        ("($by: Order)", {"by": "UP"}),
        ("($by: Order)", {"by": "ASIDE"}),
        ("($ids: [ID!])", {"ids": "x"}),
        ("($id: Nothing)", {"id": "x"}),
    ],
)
def test_values_and_faults_are_those_of_the_library(declared: str, given: dict[str, Any]) -> None:
    node = operation(declared)
    for _ in range(2):  # the second time from what it remembers
        assert ours(BOOK, node, given) == library(node, given)


def test_more_operations_than_are_remembered_are_still_coerced() -> None:
    book = VariableBook(SCHEMA, suggests=False)
    nodes = [operation("($id: ID!)") for _ in range(1_100)]
    for node in nodes:
        assert ours(book, node, {"id": "x"}) == library(node, {"id": "x"})


def test_a_forgotten_operation_is_learned_anew() -> None:
    node = operation("($id: ID!)")
    ours(BOOK, node, {"id": "x"})
    BOOK.forget(node)
    assert ours(BOOK, node, {"id": "y"}) == library(node, {"id": "y"})
