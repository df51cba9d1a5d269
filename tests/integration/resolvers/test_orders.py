"""Orders: what may be ordered, and where an order may go from where it stands."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from datasources import orders
from datasources.attributes import row_size
from datasources.items import Address, Order, OrderStatus, Product, ProductStatus, UserStatus
from datasources.table import ROW_BYTES
from resolvers import global_ids
from resolvers.inputs import MOST_PRODUCTS
from tests.support import items
from tests.support.mutations import Written, as_stored, boss, later, listed, mutate, rows, stored
from tests.support.shop import TestShop

CUSTOMER = items.user(0)
PRODUCT = items.product(1)  # two of it are in every order that `items` makes
ADDRESS = {
    "recipient": "山田太郎",
    "line1": "1-1",
    "line2": None,
    "city": "千代田区",
    "region": None,
    "postalCode": "100-0001",
    "countryCode": "JP",
}
FINISHED = {OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.REFUNDED}

# Where an order may go, by whom: a copy of the contract's words, not of the program's table.
ADVANCES = {
    ("PENDING", "PAID"),
    ("PAID", "SHIPPED"),
    ("SHIPPED", "DELIVERED"),
    ("PAID", "REFUNDED"),
    ("DELIVERED", "REFUNDED"),
}
CANCELLABLE = {"staff": {"PENDING", "PAID"}, "customer": {"PENDING"}}
CALLERS: dict[str, dict[str, Any]] = {
    "customer": {"user": CUSTOMER.id},
    "staff": {"user": "boss", "staff": True},
}


async def an_order(shop: TestShop, status: OrderStatus, **changes: Any) -> Order:
    order = items.order(1, CUSTOMER.id, status=status, **changes)
    await shop.put(CUSTOMER, PRODUCT, order)
    return order


async def in_step(shop: TestShop, order: Order) -> Order:
    """The order as it is now, whose row has exactly the index attributes that belong to it."""
    row = await stored(shop, shop.keys.order(order.user_id, order.id))
    assert row is not None
    now = Order.of(row)
    assert row == as_stored(orders.row(shop.keys, now))
    return now


async def stock_of(shop: TestShop, product: Product) -> int:
    row = await stored(shop, shop.keys.product(product.id))
    assert row is not None
    found: int = row["inventory"]
    return found


async def next_statuses(shop: TestShop, order: Order, caller: str) -> set[str]:
    query = "query($id: ID!) { order(id: $id) { nextStatuses } }"
    answer = await shop.ask(query, **CALLERS[caller], id=global_ids.of(order))
    return set(answer.data["order"]["nextStatuses"])


# --- where an order may go --------------------------------------------------------------------


@pytest.mark.parametrize("status", OrderStatus)
async def test_staff_take_an_order_along_the_state_machine_alone(
    shop: TestShop, status: OrderStatus
) -> None:
    order = await an_order(shop, status)
    offered = await next_statuses(shop, order, "staff")
    before = await rows(shop)
    now = later(shop)

    done = set()
    for to in OrderStatus:
        moved = await boss(shop, "advanceOrder", id=global_ids.of(order), to=to, note="because")
        if moved.outcome == "ok":
            done.add(to.value)
            assert moved.result["version"] == 2
            assert moved.result["updatedAt"] == now
            assert moved.result["history"] == [
                {
                    "status": status,
                    "at": items.moment(1).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "note": None,
                },
                {"status": to, "at": now, "note": "because"},
            ]
            assert (await in_step(shop, order)).status is to
            assert await listed(shop, f"orders(status: {to})") == [global_ids.of(order)]
            assert await listed(shop, f"orders(status: {status})") == []
            await shop.put(order)
        else:
            assert (moved.codes, moved.fields) == (["INVALID_TRANSITION"], [["input", "to"]])
            unmarked = {k: v for k, v in (await rows(shop)).items() if v["entity"] != "Purchased"}
            assert unmarked == before

    assert done == {to for was, to in ADVANCES if was == status}
    assert done == offered - {"CANCELLED"}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("status", OrderStatus)
async def test_an_order_is_cancelled_early_or_not_at_all(
    shop: TestShop, status: OrderStatus, caller: str
) -> None:
    order = await an_order(shop, status)
    given = {"id": global_ids.of(order), "reason": "because"}
    offered = await next_statuses(shop, order, caller)
    before = await rows(shop)
    now = later(shop)

    cancelled = await mutate(shop, "cancelOrder", given, **CALLERS[caller])

    assert ("CANCELLED" in offered) == (status in CANCELLABLE[caller])
    if status in CANCELLABLE[caller]:
        assert (
            cancelled.result.items()
            >= {
                "status": "CANCELLED",
                "version": 2,
                "updatedAt": now,
                "nextStatuses": [],
            }.items()
        )
        assert cancelled.result["history"][1:] == [
            {"status": "CANCELLED", "at": now, "note": "because"}
        ]
        assert (await in_step(shop, order)).status is OrderStatus.CANCELLED
        assert await stock_of(shop, PRODUCT) == PRODUCT.inventory + 2
        return
    if status is OrderStatus.CANCELLED:  # already: nothing to do, and no error
        assert cancelled.result["version"] == 1
    else:
        assert cancelled.codes == ["INVALID_TRANSITION"]
        assert cancelled.fields == [["input", "id"]]
    assert await rows(shop) == before


async def test_a_customer_sees_where_the_order_may_go_once_it_was_cancelled_twice(
    shop: TestShop,
) -> None:
    order = await an_order(shop, OrderStatus.PENDING)
    for _ in range(2):
        given = {"id": global_ids.of(order)}
        cancelled = await mutate(shop, "cancelOrder", given, user=CUSTOMER.id)
        assert cancelled.result["version"] == 2
    assert await stock_of(shop, PRODUCT) == PRODUCT.inventory + 2


async def test_an_expected_version_is_the_stored_one_or_nothing_happens(shop: TestShop) -> None:
    order = await an_order(shop, OrderStatus.PENDING)
    before = await rows(shop)
    wanted = {"id": global_ids.of(order), "to": "PAID"}

    for version in (0, 2):
        stale = await boss(shop, "advanceOrder", **wanted, expectedVersion=version)
        assert (stale.codes, stale.fields) == (["VERSION_CONFLICT"], [["input", "expectedVersion"]])
    assert await rows(shop) == before
    assert (await boss(shop, "advanceOrder", **wanted, expectedVersion=1)).outcome == "ok"


async def test_a_delivered_product_is_reviewed_as_a_verified_purchase(shop: TestShop) -> None:
    order = await an_order(shop, OrderStatus.SHIPPED)
    review = {"productId": global_ids.of(PRODUCT), "rating": 5}
    await shop.put(items.user(1))

    await boss(shop, "advanceOrder", id=global_ids.of(order), to="DELIVERED")
    await boss(shop, "advanceOrder", id=global_ids.of(order), to="REFUNDED")
    own = await mutate(shop, "addReview", review, user=CUSTOMER.id)
    other = await mutate(shop, "addReview", review, user="user-1")

    assert own.result["verifiedPurchase"] is True  # also after the refund
    assert other.result["verifiedPurchase"] is False


@pytest.mark.parametrize("status", [OrderStatus.PAID, OrderStatus.DELIVERED])
async def test_a_refund_returns_no_stock(shop: TestShop, status: OrderStatus) -> None:
    order = await an_order(shop, status)

    assert (await boss(shop, "advanceOrder", id=global_ids.of(order), to="REFUNDED")).result
    assert await stock_of(shop, PRODUCT) == PRODUCT.inventory


MOVES = [*itertools.starmap(lambda was, to: (was, "advanceOrder", to), sorted(ADVANCES))]
MOVES += [(was, "cancelOrder", "CANCELLED") for was in sorted(CANCELLABLE["staff"])]


@pytest.mark.parametrize("status", [UserStatus.ACTIVE, UserStatus.DELETED])
@pytest.mark.parametrize(("was", "mutation", "to"), MOVES)
async def test_an_erased_customers_order_loses_its_address_when_it_is_finished(
    shop: TestShop, was: str, mutation: str, to: str, status: UserStatus
) -> None:
    address = msgspec.convert(ADDRESS, Address)
    order = await an_order(shop, OrderStatus(was), shipping_address=address)
    await shop.put(items.user(0, status=status))

    more = {"to": to} if mutation == "advanceOrder" else {}
    assert (await boss(shop, mutation, id=global_ids.of(order), **more)).result["status"] == to

    erased = status is UserStatus.DELETED and OrderStatus(to) in FINISHED
    assert (await in_step(shop, order)).shipping_address == (None if erased else address)


async def test_an_order_that_would_outgrow_its_row_stays_as_it_is(shop: TestShop) -> None:
    room = ROW_BYTES - row_size(orders.row(shop.keys, items.order(1, CUSTOMER.id)))
    [placed] = items.order(1).history
    history = (placed.changed(note="x" * (room - 1_000)),)
    order = await an_order(shop, OrderStatus.PENDING, history=history)
    before = await rows(shop)

    async def cancel(reason: str) -> Written:
        given = {"id": global_ids.of(order), "reason": reason}
        return await mutate(shop, "cancelOrder", given, user=CUSTOMER.id)

    long = await cancel("あ" * 500)  # 1,500 bytes
    assert (long.codes, long.fields) == (["INVALID"], [["input"]])
    assert [call.operation for call in shop.calls] == ["BatchGetItem"] * 2  # nothing was sent
    assert await rows(shop) == before
    assert (await cancel("x" * 500)).outcome == "ok"


# --- what may be ordered ----------------------------------------------------------------------


def line(product: Product, quantity: int = 1, price: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"productId": global_ids.of(product), "quantity": quantity}
    if price is not None:
        found["expectedUnitPrice"] = {"amount": price, "currencyCode": "JPY"}
    return found


async def place(shop: TestShop, *lines: dict[str, Any], **more: Any) -> Written:
    given = {"items": list(lines), "idempotencyKey": "12345678", **more}
    return await mutate(shop, "placeOrder", given, user=CUSTOMER.id)


async def refused(shop: TestShop, *lines: dict[str, Any]) -> list[tuple[str, str]]:
    """The codes, and the paths below `input`, of an order that changes nothing."""
    before = await rows(shop)
    written = await place(shop, *lines)
    assert await rows(shop) == before
    paths = [".".join((field or [])[1:]) for field in written.fields]
    return list(zip(written.codes, paths, strict=True))


async def test_an_order_holds_names_and_prices_as_they_are(shop: TestShop) -> None:
    await shop.put(CUSTOMER, *(items.product(n) for n in range(2)))

    lines = line(items.product(0), 2, "1000"), line(items.product(1), 5)
    placed = (await place(shop, *lines, shippingAddress=ADDRESS)).result

    now = "2026-11-20T12:00:00.000Z"
    assert (
        placed.items()
        >= {
            "status": "PENDING",
            "nextStatuses": ["CANCELLED"],
            "items": [
                {
                    "product": {"id": global_ids.of(items.product(n))},
                    "productName": f"Product {n}",
                    "quantity": quantity,
                    "unitPrice": {"amount": str(1_000 + n)},
                    "lineTotal": {"amount": str(quantity * (1_000 + n))},
                }
                for n, quantity in ((0, 2), (1, 5))
            ],
            "itemCount": 7,
            "total": {"amount": "7005", "currencyCode": "JPY"},
            "shippingAddress": ADDRESS,
            "history": [{"status": "PENDING", "at": now, "note": None}],
            "placedAt": now,
            "updatedAt": now,
            "version": 1,
        }.items()
    )
    _, order_id = global_ids.expect("id", placed["id"], "Order")
    await in_step(shop, items.order(1, CUSTOMER.id, id=order_id))
    assert await listed(shop, "orders(status: PENDING)") == [placed["id"]]
    await boss(shop, "updateProduct", id=global_ids.of(items.product(0)), name="Renamed")
    query = "query($id: ID!) { order(id: $id) { items { productName } } }"
    again = await shop.ask(query, user=CUSTOMER.id, id=placed["id"])
    assert again.data["order"]["items"][0] == {"productName": "Product 0"}


async def test_equal_lines_are_merged_where_the_first_stands(shop: TestShop) -> None:
    goods = items.product(0, inventory=999), items.product(1)
    await shop.put(CUSTOMER, *goods)

    placed = await place(shop, line(goods[0], 400), line(goods[1]), line(goods[0], 599))

    assert [(each["productName"], each["quantity"]) for each in placed.result["items"]] == [
        ("Product 0", 999),
        ("Product 1", 1),
    ]
    assert await stock_of(shop, goods[0]) == 0


async def test_one_product_is_ordered_999_times_at_most(shop: TestShop) -> None:
    product = items.product(0, inventory=5_000)
    await shop.put(CUSTOMER, product)

    too_many = ("INVALID", "items.0.quantity")
    assert await refused(shop, line(product, 1_000)) == [too_many]
    assert await refused(shop, line(product, 0)) == [too_many]
    together = [line(product, 500), line(product, 499), line(product, 1)]
    assert await refused(shop, *together) == [("INVALID", "items.2.quantity")]
    assert (await place(shop, *together[:2])).outcome == "ok"


async def test_an_order_has_50_different_products_at_most(shop: TestShop) -> None:
    goods = [items.product(n) for n in range(MOST_PRODUCTS + 1)]
    await shop.put(CUSTOMER, *goods)

    assert await refused(shop, *map(line, goods)) == [("INVALID", "items")]
    placed = await place(shop, *map(line, goods[:MOST_PRODUCTS]), line(goods[0]))
    assert placed.result["itemCount"] == MOST_PRODUCTS + 1
    cancelled = await boss(shop, "cancelOrder", id=placed.result["id"])
    assert cancelled.outcome == "ok"
    assert {await stock_of(shop, product) for product in goods} == {5}


async def test_an_order_of_nothing_is_invalid(shop: TestShop) -> None:
    await shop.put(CUSTOMER)

    assert await refused(shop) == [("INVALID", "items")]


@pytest.mark.parametrize("status", [None, ProductStatus.DRAFT, ProductStatus.ARCHIVED])
async def test_what_is_not_for_sale_is_unavailable(
    shop: TestShop, status: ProductStatus | None
) -> None:
    await shop.put(CUSTOMER, PRODUCT)
    if status:
        await shop.put(items.product(0, status=status))

    lines = line(items.product(0)), line(PRODUCT)
    assert await refused(shop, *lines) == [("PRODUCT_UNAVAILABLE", "items.0.productId")]


async def test_a_price_that_was_expected_is_the_price(shop: TestShop) -> None:
    await shop.put(CUSTOMER, PRODUCT)

    changed = ("PRICE_CHANGED", "items.0.expectedUnitPrice")
    assert await refused(shop, line(PRODUCT, 1, "1000")) == [changed]
    # Each line of a product may expect a price of its own.
    lines = line(PRODUCT, 1, "1001"), line(PRODUCT), line(PRODUCT, 1, "1002")
    second = ("PRICE_CHANGED", "items.2.expectedUnitPrice")
    assert await refused(shop, *lines) == [second]
    assert (await place(shop, *lines[:2])).outcome == "ok"


async def test_a_price_is_expected_in_the_currency_of_the_shop(shop: TestShop) -> None:
    await shop.put(CUSTOMER, PRODUCT)
    dollars = {**line(PRODUCT), "expectedUnitPrice": {"amount": "1001", "currencyCode": "USD"}}

    wrong = ("INVALID", "items.0.expectedUnitPrice.currencyCode")
    assert await refused(shop, dollars) == [wrong]


async def test_all_that_is_wrong_with_the_lines_is_said_at_once(shop: TestShop) -> None:
    goods = [items.product(n) for n in range(4)]
    archived = items.product(4, status=ProductStatus.ARCHIVED)
    await shop.put(CUSTOMER, *goods, archived)

    assert await refused(
        shop,
        line(goods[0], 6),
        line(goods[1], 5),
        line(archived),
        line(goods[2], 3, "1"),
        line(goods[3], 4),
        line(goods[3], 2),
    ) == [
        ("OUT_OF_STOCK", "items.0.quantity"),
        ("PRODUCT_UNAVAILABLE", "items.2.productId"),
        ("PRICE_CHANGED", "items.3.expectedUnitPrice"),
        ("OUT_OF_STOCK", "items.4.quantity"),
    ]


async def test_an_address_is_checked_with_the_rest(shop: TestShop) -> None:
    await shop.put(CUSTOMER, PRODUCT)

    bad = {**ADDRESS, "countryCode": "Japan", "city": ""}
    given = {"items": [line(PRODUCT, 0)], "idempotencyKey": "short", "shippingAddress": bad}
    wrong = await mutate(shop, "placeOrder", given, user=CUSTOMER.id)

    assert [".".join(field or []) for field in wrong.fields] == [
        "input.items.0.quantity",
        "input.shippingAddress.city",
        "input.shippingAddress.countryCode",
        "input.idempotencyKey",
    ]
