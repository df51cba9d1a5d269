"""Arguments that are what a variable is: which are, and that all come to what they are."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
import strawberry
from graphql import FieldNode, OperationDefinitionNode, get_variable_values, parse
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from schema.execution.arguments import direct_arguments
from schema.execution.plan import Resolving


@strawberry.enum
class Shade(Enum):
    LIGHT = "light"


@strawberry.input
class Place:
    x: int


@strawberry.type
class Query:
    @strawberry.field
    def found(
        self,
        id: strawberry.ID | None = strawberry.UNSET,
        shade_of: Shade | None = strawberry.UNSET,
        ids: list[strawberry.ID] | None = strawberry.UNSET,
        place: Place | None = strawberry.UNSET,
    ) -> str:
        return f"{id} {shade_of} {ids} {place}"

    @strawberry.field
    def counted(self, first: int = 20, name: str | None = None) -> str:
        return f"{first} {name}"

    @strawberry.field
    def plain(self) -> str:
        return ""


SCHEMA = strawberry.Schema(Query)
CONVERTER = SCHEMA.schema_converter


def resolving(text: str) -> tuple[Resolving, OperationDefinitionNode]:
    """The only field of an operation, as a plan has it."""
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    [node] = operation.selection_set.selections
    assert isinstance(node, FieldNode)
    root = SCHEMA._schema.query_type
    assert root is not None
    definition = root.fields[node.name.value]
    field = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    assert isinstance(field, StrawberryField)
    direct = direct_arguments(node, definition, field, CONVERTER)
    return Resolving("found", node, definition, field, direct), operation


@pytest.mark.parametrize(
    ("text", "variables", "fixed"),
    [
        ("query($a: ID) { found(id: $a) }", {"id": "a"}, {}),
        (
            "query($a: ID, $b: Shade) { found(id: $a, shadeOf: $b) }",
            {"id": "a", "shade_of": "b"},
            {},
        ),
        (
            "query($a: ID) { found(id: $a, shadeOf: LIGHT) }",
            {"id": "a"},
            {"shade_of": Shade.LIGHT},
        ),
        (
            "query($a: ID) { found(id: $a, place: { x: 1 }, ids: [2]) }",
            {"id": "a"},
            {"place": Place(x=1), "ids": ["2"]},
        ),
        (
            "query($a: Int!, $b: ID) { counted(first: $a, name: $b) }",
            {"first": "a", "name": "b"},
            {},
        ),
        ("query($b: String) { counted(name: $b) }", {"name": "b"}, {"first": 20}),
        ("{ counted(name: null) }", {}, {"first": 20, "name": None}),
        ("{ plain }", {}, {}),
    ],
)
def test_arguments_are_direct_where_each_is_a_variable_of_a_leaf_type_or_has_none(
    text: str, variables: dict[str, str], fixed: dict[str, Any]
) -> None:
    found, _ = resolving(text)
    assert found.direct == (variables, fixed)


@pytest.mark.parametrize(
    "text",
    [
        "query($a: [ID!]) { found(ids: $a) }",
        "query($a: ID!) { found(ids: [$a]) }",
        "query($a: Place) { found(place: $a) }",
        "query($a: Int!) { found(place: { x: $a }) }",
    ],
)
def test_they_are_not_where_a_variable_is_or_is_in_a_list_or_an_object(text: str) -> None:
    found, _ = resolving(text)
    assert found.direct is None


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("query($a: ID, $b: Shade) { found(id: $a, shadeOf: $b) }", {"a": "x", "b": "LIGHT"}),
        ("query($a: ID, $b: Shade) { found(id: $a, shadeOf: $b) }", {"a": None, "b": "LIGHT"}),
        ("query($a: ID, $b: Shade) { found(id: $a, shadeOf: $b) }", {"b": "LIGHT"}),
        ("query($a: ID = 7) { found(id: $a) }", {}),
        ("query($a: ID) { found(id: $a, shadeOf: LIGHT, ids: [1, 2], place: { x: 3 }) }", {"a": 1}),
        ("query($a: String) { counted(name: $a) }", {"a": "x"}),
        ("query($a: String) { counted(name: $a) }", {}),
        ("{ counted }", {}),
        ("query($a: Int! = 3, $b: String) { counted(first: $a, name: $b) }", {"b": ""}),
        ("query($a: Int! = 3, $b: String) { counted(first: $a, name: $b) }", {"a": 0, "b": None}),
    ],
)
def test_they_come_to_what_they_come_to_the_long_way(text: str, given: dict[str, Any]) -> None:
    found, operation = resolving(text)
    values = get_variable_values(SCHEMA._schema, operation.variable_definitions or (), given)
    assert not isinstance(values, list)
    long_way = Resolving(found.key, found.node, found.definition, found.field)
    assert found.direct
    assert found.arguments(CONVERTER, values) == long_way.arguments(CONVERTER, values)
