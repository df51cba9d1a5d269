"""What plans cover, shape by shape, and what they leave to the reference executor."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from graphql import parse
from graphql.execution.values import VariableValues

from datasources.items import Item, Order, Product, Review
from resolvers import global_ids
from resolvers.changes import Seen
from schema.execution import NotPlanned, Plan, Planner
from schema.execution.compiler import MOST_FIELDS
from streams.changes import Change, ChangeKind
from tests.support.items import NOW, product
from tests.unit.schema.execution.judge import (
    CUSTOMER,
    ORDERS,
    PRODUCTS,
    REVIEWS,
    SCHEMA,
    STAFF,
    Judge,
    context,
    operation_of,
    store,
)

PRODUCT = global_ids.of(PRODUCTS[0])
NESTED = """{ viewer { orders(first: 10) { nodes { number items { product {
  name category { name } reviews(first: 3) { nodes { rating author { username } } } } } } } } }"""

PLANNED = {
    "typename": "{ __typename again: __typename }",
    "attributes": '{ product(id: "%s") { name description imageUrl inventory version createdAt } }',
    "enum, decimal, id, boolean": (
        '{ product(id: "%s") { id status inStock price { amount currencyCode } } }'
    ),
    "float and list": '{ product(id: "%s") { ratingSummary { average count histogram } } }',
    "aliases": '{ a: product(id: "%s") { x: name y: name } b: product(id: "%s") { name } }',
    "merged fields": (
        '{ product(id: "%s") { name price { amount } } '
        'product(id: "%s") { price { currencyCode } name version } }'
    ),
    "fragments": (
        '{ product(id: "%s") { ...A ... { version } ... on Product { ...A status } } } '
        "fragment A on Product { name ...B } fragment B on Node { id __typename }"
    ),
    "skip and include": (
        '{ product(id: "%s") { name @skip(if: true) status @include(if: true) '
        "... @include(if: false) { version } } }"
    ),
    "nothing left": '{ product(id: "%s") { name @skip(if: true) } }',
    "interface": '{ node(id: "%s") { id ... on Product { name } ... on Order { number } } }',
    "list with nulls": '{ nodes(ids: ["%s", "GONE", "%s"]) { __typename id } }'.replace(
        "GONE", global_ids.of(product(99))
    ),
    "connection": (
        "{ products(first: 2) { edges { cursor node { name } } nodes { name } "
        "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
    ),
    "empty connection": (
        '{ categories(first: 1) { nodes { products(status: ACTIVE, price: {min: "90000"}) '
        "{ edges { cursor } nodes { name } pageInfo { endCursor } } } } }"
    ),
    "null object": (
        '{ category(id: "Q2F0ZWdvcnk6bm9uZQ") { name } categoryBySlug(slug: "x") { id } }'
    ),
    "nested": NESTED,
    "lists in an object": (
        "{ viewer { orders { nodes { history { status at note } nextStatuses itemCount "
        "shippingAddress { city line2 } items { quantity lineTotal { amount } } } } } }"
    ),
    "outside the loaders": '{ orderByNumber(number: "NO-0") { number customer { username } } }',
}


@pytest.mark.parametrize("shape", PLANNED)
async def test_a_shape_is_planned_and_answered_alike(shape: str) -> None:
    judge, query = Judge(), PLANNED[shape].replace("%s", PRODUCT)
    await judge.agree(query)
    # What needs a task is found out as it runs, once.
    found = orjson.loads(await judge.agree(query))
    assert judge.ended["planned"] >= 1
    assert judge.ended["NotPlanned"] == 0
    assert found[0]
    assert found[1] == []


WITH_ERRORS = {
    "a field of a list": "{ users { nodes { email } } }",
    "private": '{ user(id: "VXNlcjp1c2VyLTI") { username email } viewer { email } }',
    "no id": '{ product(id: "x") { name } viewer { username } }',
    "a bad page": "{ products(first: 0) { nodes { name } } }",
    "a torn row in a list": '{ products(categoryId: "Q2F0ZWdvcnk6dG9ybg") { nodes { name } } }',
    "no Int": f'{{ product(id: "{global_ids.of(PRODUCTS[5])}") {{ name inventory }} }}',
    "an item of a list": f'{{ nodes(ids: ["{PRODUCT}", "x"]) {{ id }} }}',
}


@pytest.mark.parametrize("shape", WITH_ERRORS)
async def test_errors_are_the_reference_executors(shape: str) -> None:
    judge = Judge()
    found = orjson.loads(await judge.agree(WITH_ERRORS[shape]))
    assert found[1]
    assert judge.ended["Unfit"] == 1


@pytest.mark.parametrize("cheap", [True, False])
async def test_a_plan_is_for_the_choices_of_skip_and_include(cheap: bool) -> None:
    query = """query ($cheap: Boolean!, $id: ID!, $first: Int = 1) { product(id: $id) {
      name @include(if: $cheap) version @skip(if: $cheap)
      reviews(first: $first) { nodes { rating } } } }"""
    judge = Judge()
    found = orjson.loads(await judge.agree(query, {"cheap": cheap, "id": PRODUCT}))
    assert set(found[0]["product"]) == {"name" if cheap else "version", "reviews"}
    assert judge.ended["planned"] == 1


async def test_one_plan_serves_all_values_of_its_variables() -> None:
    plan = made("query ($id: ID!) { product(id: $id) { id } }", id=PRODUCT)
    for each in PRODUCTS[:3]:
        values = coerced("query ($id: ID!) { product(id: $id) { id } }", id=global_ids.of(each))
        data = await plan.execute(None, context(CUSTOMER), values)
        assert data == {"product": {"id": global_ids.of(each)}}


CHANGES: list[tuple[str, Item, str]] = [
    ("productChanged", PRODUCTS[0], "productId previousInventory previousPrice { amount } "
     "product { name category { name } }"),
    ("orderChanged", ORDERS[0], "orderId previousStatus order { total { amount } }"),
    ('reviewChanged(productId: "x")', REVIEWS[0], "reviewId review { author { username } }"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "item", "selected"), CHANGES)
async def test_the_event_of_a_subscription_is_planned(
    field: str, item: Product | Order | Review, selected: str
) -> None:
    change = Change(type(item), ChangeKind.UPDATED, item, item, "e", "1", NOW, "acme")
    judge = Judge()
    query = f"subscription {{ {field} {{ cursor kind occurredAt changedFields {selected} }} }}"
    for new in (item, None):
        await judge.agree(query, principal=STAFF, event=Seen(change, "c", item, new))
    assert judge.ended == {"planned": 2}


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { queryType { name } } }",
        '{ __type(name: "Product") { name } viewer { username } }',
    ],
)
def test_what_is_not_covered_is_not_planned(query: str) -> None:
    with pytest.raises(NotPlanned):
        made(query)


def test_fragments_in_fragments_cannot_make_a_plan_large() -> None:
    spreads = "\n".join(
        f"fragment F{n} on Product {{ category {{ products {{ nodes {{ a: id ...F{n + 1} }} "
        f"edges {{ node {{ ...F{n + 1} }} }} }} }} }}"
        for n in range(20)
    )
    query = f'{{ product(id: "x") {{ ...F0 }} }} {spreads} fragment F20 on Product {{ name }}'
    with pytest.raises(NotPlanned, match=str(MOST_FIELDS)):
        made(query)


async def test_a_level_is_one_request_to_the_store() -> None:
    values = coerced(NESTED)
    plan = made(NESTED)
    calls = store().calls
    before = len(calls)
    await plan.execute(None, context(CUSTOMER), values)
    names = [name for name, _ in calls[before:]]
    # The viewer; the orders; the products; their reviews by product and categories; the authors.
    assert names.count("batch_get_item") == 4
    products = {
        line.product_id for each in ORDERS for line in each.items if each.user_id == "user-0"
    }
    there = {each.id for each in PRODUCTS if each.status != "DRAFT"}
    assert names.count("query") == 1 + len(products & there)


def made(query: str, **variables: Any) -> Plan:
    document = parse(query)
    plan = Planner(SCHEMA).plan(document, *operation_of(document, variables))
    assert isinstance(plan, Plan)
    return plan


def coerced(query: str, **variables: Any) -> VariableValues:
    return operation_of(parse(query), variables)[1]
