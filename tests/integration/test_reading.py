"""The number of DynamoDB requests that an operation makes is a promise."""

from __future__ import annotations

from datasources.items import OrderLine
from tests.support import items
from tests.support.shop import TestShop

NESTED = """
{ viewer { orders(first: 10) { nodes { number items { product { name category { name }
  reviews(first: 3) { nodes { rating author { username } } } } } } } } }
"""


async def fill(shop: TestShop, orders: int) -> None:
    """A customer with orders of three lines each, over products that all have reviews."""
    goods = [items.product(n, category=("books", "toys")[n % 2]) for n in range(12)]
    reviews = [items.review(n, p.id, f"user-{n}") for p in goods for n in range(1, 6)]
    bought = [
        items.order(
            n,
            lines=tuple(
                OrderLine(
                    product_id=goods[(n + k) % 12].id, product_name="P", quantity=1, unit_price=9
                )
                for k in range(3)
            ),
        )
        for n in range(orders)
    ]
    await shop.put(
        *(items.user(n) for n in range(6)),
        items.category("books"),
        items.category("toys"),
        *goods,
        *reviews,
        *bought,
    )


async def test_the_nested_query_takes_five_rounds_whatever_the_number_of_orders(
    shop: TestShop,
) -> None:
    await fill(shop, orders=10)

    result = await shop.ask(NESTED, user="user-0")

    assert result.errors == []
    nodes = result.data["viewer"]["orders"]["nodes"]
    assert len(nodes) == 10
    assert all(
        len(line["product"]["reviews"]["nodes"]) == 3 for node in nodes for line in node["items"]
    )
    keys = [call.keys for call in result.calls if call.operation == "BatchGetItem"]
    assert keys == [1, 12, 2, 5]  # the viewer, the products, the categories, the authors
    assert result.names() == [
        "BatchGetItem",
        "Query",
        "BatchGetItem",
        "BatchGetItem",
        *["Query"] * 12,
        "BatchGetItem",
    ]
