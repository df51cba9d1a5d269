"""The exported schema: committed as it is, and no less than clients may rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLSchema, assert_valid_schema, build_schema
from graphql.utilities import find_breaking_changes

from schema.build import export_sdl

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "schema" / "schema.graphql"
CONTRACT = ROOT / "tests" / "support" / "contract.graphql"


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    return build_schema(CONTRACT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def exported() -> GraphQLSchema:
    return build_schema(export_sdl())


def test_the_committed_schema_is_what_the_code_exports() -> None:
    same = COMMITTED.read_text(encoding="utf-8") == export_sdl()

    assert same, "schema/schema.graphql is out of date: cartograph schema > schema/schema.graphql"


def test_the_exported_schema_is_valid(exported: GraphQLSchema) -> None:
    assert_valid_schema(exported)


def test_nothing_of_the_contract_is_missing_or_weakened(
    contract: GraphQLSchema, exported: GraphQLSchema
) -> None:
    changes = find_breaking_changes(contract, exported)

    assert [change.description for change in changes] == []


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("inStock: Boolean!", ""),
        ("inStock: Boolean!", "inStock: Boolean"),
        ("inStock: Boolean!", "inStock: Int!"),
        ("REFUNDED", ""),
        ("(id: ID!)", "(id: ID!, extra: Int!)"),
        ("implements Node", ""),
    ],
)
def test_what_would_break_clients_is_noticed(
    contract: GraphQLSchema, what: str, instead: str
) -> None:
    sdl = export_sdl()
    assert what in sdl
    broken = build_schema(sdl.replace(what, instead), assume_valid=True, assume_valid_sdl=True)

    assert find_breaking_changes(contract, broken)
