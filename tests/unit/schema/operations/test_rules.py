"""Whether a document may run: its limits, and what is said where introspection is off."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_introspection_query,
    parse,
    specified_rules,
)
from graphql.validation import MaxIntrospectionDepthRule

from schema.build import build_schema
from schema.errors import told
from schema.limits import Limits
from schema.operations.operation import Executor, Refused
from schema.operations.rules import excesses, rules
from tests.unit.schema.hostile import documents

SHOP = build_schema()
NONE = Limits(
    depth=0, aliases=0, fields=0, directives=0, introspection_depth=0, introspection_fields=0
)
OPEN = Executor(SHOP, limits=Limits(), introspection=True)
SHY = Executor(SHOP, limits=Limits(), introspection=False)
HOSTILE = dict(documents())


def figures(query: str) -> dict[str, Any]:
    """Each figure of a document that is over a limit of zero."""
    found: dict[str, Any] = {}
    for error in excesses(parse(query), NONE):
        told = dict(error.extensions or {})
        assert told.pop("code") == "QUERY_TOO_COMPLEX"
        assert told.pop("limit") == 0
        [(name, figure)] = told.items()
        assert str(figure) in error.message
        found[name] = figure
    return found


def limited(**limits: int) -> Executor:
    return Executor(SHOP, limits=Limits(**limits), introspection=True)


def refused(query: str, executor: Executor) -> list[dict[str, Any]]:
    with pytest.raises(Refused) as caught:
        executor.prepare(query, None, {})
    return told(caught.value.errors, "r")


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ viewer { id } }", {"depth": 2, "fields": 2}),
        ("{ viewer { ... { ... on User { id } } } }", {"depth": 2, "fields": 2}),
        ("{ a: viewer { b: id c: id id } }", {"depth": 2, "fields": 4, "aliases": 3}),
        ("{ ...F } fragment F on Query { viewer { id } }", {"depth": 2, "fields": 2}),
        (
            "query ($b: Boolean! @x) @x { ... @x { id @x } ...F @x } fragment F on Query @x { id }",
            {"depth": 1, "fields": 2, "directives": 6},
        ),
        (
            "{ a { ...F } b { c { ...F } } } fragment F on T { d { x: e @x } }",
            {"depth": 4, "fields": 7, "aliases": 2, "directives": 2},
        ),
        ("query A { a } query B { b { c } }", {"depth": 2, "fields": 3}),
        ("{ a } fragment F on T { b { x: c } }", {"depth": 2, "fields": 3, "aliases": 1}),
        ("{ ...F } fragment F on T { a } fragment F on T { b }", {"depth": 1, "fields": 2}),
        ("{ ...Nothing a }", {"depth": 1, "fields": 1}),
        ("{ ...F } fragment F on T { a { ...F } }", {"depth": 1, "fields": 1}),
        ("{ __typename }", {"depth": 1, "fields": 1}),
        (
            "{ x: __schema { types { name } } }",
            {"aliases": 1, "introspection_depth": 3, "introspection_fields": 3},
        ),
        (
            '{ a { b } ...F } fragment F on Query { __type(name: "A") { ...T } }'
            "fragment T on __Type { kind name }",
            {"depth": 2, "fields": 2, "introspection_depth": 2, "introspection_fields": 5},
        ),
        (
            "{ a { __schema { b } } }",
            {"depth": 1, "fields": 1, "introspection_depth": 3, "introspection_fields": 3},
        ),
    ],
)
def test_what_a_document_has_is_counted_in_each_place_of_its_fragments(
    query: str, expected: dict[str, int]
) -> None:
    assert figures(query) == expected


@pytest.mark.parametrize(
    ("query", "limit", "figure"),
    [
        ("{ viewer { id } }", "depth", 2),
        ("{ a: viewer { b: id } }", "aliases", 2),
        ("{ viewer { id id } }", "fields", 3),
        ("{ viewer @include(if: true) { id @skip(if: false) } }", "directives", 2),
        ("{ __schema { types { name } } }", "introspection_depth", 3),
        ("{ __schema { types { name } } }", "introspection_fields", 3),
    ],
)
def test_a_limit_is_inclusive_and_named_with_the_figure(
    query: str, limit: str, figure: int
) -> None:
    limited(**{limit: figure}).prepare(query, None, {})

    (error,) = refused(query, limited(**{limit: figure - 1}))

    assert error["extensions"] == {
        "code": "QUERY_TOO_COMPLEX",
        limit: figure,
        "limit": figure - 1,
    }
    assert f"{figure} " in error["message"]
    assert error["message"].endswith(f"the limit is {figure - 1}.")


def test_a_document_over_several_limits_is_told_all() -> None:
    executor = limited(depth=1, aliases=1, directives=0)

    errors = refused("{ a: viewer { b: id @skip(if: true) } }", executor)

    assert [set(error["extensions"]) - {"code", "limit"} for error in errors] == [
        {"depth"},
        {"aliases"},
        {"directives"},
    ]


def test_what_no_number_of_json_stands_for_is_told_as_the_last_that_does() -> None:
    doubling = "".join(f"fragment F{n} on T {{ ...F{n + 1} ...F{n + 1} }}" for n in range(80))

    assert figures("{ ...F0 }" + doubling + "fragment F80 on T { a: b }") == {
        "depth": 1,
        "fields": 2**53 - 1,
        "aliases": 2**53 - 1,
    }


@pytest.mark.parametrize("depth", [7, 9])
def test_the_queries_of_the_usual_tools_are_within_the_limits_of_introspection(depth: int) -> None:
    everything = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        experimental_directive_deprecation=True,
        one_of=True,
        type_depth=depth,
    )
    for query in (get_introspection_query(), everything):
        assert excesses(parse(query), Limits()) == []


def test_lists_of_the_schema_in_one_another_are_too_complex() -> None:
    nested = "fields { type { " * 3 + "name" + "}}" * 3

    (error,) = refused(f"{{ __schema {{ types {{ {nested} }} }} }}", OPEN)

    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, which depends on no machine."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("executor", [OPEN, SHY], ids=["open", "shy"])
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_document_is_made_of_it_is_judged_at_a_bounded_price(
    name: str, executor: Executor
) -> None:
    """400,000 calls are some 35 ms; an ordinary document takes 10,000."""
    said = 0

    def judge() -> None:
        nonlocal said
        try:
            executor.prepare(HOSTILE[name], None, {})
        except Refused as refusal:
            said = sum(len(error.message) for error in refusal.errors)

    assert calls(judge) < 450_000
    assert said < 10_000


# --- what is told ---------------------------------------------------------------------------

TYPES = SHOP._schema.type_map
MEMBERS = {
    name
    for kind in TYPES.values()
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType)
    for name in kind.fields
} | {name for kind in TYPES.values() if isinstance(kind, GraphQLEnumType) for name in kind.values}
# Others may be words of a sentence.
WORDS = set(TYPES) | {name for name in MEMBERS if not name.islower()}
FAULTY = [
    "{ nothing }",
    "{ viewer { emial } }",
    "{ viewer }",
    "{ viewer { id { x } } }",
    "{ viewer { id {} } }",
    "{ viewer { ... on Order { number } } }",
    "{ viewer { ...F } } fragment F on Order { number }",
    "{ ... on Decimal { x } }",
    "{ ...F } fragment F on DateTime { x }",
    "{ ... on Usr { x } }",
    "query ($x: Usr) { viewer { id } }",
    "query ($x: User) { node(id: $x) { id } }",
    "{ node { id } }",
    "{ node(ident: 1) { id } }",
    "{ node(id: 1.5) { id } }",
    "{ users(status: ACTIV) { nodes { id } } }",
    '{ users(status: "x") { nodes { id } } }',
    '{ users(first: "x") { nodes { id } } }',
    '{ orders(placed: { from: "yesterday", ot: 1 }) { nodes { id } } }',
    "{ products(price: 1) { nodes { id } } }",
    "query ($n: Int) { node(id: $n) { id } }",
    "query ($n: Int = true) { users(first: $n) { nodes { id } } }",
    "{ viewer { id: username id } }",
    "{ node(id: 1) { ... on User { x: createdAt } ... on Product { x: inventory } } }",
    "{ viewer { a: orders { nodes { id } } a: reviews { nodes { id } } } }",
    "mutation { placeOrder(input: {}) { replayed } }",
    "mutation { placeOrder(input: { items: [{}], idempotencyKey: 1 }) { replayed } }",
    "mutation { placeOrder { replayed } }",
    "mutation { viewer { id } }",
    "subscription { orderChanged { cursor } productChanged { cursor } }",
    "subscription { __typename }",
    "{ viewer @skip { id } }",
    "{ viewer @skip(if: 1) { id } }",
    "{ viewer @skip(unless: true) { id } }",
    "{ viewer @nothing { id } }",
    "query @skip(if: true) { viewer { id } }",
    '{ __type(name: "User") { fields { type { fields { type { fields { name } } } } } } }',
    '{ __type { name } }',
    "type Usr { id: ID }",
]  # fmt: skip


@pytest.mark.parametrize("query", FAULTY)
def test_a_fault_tells_nothing_of_the_schema_while_introspection_is_off(query: str) -> None:
    errors, openly = refused(query, SHY), refused(query, OPEN)

    assert len(errors) >= len(openly)
    for error in errors:
        said = set(re.findall(r"\w+", error["message"]))
        assert said & WORDS <= set(re.findall(r"\w+", query))
        assert "Did you mean" not in error["message"]


def test_a_fault_that_tells_nothing_of_the_schema_is_found_by_its_location() -> None:
    (error,) = refused("{ viewer { id emial } }", SHY)

    assert error["locations"] == [{"line": 1, "column": 15}]


def test_most_faults_tell_something_of_the_schema_while_introspection_is_on() -> None:
    """Or what is asserted above would be of any message."""
    telling = 0
    for query in FAULTY:
        said = {
            word for error in refused(query, OPEN) for word in re.findall(r"\w+", error["message"])
        }
        telling += not said & WORDS <= set(re.findall(r"\w+", query))

    assert telling > len(FAULTY) / 2


def test_every_rule_of_the_specification_holds_while_introspection_is_off() -> None:
    """But for that of how deep introspection goes, where none is."""
    shy = rules(introspection=False)

    missing = [
        specified
        for specified in specified_rules
        if not any(issubclass(rule, specified) for rule in shy)
    ]
    assert missing == [MaxIntrospectionDepthRule]
