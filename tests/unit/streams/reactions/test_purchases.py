from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from datasources import orders, reviews
from datasources.errors import TransactionCancelled
from datasources.items import Item, OrderLine, OrderStatus, Review, Row
from datasources.keys import LOADED, PK, SK, Key
from datasources.table import Table
from datasources.writes import Action, Update
from streams.changes import read_change
from streams.reactions.purchases import PurchaseReaction
from tests.support.items import new_id, order, product, review, user
from tests.unit.streams.scripted import KEYS, NOW, record, row

PRODUCTS = [new_id(n, "product") for n in range(3)]
LINES = tuple(
    OrderLine(product_id=product_id, product_name="P", quantity=1, unit_price=500)
    for product_id in (*PRODUCTS, PRODUCTS[0])
)
SHIPPED = order(1, "user-1", status=OrderStatus.SHIPPED, lines=LINES)
DELIVERED = order(1, "user-1", status=OrderStatus.DELIVERED, lines=LINES)
REVIEW = review(1, PRODUCTS[0], "user-1")
VERIFIED = REVIEW.changed(verified_purchase=True)


@dataclass
class Rows(Table):
    """Rows in memory; `asked` are the keys that were read, all of them consistently."""

    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    asked: list[Key] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def hold(self, *rows: dict[str, Any]) -> None:
        self.rows |= {Key(each[PK], each[SK]): each for each in rows}

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = False) -> dict[Key, Row]:
        assert consistent
        wanted = list(dict.fromkeys(keys))
        self.asked += wanted
        return {key: self.rows[key] for key in wanted if key in self.rows}

    async def transact(self, actions: Sequence[Action], *, token: str) -> None:
        [action] = actions
        assert isinstance(action, Update)
        self.tokens.append(token)
        there = self.rows.get(action.key)
        if there is None or there.get("verifiedPurchase"):
            raise TransactionCancelled([there or {}])
        there["verifiedPurchase"] = True


@dataclass
class Shop:
    rows: Rows = field(default_factory=lambda: Rows(cast("Any", None), "shop", 0.0))

    async def react(self, old: Any = None, new: Any = None) -> None:
        change = read_change(record(1, old, new))
        assert change is not None
        await PurchaseReaction(lambda: self.rows, lambda: "token").react(change)

    def write(self, *written: Review) -> None:
        for each in written:
            self.rows.hold(row(each), reviews.reviewed_row(KEYS, each))

    def is_verified(self, written: Review) -> bool:
        return bool(self.rows.rows[KEYS.review(written.product_id, written.id)]["verifiedPurchase"])


async def test_a_delivery_verifies_what_its_customer_had_written_of_its_products() -> None:
    shop = Shop()
    mine = [review(n, PRODUCTS[n], "user-1") for n in (0, 1)]
    others = [review(8, PRODUCTS[0], "user-2"), review(9, new_id(9, "product"), "user-1")]
    shop.write(*mine, *others)
    await shop.react(SHIPPED, DELIVERED)
    assert [shop.is_verified(each) for each in (*mine, *others)] == [True, True, False, False]


async def test_each_product_is_looked_for_once() -> None:
    shop = Shop()
    await shop.react(SHIPPED, DELIVERED)
    assert shop.rows.asked == [KEYS.reviewed("user-1", product_id) for product_id in PRODUCTS]


async def test_a_delivery_that_comes_again_changes_nothing() -> None:
    shop = Shop()
    shop.write(REVIEW)
    await shop.react(SHIPPED, DELIVERED)
    await shop.react(SHIPPED, DELIVERED)
    assert shop.is_verified(REVIEW)


async def test_an_order_that_another_program_writes_as_delivered_counts() -> None:
    shop = Shop()
    shop.write(REVIEW)
    await shop.react(None, DELIVERED)
    assert shop.is_verified(REVIEW)


async def test_a_review_that_is_gone_is_passed_over_and_the_others_remain() -> None:
    shop = Shop()
    rest = review(2, PRODUCTS[1], "user-1")
    shop.write(REVIEW, rest)
    del shop.rows.rows[KEYS.review(REVIEW.product_id, REVIEW.id)]
    await shop.react(SHIPPED, DELIVERED)
    assert shop.is_verified(rest)


async def test_a_review_that_crossed_its_delivery_is_verified_when_it_comes() -> None:
    shop = Shop()
    shop.write(REVIEW)
    shop.rows.hold(*orders.purchased_rows(KEYS, DELIVERED, NOW))
    await shop.react(None, REVIEW)
    assert shop.is_verified(REVIEW)
    assert shop.rows.asked == [KEYS.purchased("user-1", PRODUCTS[0])]
    assert shop.rows.tokens == ["token"]


async def test_a_review_without_a_delivery_stays_as_it_is() -> None:
    shop = Shop()
    shop.write(REVIEW)
    await shop.react(None, REVIEW)
    assert not shop.is_verified(REVIEW)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (DELIVERED, DELIVERED.changed(version=2)),
        (DELIVERED, DELIVERED.changed(status=OrderStatus.REFUNDED)),
        (None, SHIPPED),
        (DELIVERED, None),
        (None, VERIFIED),
        (REVIEW, REVIEW.changed(rating=1)),
        (REVIEW, VERIFIED),
        (REVIEW, None),
        (None, product(1)),
        (None, user(1)),
        (None, {**row(DELIVERED), LOADED: True}),
        (None, {**row(REVIEW), LOADED: True}),
    ],
)
async def test_nothing_else_leads_to_anything(old: Item | None, new: Item | None) -> None:
    shop = Shop()
    shop.write(REVIEW)
    shop.rows.hold(*orders.purchased_rows(KEYS, DELIVERED, NOW))
    await shop.react(old, new)
    assert not shop.rows.asked
    assert not shop.rows.tokens
