"""Reviews and deliveries in either order, in the real store: in the end the review is verified."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest

from datasources import orders
from datasources.items import Item, Order, OrderLine, OrderStatus, Review, UserStatus, from_row
from streams.changes import Change, ChangeKind
from streams.reactions.purchases import PurchaseReaction
from tests.support import items
from tests.support.shop import TestShop

AUTHOR = "user-0"
PRODUCTS = [items.new_id(n, "product") for n in range(50)]
LINES = tuple(
    OrderLine(product_id=product_id, product_name="P", quantity=1, unit_price=1)
    for product_id in PRODUCTS
)
SHIPPED = items.order(0, AUTHOR, status=OrderStatus.SHIPPED, lines=LINES)
DELIVERED = items.order(0, AUTHOR, status=OrderStatus.DELIVERED, lines=LINES)
REVIEW = items.review(1, PRODUCTS[1], AUTHOR)


def change(shop: TestShop, old: Item | None, new: Item) -> Change:
    return Change(
        entity=type(new),
        kind=ChangeKind.UPDATED if old else ChangeKind.CREATED,
        old=old,
        new=new,
        event_id="1",
        sequence_number="1",
        occurred_at=items.NOW,
        tenant=shop.tenant,
    )


async def deliver(shop: TestShop) -> None:
    """As `advanceOrder` does: the order and what was purchased in one go."""
    await shop.put(DELIVERED)
    await shop.put_rows(orders.purchased_rows(shop.keys, DELIVERED, items.NOW))


async def stored(shop: TestShop, review: Review) -> Review:
    key = shop.keys.review(review.product_id, review.id)
    found = from_row((await shop.table().batch_get([key], consistent=True))[key])
    assert isinstance(found, Review)
    return found


@pytest.fixture
def reaction(shop: TestShop) -> PurchaseReaction:
    return PurchaseReaction(shop.table, lambda: str(uuid.uuid4()))


async def test_fifty_reviews_from_before_the_delivery_are_verified_and_not_otherwise_touched(
    shop: TestShop, reaction: PurchaseReaction
) -> None:
    before = [items.review(n, product_id, AUTHOR) for n, product_id in enumerate(PRODUCTS)]
    await shop.put(*before)
    await deliver(shop)
    await reaction.react(change(shop, SHIPPED, DELIVERED))
    await reaction.react(change(shop, SHIPPED, DELIVERED))
    for review in before:
        assert await stored(shop, review) == review.changed(verified_purchase=True)


async def test_a_review_and_a_delivery_at_the_same_time_come_together(
    shop: TestShop, reaction: PurchaseReaction
) -> None:
    """The review found no delivery, the delivery found no review: the review's own insert does."""
    await deliver(shop)
    await reaction.react(change(shop, SHIPPED, DELIVERED))
    await shop.put(REVIEW)
    await asyncio.gather(
        reaction.react(change(shop, None, REVIEW)),
        reaction.react(change(shop, SHIPPED, DELIVERED)),
    )
    assert (await stored(shop, REVIEW)).verified_purchase


async def test_an_edit_meanwhile_is_kept(shop: TestShop, reaction: PurchaseReaction) -> None:
    edited = REVIEW.changed(rating=1, updated_at=items.NOW + timedelta(minutes=5))
    await shop.put(edited)
    await deliver(shop)
    await reaction.react(change(shop, None, REVIEW))
    assert await stored(shop, edited) == edited.changed(verified_purchase=True)


async def test_the_review_of_an_erased_user_is_verified_like_any_other(
    shop: TestShop, reaction: PurchaseReaction
) -> None:
    await shop.put(items.user(0, username="deleted-1", email=None, status=UserStatus.DELETED))
    await shop.put(REVIEW)
    await deliver(shop)
    await reaction.react(change(shop, SHIPPED, DELIVERED))
    assert (await stored(shop, REVIEW)).verified_purchase


async def test_a_review_that_is_gone_is_not_made_anew(
    shop: TestShop, reaction: PurchaseReaction
) -> None:
    await deliver(shop)
    await reaction.react(change(shop, None, REVIEW))
    key = shop.keys.review(REVIEW.product_id, REVIEW.id)
    assert await shop.table().batch_get([key], consistent=True) == {}


async def test_an_undelivered_order_verifies_nothing(
    shop: TestShop, reaction: PurchaseReaction
) -> None:
    await shop.put(SHIPPED, REVIEW)
    pending: Order = SHIPPED.changed(status=OrderStatus.PAID)
    await reaction.react(change(shop, pending, SHIPPED))
    await reaction.react(change(shop, None, REVIEW))
    assert not (await stored(shop, REVIEW)).verified_purchase
