"""The servers that are compared with serve a part of the schema, and the same part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import graphql
import pytest
from graphql import GraphQLEnumType, GraphQLNamedType, GraphQLSchema

from bench.peers.straightforward.schema import build_schema as build_straightforward
from bench.shelf import stock
from bench.workloads import EVENT, workloads
from schema.build import build_schema

NODE = Path(__file__).parents[3] / "bench" / "peers" / "node" / "shop.graphql"
Facts = set[tuple[str, ...]]


@pytest.fixture(scope="module")
def node() -> GraphQLSchema:
    return graphql.build_schema(NODE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def straightforward() -> GraphQLSchema:
    return graphql.build_schema(build_straightforward().as_str())


@pytest.fixture(scope="module")
def ours() -> GraphQLSchema:
    return graphql.build_schema(build_schema().as_str())


def facts(schema: GraphQLSchema) -> Facts:
    own = (kind for name, kind in schema.type_map.items() if not name.startswith("__"))
    return {fact for kind in own for fact in _facts_of(kind)}


def _facts_of(kind: GraphQLNamedType) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, GraphQLEnumType):
        yield from ((kind.name, value) for value in kind.values)
    for name, field in getattr(kind, "fields", {}).items():
        yield kind.name, name, str(field.type)
        yield from ((kind.name, name, argument) for argument in getattr(field, "args", {}))


def test_all_peers_serve_the_same(node: GraphQLSchema, straightforward: GraphQLSchema) -> None:
    assert facts(straightforward) == facts(node)


def test_peers_serve_a_part_of_what_the_service_serves(
    node: GraphQLSchema, ours: GraphQLSchema
) -> None:
    assert facts(node) <= facts(ours)


def test_every_schema_has_what_the_workloads_ask_for(
    node: GraphQLSchema, ours: GraphQLSchema
) -> None:
    for query in (*(one.query for one in workloads(stock())), EVENT):
        document = graphql.parse(query)
        assert graphql.validate(node, document) == []
        assert graphql.validate(ours, document) == []
