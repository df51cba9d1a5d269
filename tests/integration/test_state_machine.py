"""A shop driven at random beside a dictionary that says what it should have come to.

Whatever is done, by whomever and over whatever line: stock at the start and all adjustments
together are the stock now and the units in orders that are not cancelled.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from datasources.client import Endpoint, open_client
from datasources.items import Order, OrderStatus, Product, ProductStatus, Row
from datasources.queries import Query, QueryPage
from resolvers import global_ids
from resolvers.orders import TRANSITIONS
from tests.support import items
from tests.support.ordering import ADJUST, ADVANCE, CANCEL, PLACE, UPDATE_PRODUCT, line, order
from tests.support.proxy import Fault, FaultProxy, fault_proxy
from tests.support.shop import TestShop

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

START = 12
GOODS = [items.product(n, category=None, inventory=START) for n in range(3)]
CUSTOMERS = ("user-0", "user-1")
RUNS, STEPS = 15, 50
RETRYABLE = {"SERVICE_UNAVAILABLE", "THROTTLED", "DEADLINE_EXCEEDED"}

Errors = list[tuple[str, str]]
Lines = list[tuple[int, int, str]]

one_product = st.sampled_from(range(len(GOODS)))
one_customer = st.sampled_from(CUSTOMERS)
one_of_the_orders = st.integers(0, 99)
# Which product, how many, and at which price it is expected: today's, the first, or any.
one_line = st.tuples(one_product, st.integers(1, 5), st.sampled_from(("", "", "now", "first")))
some_lines = st.lists(one_line, min_size=1, max_size=4)


@dataclass
class World:
    """What all runs share: a client that is never disturbed, and one over the line in question."""

    table: str
    runner: asyncio.Runner
    clean: DynamoDBClient
    line: DynamoDBClient
    proxy: FaultProxy | None
    steps: int = 0
    repeated: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass
class Thing:
    """A product as it should be."""

    price: int
    status: ProductStatus = ProductStatus.ACTIVE
    stock: int = START
    adjusted: int = 0


@dataclass
class Bought:
    """An order as it should be."""

    id: str
    customer: str
    given: dict[str, Any]
    units: Counter[int]
    total: int
    path: list[OrderStatus] = field(default_factory=lambda: [OrderStatus.PENDING])


class Shopping(RuleBasedStateMachine):
    """Each rule does one thing to the shop and to the dictionary, and compares the answers."""

    world: ClassVar[World]

    @initialize(seed=st.integers(0, 2**32 - 1))
    def a_new_shop(self, seed: int) -> None:
        """The faults of the line are those of the seed, where it has any."""
        tenant = f"t-{uuid.uuid4().hex[:12]}"
        self.clean = TestShop(self.world.clean, self.world.table, tenant)
        self.over_the_line = TestShop(self.world.line, self.world.table, tenant)
        self.world.runner.run(self.clean.put(items.user(0), items.user(1), *GOODS))
        if self.world.proxy:
            self.world.proxy.reseed(seed)
        self.things = [Thing(product.price) for product in GOODS]
        self.orders: dict[tuple[str, str], Bought] = {}
        self.adjustments: dict[str, tuple[int, int]] = {}

    # --- what is done -----------------------------------------------------------------------

    @rule(customer=one_customer, number=st.integers(0, 15), lines=some_lines)
    def place(self, customer: str, number: int, lines: Lines) -> None:
        given = order(*(self._line(*each) for each in lines), key=f"key-{number:04}")
        before = self.orders.get((customer, given["idempotencyKey"]))
        if before is not None:
            return self._place_again(before, given)
        answer, errors, sent = self._write(PLACE, customer, given)
        expected = self._objections(lines)
        assert errors == expected
        if not expected:
            assert answer["replayed"] is False or sent > 1
            self._note(customer, given, lines, answer["order"])
        return None

    @precondition(lambda self: self.orders)
    @rule(which=one_of_the_orders)
    def repeat(self, which: int) -> None:
        bought = self._order(which)
        self._place_again(bought, bought.given)

    @precondition(lambda self: self.orders)
    @rule(which=one_of_the_orders, who=st.sampled_from(("boss", *CUSTOMERS)))
    def cancel(self, which: int, who: str) -> None:
        bought = self._order(which)
        answer, errors, _ = self._write(CANCEL, who, {"id": bought.id})
        status = bought.path[-1]
        if who not in {"boss", bought.customer}:
            assert errors == [("NOT_FOUND", "input.id")]
        elif status in {"PENDING", "CANCELLED"} or (status == "PAID" and who == "boss"):
            assert errors == []
            if status is not OrderStatus.CANCELLED:
                bought.path.append(OrderStatus.CANCELLED)
                for number, units in bought.units.items():
                    self.things[number].stock += units
            assert answer["order"]["version"] == len(bought.path)
        else:
            assert errors == [("INVALID_TRANSITION", "input.id")]

    @precondition(lambda self: self.orders)
    @rule(which=one_of_the_orders, to=st.none() | st.sampled_from(OrderStatus))
    def advance(self, which: int, to: OrderStatus | None) -> None:
        """To any status, or where an order goes from here."""
        bought = self._order(which)
        onward = TRANSITIONS[bought.path[-1]]
        to = to or (onward[0] if onward else OrderStatus.PAID)
        _, errors, sent = self._write(ADVANCE, "boss", {"id": bought.id, "to": to})
        if to is OrderStatus.CANCELLED or to not in onward:
            assert errors == [("INVALID_TRANSITION", "input.to")]
            return
        # Sent again after its answer was lost, it finds the order moved already.
        assert errors == [] or (sent > 1 and errors == [("INVALID_TRANSITION", "input.to")])
        bought.path.append(to)

    @rule(number=one_product, delta=st.integers(-8, 8).filter(bool), key=st.integers(0, 9))
    def adjust(self, number: int, delta: int, key: int) -> None:
        thing, name = self.things[number], f"adjustment-{key}"
        given = {"productId": global_ids.of(GOODS[number]), "delta": delta, "idempotencyKey": name}
        answer, errors, _ = self._write(ADJUST, "boss", given)
        before = self.adjustments.get(name)
        if before not in {None, (number, delta)}:
            assert errors == [("IDEMPOTENCY_KEY_REUSED", "input.idempotencyKey")]
        elif before is None and thing.stock + delta < 0:
            assert errors == [("OUT_OF_STOCK", "input.delta")]
        else:
            if before is None:
                self.adjustments[name] = (number, delta)
                thing.stock += delta
                thing.adjusted += delta
            assert errors == []
            assert answer["product"]["inventory"] == thing.stock

    @rule(number=one_product, price=st.sampled_from((900, 1_000, 1_001, 1_002)))
    def change_a_price(self, number: int, price: int) -> None:
        self.things[number].price = price
        amount = {"amount": str(price), "currencyCode": "JPY"}
        answer, errors, _ = self._write(
            UPDATE_PRODUCT, "boss", {"id": global_ids.of(GOODS[number]), "price": amount}
        )
        assert errors == []
        assert answer["product"]["price"]["amount"] == str(price)

    @rule(number=one_product, status=st.sampled_from((*ProductStatus, *[ProductStatus.ACTIVE] * 3)))
    def change_a_status(self, number: int, status: ProductStatus) -> None:
        self.things[number].status = status
        answer, errors, _ = self._write(
            UPDATE_PRODUCT, "boss", {"id": global_ids.of(GOODS[number]), "status": status}
        )
        assert errors == []
        assert answer["product"]["status"] == status

    # --- what always holds ------------------------------------------------------------------

    @rule(customer=one_customer)
    def look_for_orders_that_nobody_placed(self, customer: str) -> None:
        pk, whole = self.clean.keys.orders_of(customer)

        async def read() -> QueryPage[Row]:
            return await self.clean.table().query(Query(pk, whole), limit=500, consistent=True)

        found = self.world.runner.run(read()).rows
        known = {bought.id for bought in self.orders.values() if bought.customer == customer}
        assert {global_ids.of(Order.of(row)) for row in found} == known
        self.world.steps += 1

    @invariant()
    def nothing_is_lost_and_nothing_doubled(self) -> None:
        products, orders = self.world.runner.run(self._stored())
        assert [(each.inventory, each.price, each.status) for each in products] == [
            (thing.stock, thing.price, thing.status) for thing in self.things
        ]
        assert [
            ([entry.status for entry in each.history], _units(each), each.total, each.version)
            for each in orders
        ] == [
            (bought.path, bought.units, bought.total, len(bought.path))
            for bought in self.orders.values()
        ]
        live = [each for each in orders if each.status is not OrderStatus.CANCELLED]
        sold = sum((_units(each) for each in live), Counter[int]())
        for number, thing in enumerate(self.things):
            assert START + thing.adjusted == products[number].inventory + sold[number]

    async def _stored(self) -> tuple[list[Product], list[Order]]:
        """The products and the orders of the dictionary as the table has them."""
        keys = self.clean.keys
        things = [keys.product(each.id) for each in GOODS]
        orders = [
            keys.order(*global_ids.expect("id", bought.id, "Order"))
            for bought in self.orders.values()
        ]
        rows = await self.clean.table().batch_get([*things, *orders], consistent=True)
        return (
            [Product.of(rows[key]) for key in things],
            [Order.of(rows[key]) for key in orders],
        )

    # --- how it is done ---------------------------------------------------------------------

    def _write(
        self, query: str, who: str, given: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Errors, int]:
        """The payload and the user errors of a mutation, and how often it was sent: again
        for as long as the answer is that it may be repeated."""
        for sent in range(1, 50):
            result = self.world.runner.run(
                self.over_the_line.write(query, user=who, staff=who == "boss", input=given)
            )
            if not result.errors:
                [answer] = result.data.values()
                errors = [(e["code"], ".".join(e["field"] or ())) for e in answer["userErrors"]]
                self.world.steps += 1
                self.world.outcomes.update({code for code, _ in errors} or {"done"})
                return answer, errors, sent
            assert self.world.proxy is not None, result.errors
            assert set(result.codes) <= RETRYABLE, result.errors
            self.world.repeated += 1
        raise AssertionError("no answer in 50 attempts")

    def _place_again(self, bought: Bought, given: dict[str, Any]) -> None:
        answer, errors, _ = self._write(PLACE, bought.customer, given)
        if given != bought.given:
            assert errors == [("IDEMPOTENCY_KEY_REUSED", "input.idempotencyKey")]
            return
        assert errors == []
        assert answer["replayed"] is True
        assert answer["order"]["id"] == bought.id
        assert answer["order"]["status"] == bought.path[-1]

    def _note(
        self,
        customer: str,
        given: dict[str, Any],
        lines: Lines,
        placed: dict[str, Any],
    ) -> None:
        """Writes a new order into the dictionary."""
        units = _merged(lines)
        total = sum(self.things[number].price * units[number] for number in units)
        bought = Bought(placed["id"], customer, given, units, total)
        assert placed["total"]["amount"] == str(total)
        assert bought.id not in {each.id for each in self.orders.values()}
        self.orders[customer, given["idempotencyKey"]] = bought
        for number, quantity in units.items():
            self.things[number].stock -= quantity

    def _objections(self, lines: Lines) -> Errors:
        """What should be wrong with an order, product by product in the order of the lines."""
        errors: Errors = []
        for number, quantity in _merged(lines).items():
            thing = self.things[number]
            places = [n for n, each in enumerate(lines) if each[0] == number]
            if thing.status is not ProductStatus.ACTIVE:
                errors.append(("PRODUCT_UNAVAILABLE", f"input.items.{places[0]}.productId"))
                continue
            if thing.price != GOODS[number].price:
                errors += [
                    ("PRICE_CHANGED", f"input.items.{place}.expectedUnitPrice")
                    for place in places
                    if lines[place][2] == "first"
                ]
            if thing.stock < quantity:
                errors.append(("OUT_OF_STOCK", f"input.items.{places[0]}.quantity"))
        return errors

    def _line(self, number: int, quantity: int, expected: str) -> dict[str, Any]:
        if not expected:
            return line(GOODS[number], quantity)
        price = self.things[number].price if expected == "now" else GOODS[number].price
        amount = {"amount": str(price), "currencyCode": "JPY"}
        return line(GOODS[number], quantity, expectedUnitPrice=amount)

    def _order(self, which: int) -> Bought:
        return list(self.orders.values())[which % len(self.orders)]


def _merged(lines: Lines) -> Counter[int]:
    """The units of each product, in the order in which the products come."""
    units: Counter[int] = Counter()
    for number, quantity, _ in lines:
        units[number] += quantity
    return units


def _units(order: Order) -> Counter[int]:
    numbers = {each.id: number for number, each in enumerate(GOODS)}
    return Counter({numbers[line.product_id]: line.quantity for line in order.items})


@contextmanager
def a_world(endpoint: Endpoint, table: str, *, odds: Mapping[Fault, float]) -> Iterator[World]:
    """One event loop and its clients, for all the runs of one test."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def opened() -> World:
            clean = await stack.enter_async_context(open_client(endpoint))
            if not odds:
                return World(table, runner, clean, clean, None)
            proxy = await stack.enter_async_context(fault_proxy(endpoint, odds=odds))
            over_it = await stack.enter_async_context(open_client(proxy.endpoint))
            return World(table, runner, clean, over_it, proxy)

        try:
            yield runner.run(opened())
        finally:
            runner.run(stack.aclose())


@pytest.mark.parametrize(
    "odds",
    [
        pytest.param({}, id="over a good line"),
        pytest.param(dict.fromkeys(Fault, 0.1), id="under every fault"),
    ],
)
def test_whatever_happens_to_a_shop_its_stock_adds_up(
    endpoint: Endpoint, odds: Mapping[Fault, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long to wait between attempts is of no concern here.
    monkeypatch.setattr("datasources.table._FIRST_PAUSE", 0.001)
    with a_world(endpoint, "cartograph", odds=odds) as world:
        machine = type("Shop", (Shopping,), {"world": world})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=RUNS,
                stateful_step_count=STEPS,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert world.steps >= 500
        # The walk has come to where it matters.
        assert world.outcomes["done"] > 100
        assert world.outcomes["OUT_OF_STOCK"] > 0
        if world.proxy:
            count = world.proxy.count()
            assert all(count[fault] for fault in odds), count
            assert world.repeated > 0
