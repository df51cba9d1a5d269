"""What a document could cost, computed before it runs."""

from __future__ import annotations

from typing import Any

import pytest

from resolvers.global_ids import encode
from schema.build import build_schema
from schema.limits import Limits
from schema.operations.operation import Executor, Refused

SHOP = build_schema()
ANY_COST = Limits(cost=2**60, depth=100, fields=2**60)


def cost(query: str, **variables: Any) -> int:
    executor = Executor(SHOP, limits=ANY_COST, introspection=True)
    return executor.prepare(query, None, variables).requested


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ __typename }", 0),
        ("{ changeCursor }", 0),
        ("{ __schema { types { name } } }", 0),
        ("{ viewer { id username } }", 1),
        ("{ a: viewer { id } b: viewer { id } }", 2),
        ('{ node(id: "x") { id } }', 1),
        ('{ product(id: "x") { price { amount } ratingSummary { count } } }', 1),
        ('{ product(id: "x") { category { id } viewerReview { id } } }', 3),
        ("{ categories { nodes { name } } }", 20),
        ("{ categories(first: 5) { nodes { name } } }", 5),
        ("{ categories(last: 7) { nodes { name } } }", 7),
        ("{ categories(first: 5) { edges { cursor node { name } } } }", 5),
        ("{ categories(first: 5) { nodes { name } edges { node { name } } } }", 10),
        ("{ categories(first: 5) { pageInfo { hasNextPage } } }", 0),
        ("{ categories(first: 5) { nodes { products(first: 3) { nodes { id } } } } }", 5 * (1 + 3)),
        ('{ order(id: "x") { items { quantity } } }', 1),
        ('{ order(id: "x") { items { product { id } } } }', 1 + 50),
        ("{ viewer { id @skip(if: true) ... { orders(first: 2) { nodes { id } } } } }", 3),
        ('{ node(id: "") { ...on Product { category { id } } ...on Review {author{id}} } }', 3),
    ],
)  # fmt: skip
def test_the_cost_is_the_objects_to_read_times_the_lists_they_stand_in(
    query: str, expected: int
) -> None:
    assert cost(query) == expected


def test_a_known_operation_costs_by_its_sizes_as_it_did_when_it_was_new() -> None:
    query = """query Lists($first: Int, $last: Int, $ids: [ID!]!, $id: ID!) {
      categories(first: $first) { nodes { products(last: $last) { nodes { id } } } }
      nodes(ids: $ids) { id } product(id: $id) { id } }"""
    executor = Executor(SHOP, limits=ANY_COST, introspection=True)
    for _ in range(2):
        for first, last, ids in [(1, 2, []), (3, 2, ["a"]), (None, 2, ["a", "b"]), (3, None, [])]:
            sizes = {"first": first, "last": last, "ids": ids, "id": "x"}
            known = executor.prepare(query, "Lists", sizes).requested
            assert known == cost(query, **sizes)
            assert known == (first or 20) * (1 + (last or 20)) + len(ids) + 1


def test_the_promised_nested_query_costs_what_it_could_read() -> None:
    reviews = "reviews(first: 3) { nodes { rating author { username } } }"
    items = f"items {{ product {{ name category {{ name }} {reviews} }} }}"
    query = f"{{ viewer {{ orders(first: 10) {{ nodes {{ number {items} }} }} }} }}"

    product = 1 + 1 + 3 * 2
    assert cost(query) == 1 + 10 * (1 + 50 * product) == 4_011
    assert cost(query) <= Limits().cost


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ("$n: Int", {"n": 30}, 30),
        ("$n: Int", {"n": 30.0}, 30),
        ("$n: Int = 40", {}, 40),
        ("$n: Int = 40", {"n": 30}, 30),
        ("$n: Int", {"n": None}, 20),
        ("$n: Int = 40", {"n": None}, 20),
        ("$n: Int", {}, 20),
    ],
)
def test_a_page_size_may_come_in_a_variable(
    declared: str, given: dict[str, Any], expected: int
) -> None:
    query = f"query ({declared}) {{ categories(first: $n) {{ nodes {{ id }} }} }}"

    assert cost(query, **given) == expected


@pytest.mark.parametrize("size", [101, 2**31 - 1])
def test_a_size_beyond_the_largest_counts_as_the_largest(size: int) -> None:
    assert cost(f"{{ categories(first: {size}) {{ nodes {{ id }} }} }}") == 100


@pytest.mark.parametrize("size", [0, -1, -(2**31)])
def test_a_size_below_one_pays_for_nothing_else(size: int) -> None:
    cheap, dear = f"users(first: {size}) {{ nodes {{ id }} }}", "categories { nodes { id } }"

    assert cost(f"{{ {cheap} {dear} }}") == 20
    query = f"query ($n: Int) {{ users(first: $n) {{ nodes {{ id }} }} {dear} }}"
    assert cost(query, n=size) == 20


def test_of_first_and_last_the_larger_counts() -> None:
    assert cost("{ categories(first: 5, last: 50) { nodes { id } } }") == 50


def test_nodes_cost_as_many_as_there_are_ids() -> None:
    one = encode("Category", "books")

    assert cost(f'{{ nodes(ids: ["{one}", "{one}", "{one}"]) {{ id }} }}') == 3
    assert cost(f'{{ nodes(ids: "{one}") {{ id }} }}') == 1
    assert cost("query ($a: ID!) { nodes(ids: [$a, $a]) { id } }", a=one) == 2
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert cost(query, ids=[one] * 7) == 7
    assert cost(query, ids=one) == 1
    assert cost(query, ids=[]) == 0
    assert cost('query ($ids: [ID!]! = ["a", "b"]) { nodes(ids: $ids) { id } }') == 2


def test_a_fragment_costs_at_every_place_it_is_spread() -> None:
    query = """
      { a: viewer { ...Two } categories(first: 3) { nodes { products(first: 1) { nodes {
          reviews(first: 1) { nodes { author { ...Two } } } } } } } }
      fragment Two on User { orders(first: 2) { nodes { id } } }
    """

    assert cost(query) == (1 + 2) + 3 * (1 + 1 * (1 + 1 * (1 + (1 + 2))))


def test_fragments_that_double_at_every_step_are_weighed_at_once() -> None:
    """Walking each spread would take 2**40 steps."""
    steps = 40
    doubling = "".join(
        f"fragment F{n} on Product {{ ...F{n + 1} ...F{n + 1} }} " for n in range(steps)
    )
    query = (
        f'{{ product(id: "x") {{ ...F0 }} }} {doubling}'
        f"fragment F{steps} on Product {{ category {{ id }} }}"
    )

    assert cost(query) == 1 + 2**steps


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ users { nodes { id } } }", "users.nodes"),
        ("{ users(first: 30) { nodes { id } edges { node { id } } } }", "users.nodes"),
        ("{ viewer { id } a: users { b: edges { c: node { id } } } }", "a.b.c"),
        ("{ viewer { ...F } users { nodes { id } } } "
         "fragment F on User { orders { nodes { id } } }",
         "viewer.orders.nodes"),
        ("{ categories(first: 5) { nodes { "
         "products { nodes { ... { reviews { nodes { id } } } } } } } }",
         "categories.nodes.products.nodes.reviews.nodes"),
        ('{ node(id: "") { ... on Order { items { product { id } } } ... on User { id } } '
         "categories(first: 50) { nodes { id } } }",
         "node.items.product"),
    ],
)  # fmt: skip
def test_a_cost_over_the_limit_is_traced_to_where_most_of_it_is(query: str, expected: str) -> None:
    executor = Executor(SHOP, limits=Limits(cost=1), introspection=True)

    with pytest.raises(Refused) as caught:
        executor.prepare(query, None, {})

    (error,) = caught.value.errors
    assert error.extensions
    assert error.extensions["path"] == expected.split(".")
    assert f"most of it at {expected}:" in error.message


def test_the_path_through_fragments_that_double_is_found_at_once() -> None:
    doubling = "".join(
        f"fragment F{n} on Product {{ ...F{n + 1} ...F{n + 1} }} " for n in range(40)
    )
    query = (
        f'{{ product(id: "x") {{ ...F0 }} }} {doubling}'
        "fragment F40 on Product { category { id } }"
    )
    executor = Executor(SHOP, limits=Limits(fields=2**60), introspection=True)

    with pytest.raises(Refused) as caught:
        executor.prepare(query, None, {})

    (error,) = caught.value.errors
    assert error.extensions
    assert error.extensions["path"] == ["product", "category"]


def test_a_cost_beyond_what_json_counts_exactly_is_told_as_that() -> None:
    steps = 15
    opening = "reviews(first: 100) { nodes { author { " * steps
    query = f"{{ viewer {{ {opening} id {'} } }' * steps} }} }}"

    assert cost(query) == 2**53 - 1
