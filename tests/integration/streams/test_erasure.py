"""What is left of an erased user goes, by the stream and by the command, and once is enough."""

from __future__ import annotations

from datetime import timedelta

import pytest

from datasources.erasure import finish, finish_all
from datasources.items import Address, Order, OrderStatus, UserStatus, from_row
from streams.reactions.erasure import ErasureReaction
from tests.support import items
from tests.support.changes import change
from tests.support.shop import TestShop

ADDRESS = Address(
    recipient="田中 太郎", line1="1-2-3", city="札幌市", postal_code="060-0001", country_code="JP"
)
ERASED = items.user(0, username="deleted-0123abcd", email=None, status=UserStatus.DELETED)
LATER = items.NOW + timedelta(hours=1)


async def stored(shop: TestShop) -> dict[str, Order]:
    found = {}
    for number in range(len(OrderStatus)):
        key = shop.keys.order(ERASED.id, items.order(number).id)
        item = from_row((await shop.table().batch_get([key], consistent=True))[key])
        assert isinstance(item, Order)
        found[item.status.value] = item
    return found


@pytest.fixture
async def erased(shop: TestShop) -> TestShop:
    """An erased user with an order in every status, each with an address."""
    orders = (
        items.order(number, ERASED.id, status=status, shipping_address=ADDRESS)
        for number, status in enumerate(OrderStatus)
    )
    await shop.put(ERASED, *orders)
    return shop


async def test_finished_orders_lose_their_address_and_others_keep_it(erased: TestShop) -> None:
    removed = await finish(erased.table(), erased.keys, ERASED.id, LATER)

    assert removed == 3
    found = await stored(erased)
    kept = {status for status, order in found.items() if order.shipping_address}
    assert kept == {"PENDING", "PAID", "SHIPPED"}
    assert (found["DELIVERED"].version, found["DELIVERED"].updated_at) == (2, LATER)
    assert found["PENDING"].version == 1


async def test_the_command_can_be_run_again(erased: TestShop) -> None:
    assert await finish_all(erased.table, erased.keys, LATER) == 3
    assert await finish_all(erased.table, erased.keys, LATER) == 0


async def test_the_stream_does_the_same_when_a_user_is_erased(erased: TestShop) -> None:
    made = change(items.user(0), ERASED, tenant=erased.tenant)
    reaction = ErasureReaction(erased.table, lambda: LATER)

    await reaction.react(made)
    await reaction.react(made)

    assert (await stored(erased))["CANCELLED"].shipping_address is None


async def test_an_order_that_finishes_after_the_erasure_loses_its_address(
    erased: TestShop,
) -> None:
    reaction = ErasureReaction(erased.table, lambda: LATER)
    orders = await stored(erased)
    for status in ("SHIPPED", "DELIVERED"):
        await reaction.react(change(orders["PAID"], orders[status], tenant=erased.tenant))

    found = await stored(erased)
    assert found["SHIPPED"].shipping_address == ADDRESS
    assert found["DELIVERED"].shipping_address is None


async def test_a_customer_who_is_there_keeps_the_address_of_a_finished_order(
    shop: TestShop,
) -> None:
    order = items.order(0, status=OrderStatus.DELIVERED, shipping_address=ADDRESS)
    await shop.put(items.user(0), order)

    await ErasureReaction(shop.table, lambda: LATER).react(change(None, order, tenant=shop.tenant))

    key = shop.keys.order(order.user_id, order.id)
    assert from_row((await shop.table().batch_get([key], consistent=True))[key]) == order


async def test_a_user_who_is_not_erased_keeps_everything(shop: TestShop) -> None:
    await shop.put(
        items.user(0),
        items.order(0, status=OrderStatus.DELIVERED, shipping_address=ADDRESS),
    )

    assert await finish_all(shop.table, shop.keys, LATER) == 0
