"""An explained operation answers as any other, and says what it asked of the store."""

from __future__ import annotations

import asyncio
from typing import Any

from datasources.table import Meter
from resolvers import global_ids
from resolvers.principal import Principal
from schema.running import Admitted, answer
from tests.integration.test_reading import NESTED, fill
from tests.support import items
from tests.support.shop import EXECUTOR, TestShop

ORDER = """
  mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) {
    order { items { product { category { name } } } } userErrors { code } } }
"""


async def explained(
    shop: TestShop, query: str, user: str | None = None, **variables: Any
) -> dict[str, Any]:
    """The whole answer."""
    operation = EXECUTOR.prepare(query, None, variables)
    principal = Principal(user, shop.tenant, False, None)
    shop.calls.clear()
    body, ran = await answer(
        EXECUTOR,
        shop.shop,
        Admitted(operation, principal, "r-1", asyncio.get_running_loop().time(), explain=True),
    )
    assert ran
    return body


def rounds_of(body: dict[str, Any]) -> list[list[tuple[Any, ...]]]:
    """What was called in each round, for which field."""
    return [
        [
            (call["operation"], call["keys"], call["items"], call["askedBy"][0]["field"])
            for call in each["calls"]
        ]
        for each in body["extensions"]["explain"]["rounds"]
    ]


async def test_the_rounds_of_a_nested_query_are_told_with_the_fields_that_asked(
    shop: TestShop,
) -> None:
    await fill(shop, orders=10)

    body = await explained(shop, NESTED, "user-0")

    plain = await shop.ask(NESTED, user="user-0")
    assert body["data"] == plain.data
    first, second, third, fourth, fifth = rounds_of(body)
    assert first == [("BatchGetItem", 1, 1, "Query.viewer")]
    assert second == [("Query", 1, 10, "User.orders")]
    assert third == [("BatchGetItem", 12, 12, "OrderItem.product")]
    assert fourth == [
        ("BatchGetItem", 2, 2, "Product.category"),
        *[("Query", 1, 4, "Product.reviews")] * 12,
    ]
    assert fifth == [("BatchGetItem", 5, 5, "Review.author")]
    explanation = body["extensions"]["explain"]
    authors = explanation["rounds"][4]["calls"][0]["askedBy"]
    assert authors[0]["path"] == "viewer.orders.nodes.items.product.reviews.nodes.author"
    assert [(each["field"], each["calls"], each["times"]) for each in explanation["repeated"]] == [
        ("Product.reviews", 12, 30)
    ]


async def test_all_that_an_operation_called_is_told_and_its_cost_is_as_ever(
    shop: TestShop,
) -> None:
    await shop.put(*(items.product(n, category="books") for n in range(8)), items.category("books"))
    query = "{ products(first: 5) { nodes { category { name } } pageInfo { hasNextPage } } }"

    body = await explained(shop, query)

    calls = [call for each in body["extensions"]["explain"]["rounds"] for call in each["calls"]]
    assert [(call["operation"], call["index"]) for call in calls] == [
        (call.operation, call.index) for call in shop.calls
    ]
    actual = body["extensions"]["cost"]["actual"]
    told = Meter(len(calls), sum(call["units"] for call in calls), 0.0)
    assert told == Meter(actual["requests"], actual["readUnits"], actual["writeUnits"])


async def test_a_mutation_runs_once_and_is_explained(shop: TestShop) -> None:
    await shop.put(items.user(0), items.product(0, category="books"), items.category("books"))
    line = {"productId": global_ids.of(items.product(0)), "quantity": 1}
    order = {"items": [line], "idempotencyKey": "the only one"}

    body = await explained(shop, ORDER, "user-0", input=order)

    assert body["data"]["placeOrder"]["userErrors"] == []
    called = [each for round_ in rounds_of(body) for each in round_]
    writes = [each for each in called if each[0] == "TransactWriteItems"]
    assert [each[3] for each in writes] == ["Mutation.placeOrder"]


async def test_nothing_of_keys_and_rows_is_told(shop: TestShop) -> None:
    await fill(shop, orders=2)
    body = await explained(shop, NESTED, "user-0")
    told = str(body["extensions"])
    assert "user-0" not in told
    assert shop.tenant not in told
