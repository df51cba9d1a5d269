"""An order's way through the store: what it takes, what it keeps, and how often it is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from datasources.items import OrderStatus, Product, ProductStatus
from resolvers import global_ids
from tests.support import items
from tests.support.items import NOW
from tests.support.ordering import (
    ADVANCE,
    CANCEL,
    PLACE,
    PLACE_BRIEFLY,
    codes,
    line,
    order,
    payload,
    stock,
)
from tests.support.shop import TestShop


async def place(shop: TestShop, given: dict[str, Any], query: str = PLACE) -> dict[str, Any]:
    """The payload of an order by the first customer."""
    return payload(await shop.write(query, user="user-0", input=given))


async def filled(shop: TestShop, **changes: Any) -> list[Product]:
    goods = [items.product(n, **changes) for n in range(3)]
    await shop.put(items.user(0), *goods)
    return goods


async def test_an_order_of_three_lines_is_one_batch_and_one_transaction(shop: TestShop) -> None:
    goods = await filled(shop)
    given = order(*(line(each) for each in goods))

    result = await shop.write(PLACE_BRIEFLY, user="user-0", input=given)

    assert payload(result)["userErrors"] == []
    assert result.names() == ["BatchGetItem", "TransactWriteItems"]
    assert result.calls[0].keys == 4  # the products, and the caller's profile


async def test_an_order_keeps_names_and_prices_and_takes_the_stock(shop: TestShop) -> None:
    goods = await filled(shop)

    answer = await place(shop, order(line(goods[0], 2), line(goods[1]), line(goods[0])))

    assert answer["userErrors"] == []
    assert answer["replayed"] is False
    assert answer["order"]["items"] == [
        {"productName": "Product 0", "quantity": 3, "unitPrice": {"amount": "1000"}},
        {"productName": "Product 1", "quantity": 1, "unitPrice": {"amount": "1001"}},
    ]
    assert answer["order"]["total"] == {"amount": "4001"}
    assert await stock(shop, *goods) == [2, 4, 5]


async def test_the_same_key_and_input_gives_the_first_order(shop: TestShop) -> None:
    goods = await filled(shop)
    given = order(line(goods[0], 3))
    first = await place(shop, given)
    # What has become of the product since, sold out and archived, changes nothing.
    gone = goods[0].changed(inventory=0, status=ProductStatus.ARCHIVED)
    await shop.put(gone)

    again = await place(shop, given)

    assert again["replayed"] is True
    assert again["order"] == first["order"]
    assert await stock(shop, *goods) == [0, 5, 5]


async def test_the_same_key_with_another_input_is_refused(shop: TestShop) -> None:
    goods = await filled(shop)
    await place(shop, order(line(goods[0])))

    for other in (order(line(goods[0], 2)), order(line(goods[1])), order(line(goods[0], 99))):
        answer = await place(shop, other)
        assert answer["order"] is None
        assert answer["userErrors"] == [
            {"code": "IDEMPOTENCY_KEY_REUSED", "field": ["input", "idempotencyKey"]}
        ]
    assert await stock(shop, *goods) == [4, 5, 5]


async def test_a_key_is_its_callers_own(shop: TestShop) -> None:
    goods = await filled(shop)
    await shop.put(items.user(1))
    given = order(line(goods[0]))

    mine = await place(shop, given)
    theirs = payload(await shop.write(PLACE, user="user-1", input=given))

    assert theirs["replayed"] is False
    assert theirs["order"]["id"] != mine["order"]["id"]


async def test_an_order_that_was_refused_leaves_its_key_free(shop: TestShop) -> None:
    goods = await filled(shop)

    refused = await place(shop, order(line(goods[0], 6)))
    answer = await place(shop, order(line(goods[0], 5)))

    assert codes(refused) == ["OUT_OF_STOCK"]
    assert answer["replayed"] is False
    assert await stock(shop, *goods) == [0, 5, 5]


async def test_a_key_is_remembered_for_a_day_and_no_longer(shop: TestShop) -> None:
    goods = await filled(shop)
    given = order(line(goods[0]))
    first = await place(shop, given)

    shop.shop = replace(shop.shop, now=lambda: NOW + timedelta(hours=23, minutes=59, seconds=59))
    within = await place(shop, given)
    shop.shop = replace(shop.shop, now=lambda: NOW + timedelta(hours=24))
    beyond = await place(shop, given)
    after = await place(shop, given)

    assert within["replayed"] is True
    assert within["order"]["id"] == first["order"]["id"]
    assert beyond["replayed"] is False
    assert beyond["order"]["id"] != first["order"]["id"]
    assert after["replayed"] is True
    assert after["order"]["id"] == beyond["order"]["id"]
    assert await stock(shop, *goods) == [3, 5, 5]


async def test_a_cancelled_order_gives_back_what_it_took_once(shop: TestShop) -> None:
    goods = await filled(shop)
    placed = await place(shop, order(line(goods[0], 2), line(goods[1])))
    given = {"id": placed["order"]["id"], "reason": "changed my mind"}

    first = payload(await shop.write(CANCEL, user="user-0", input=given))
    second = payload(await shop.write(CANCEL, user="user-0", input=given))

    assert first == second
    assert first["order"] == {
        "status": "CANCELLED",
        "version": 2,
        "history": [
            {"status": "PENDING", "note": None},
            {"status": "CANCELLED", "note": "changed my mind"},
        ],
    }
    assert await stock(shop, *goods) == [5, 5, 5]


async def test_a_product_that_is_gone_gets_no_stock_back_and_hinders_nothing(
    shop: TestShop,
) -> None:
    here = items.product(0)
    gone = items.order(1)  # of a product that is not there
    await shop.put(items.user(0), here, gone)

    result = await shop.write(CANCEL, user="user-0", input={"id": global_ids.of(gone)})

    assert payload(result)["order"]["status"] == "CANCELLED"
    assert await stock(shop, here) == [5]


async def test_a_delivered_order_marks_its_products_as_purchased(shop: TestShop) -> None:
    goods = await filled(shop)
    placed = await place(shop, order(line(goods[0]), line(goods[1])))
    marks = [shop.keys.purchased("user-0", each.id) for each in goods]

    for status in (OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        assert await shop.table().batch_get(marks) == {}
        given = {"id": placed["order"]["id"], "to": status}
        moved = payload(await shop.write(ADVANCE, user="boss", staff=True, input=given))
        assert moved["order"]["status"] == status

    assert [entry["status"] for entry in moved["order"]["history"]] == [
        *("PENDING", "PAID", "SHIPPED", "DELIVERED")
    ]
    assert moved["order"]["version"] == 4
    assert set(await shop.table().batch_get(marks, consistent=True)) == set(marks[:2])


async def test_a_refund_returns_no_stock(shop: TestShop) -> None:
    goods = await filled(shop)
    placed = await place(shop, order(line(goods[0], 2)))

    for status in (OrderStatus.PAID, OrderStatus.REFUNDED):
        given = {"id": placed["order"]["id"], "to": status}
        assert payload(await shop.write(ADVANCE, user="boss", staff=True, input=given))["order"]

    assert await stock(shop, *goods) == [3, 5, 5]
