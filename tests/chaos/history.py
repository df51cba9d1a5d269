"""What clients saw, what the store holds in the end, and whether both can be true."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SOON = 10.0  # seconds in which a socket is back


class Change(NamedTuple):
    """An event of one product: its stock before and after."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that a customer was told of, under its idempotency key; units by product."""

    customer: str
    key: str
    order: str
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stored:
    """An order as the store has it."""

    customer: str
    order: str
    cancelled: bool
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gap:
    """Seconds that a listener's socket was away, and whether a restart was all that went on when
    it left."""

    listener: str
    seconds: float
    restarting: bool


@dataclass
class History:
    """`odd` is what no client should ever be told."""

    placed: list[Placed] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    heard: defaultdict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    gaps: list[Gap] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The store when all is over: its orders, and the stock of each product, then and now.
    `listens` is the product of each listener."""

    orders: Sequence[Stored]
    stock_before: Mapping[str, int]
    stock_after: Mapping[str, int]
    listens: Mapping[str, str]


def violations(history: History, outcome: Outcome) -> list[str]:
    """Whatever cannot be, in words; nothing where all is as it should be."""
    found = list(history.odd)
    for check in (_orders, _stock, _events):
        found += check(history, outcome)
    found += [
        f"{gap.listener} was away for {gap.seconds:.1f} s of a restart"
        for gap in history.gaps
        if gap.restarting and gap.seconds > SOON
    ]
    return found


def _orders(history: History, outcome: Outcome) -> Iterator[str]:
    """Each order once: those that customers know are those that there are."""
    stored = {each.order: each for each in outcome.orders}
    if len(stored) < len(outcome.orders):
        yield "an order is stored twice"
    by_key: dict[tuple[str, str], str] = {}
    by_order: dict[str, str] = {}
    for each in history.placed:
        other = by_key.setdefault((each.customer, each.key), each.order)
        if other != each.order:
            yield f"key {each.key} has placed two orders: {other} and {each.order}"
        first = by_order.setdefault(each.order, each.key)
        if first != each.key:
            yield f"keys {first} and {each.key} were told of one order: {each.order}"
        kept = stored.get(each.order)
        if kept is None:
            yield f"order {each.order} of {each.customer} is lost"
        elif (kept.customer, kept.units) != (each.customer, each.units):
            yield f"order {each.order} is not what {each.customer} has ordered"
    for unknown in stored.keys() - set(by_key.values()):
        yield f"order {unknown} of {stored[unknown].customer} was never answered for"
    for order in history.cancelled:
        if order in stored and not stored[order].cancelled:
            yield f"order {order} was cancelled, and is not"
    for each_stored in outcome.orders:
        if each_stored.cancelled and each_stored.order not in history.cancelled:
            yield f"order {each_stored.order} is cancelled, and nobody did that"


def _stock(_history: History, outcome: Outcome) -> Iterator[str]:
    """What has left the stock is in orders that stand."""
    sold: Counter[str] = Counter()
    for each in outcome.orders:
        if not each.cancelled:
            sold.update(each.units)
    for product, before in outcome.stock_before.items():
        expected, is_there = before - sold[product], outcome.stock_after[product]
        if expected != is_there:
            yield f"{product} should have {expected} in stock and has {is_there}"


def _events(history: History, outcome: Outcome) -> Iterator[str]:
    """Every change of an item once and in order: each begins where the one before has ended."""
    for listener, product in outcome.listens.items():
        stock = outcome.stock_before[product]
        for number, change in enumerate(history.heard[listener]):
            if change.before != stock:
                yield f"event {number} of {listener} begins at {change.before}, not at {stock}"
            stock = change.after
        if stock != outcome.stock_after[product]:
            yield f"{listener} heard of {stock} last, not of {outcome.stock_after[product]}"
