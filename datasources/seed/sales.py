"""Orders: who bought what and when, and what became of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from datasources.ids import uuid7
from datasources.items import Address, Order, OrderLine, OrderStatus, StatusChange, UserStatus
from datasources.order_numbers import order_number
from datasources.seed import words
from datasources.seed.chance import (
    DAY,
    HOUR,
    MINUTE,
    YEAR,
    between,
    moment,
    source,
    source_of,
    weighted,
)
from datasources.seed.goods import Good
from datasources.seed.people import Customer

PENDING, PAID, SHIPPED, DELIVERED, CANCELLED, REFUNDED = OrderStatus
_FINISHED = {DELIVERED, CANCELLED, REFUNDED}
# How many orders have each status now, and how long ago, at least and at most, such an order was
# placed: long enough for its history, and not so long that somebody would have complained.
_SHARES: dict[OrderStatus, float] = {
    PENDING: 2, PAID: 2.5, SHIPPED: 3.5, DELIVERED: 80, CANCELLED: 7, REFUNDED: 5
}  # fmt: skip
_AGES = {
    PENDING: (MINUTE, 36 * HOUR),
    PAID: (7 * HOUR, 3 * DAY),
    SHIPPED: (3 * DAY, 9 * DAY),
    DELIVERED: (8 * DAY, YEAR),
    CANCELLED: (DAY, YEAR),
    REFUNDED: (20 * DAY, YEAR),
}
# How long an order takes to come to a status from the one before.
_STEPS = {
    PAID: (MINUTE, 6 * HOUR),
    SHIPPED: (8 * HOUR, 2 * DAY),
    DELIVERED: (12 * HOUR, 4 * DAY),
    CANCELLED: (5 * MINUTE, 12 * HOUR),
    REFUNDED: (DAY, 10 * DAY),
}
# From first to last; one of them, where there are several ways to a status.
_PATHS: dict[OrderStatus, dict[tuple[OrderStatus, ...], float]] = {
    PENDING: {(): 1},
    PAID: {(PAID,): 1},
    SHIPPED: {(PAID, SHIPPED): 1},
    DELIVERED: {(PAID, SHIPPED, DELIVERED): 1},
    CANCELLED: {(CANCELLED,): 0.6, (PAID, CANCELLED): 0.4},
    REFUNDED: {(PAID, SHIPPED, DELIVERED, REFUNDED): 0.7, (PAID, REFUNDED): 0.3},
}
_DEAR = 8_000
_NOTES = {SHIPPED: 0.3, CANCELLED: 0.8, REFUNDED: 0.9}


@dataclass(frozen=True, slots=True)
class Sale:
    """An order before it is written out; `changes` are what came after PENDING."""

    id: str
    customer: Customer
    placed: int
    lines: tuple[tuple[Good, int], ...]
    changes: tuple[tuple[OrderStatus, int], ...]

    @property
    def status(self) -> OrderStatus:
        return self.changes[-1][0] if self.changes else PENDING

    @property
    def delivered(self) -> int | None:
        """When the customer got it, also where it was refunded after."""
        return dict(self.changes).get(DELIVERED)

    def order(self) -> Order:
        """The order; what is random in it comes from its ID."""
        chance = source_of(self.id)
        lines = tuple(
            OrderLine(
                product_id=good.product.id,
                product_name=good.product.name,
                quantity=quantity,
                unit_price=good.price_at(self.placed),
            )
            for good, quantity in self.lines
        )
        steps = ((PENDING, self.placed), *self.changes)
        history = tuple(
            StatusChange(status=status, at=moment(at), note=self._note(chance, status))
            for status, at in steps
        )
        return Order(
            id=self.id,
            user_id=self.customer.user.id,
            number=order_number(source(self.id).getrandbits),
            status=self.status,
            items=lines,
            total=sum(line.quantity * line.unit_price for line in lines),
            shipping_address=self._address(chance),
            history=history,
            placed_at=history[0].at,
            updated_at=history[-1].at,
            version=len(history),
        )

    def _note(self, chance: Random, status: OrderStatus) -> str | None:
        if chance.random() >= _NOTES.get(status, 0):
            return None
        return chance.choice(words.opinions().notes[status][self.customer.language])

    def _address(self, chance: Random) -> Address | None:
        """Some collect their order; an erased customer's address leaves what is finished."""
        erased = self.customer.user.status is UserStatus.DELETED
        if chance.random() < 0.04 or (erased and self.status in _FINISHED):
            return None
        return self.customer.address


class Shelf:
    """What can be bought at a time, the popular more often (Zipf's law, a little flattened)."""

    def __init__(self, seed: object, goods: Sequence[Good]) -> None:
        self._always = goods[0]
        self._goods = list(goods)
        source(seed, "popularity").shuffle(self._goods)
        self._cumulative = list(accumulate(popularity(rank) for rank in range(len(goods))))

    def pick(self, chance: Random, time: int, count: int) -> list[Good]:
        """At most `count` different products, at least one."""
        drawn = chance.choices(self._goods, cum_weights=self._cumulative, k=4 * count)
        sold = {good.product.id: good for good in drawn if good.is_sold_at(time)}
        return list(sold.values())[:count] or [self._always]


def popularity(rank: int) -> float:
    return 1.0 / math.pow(rank + 8, 0.8)


def sales(
    seed: object, count: int, customers: Sequence[Customer], goods: Sequence[Good], now: int
) -> list[Sale]:
    """`count` orders of the last year, oldest first; of six or more, one at least has each status.

    `customers` are in the order in which they came, the first before the year began; so is the
    first of `goods`, and it is always for sale.
    """
    if not count:
        return []
    chance = source(seed, "sales")
    shelf = Shelf(seed, goods)
    came = [customer.since for customer in customers]
    statuses = [*OrderStatus][:count]
    statuses += chance.choices([*_SHARES], [*_SHARES.values()], k=count - len(statuses))
    made = []
    for status in statuses:
        placed = now - between(chance, *_AGES[status])
        customer = _customer(chance, customers[: bisect_right(came, placed)], placed)
        made.append(sale(chance, shelf, customer, status, placed))
    return sorted(made, key=lambda sale: sale.placed)


def sale(
    chance: Random,
    shelf: Shelf,
    customer: Customer,
    status: OrderStatus,
    placed: int,
    first: Sequence[Good] = (),
) -> Sale:
    """An order placed at a time, which has come to a status since; with `first` as first lines."""
    wanted = weighted(chance, {1: 0.45, 2: 0.27, 3: 0.15, 4: 0.08, 5: 0.05})
    picked = {good.product.id: good for good in (*first, *shelf.pick(chance, placed, wanted))}
    lines = tuple((good, _quantity(chance, good)) for good in picked.values())
    changes, at = [], placed
    for step in weighted(chance, _PATHS[status]):
        at += between(chance, *_STEPS[step])
        changes.append((step, at))
    return Sale(uuid7(placed, chance.getrandbits), customer, placed, lines, tuple(changes))


def _quantity(chance: Random, good: Good) -> int:
    """Of what is dear, nobody buys several."""
    if good.product.price >= _DEAR:
        return 1
    return weighted(chance, {1: 0.75, 2: 0.16, 3: 0.06, 5: 0.03})


def _customer(chance: Random, there: Sequence[Customer], placed: int) -> Customer:
    """Still there then; the longer somebody has been there, the more they have ordered."""
    while True:
        one = there[int(len(there) * chance.random() ** 1.5)]
        if placed < one.until:  # always so of the first
            return one
