"""The shop behind a line that drops, delays and refuses: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from datasources.client import Endpoint, open_client
from datasources.errors import StoreError
from datasources.items import Product
from datasources.keys import Key
from datasources.table import Table
from resolvers import global_ids
from tests.support import items
from tests.support.ordering import ADJUST, CANCEL, PLACE_BRIEFLY, codes, line, order, payload, stock
from tests.support.proxy import Fault, FaultProxy, fault_proxy
from tests.support.shop import TestShop

EVERY_FAULT = dict.fromkeys(Fault, 0.1)
RETRYABLE = {"SERVICE_UNAVAILABLE", "THROTTLED", "DEADLINE_EXCEEDED"}


@dataclass
class Line:
    """One shop twice: `shop` by way of the proxy, `clean` directly."""

    proxy: FaultProxy
    shop: TestShop
    clean: TestShop

    async def insist(
        self, query: str, *, user: str, staff: bool = False, **given: Any
    ) -> tuple[dict[str, Any], int]:
        """Repeats a mutation as long as the answer is that it may be repeated; the payload,
        and how often it was sent."""
        for attempt in range(1, 50):
            result = await self.shop.write(query, user=user, staff=staff, input=given)
            if not result.errors:
                return payload(result), attempt
            assert set(result.codes) <= RETRYABLE, result.errors
            assert all(error["extensions"]["retryable"] for error in result.errors)
        raise AssertionError("no answer in 50 attempts")

    async def orders(self) -> list[dict[str, Any]]:
        """Every order of the first customer, as its row."""
        result = await self.clean.ask(
            "{ viewer { orders(first: 100) { nodes { id number status version } } } }",
            user="user-0",
        )
        found: list[dict[str, Any]] = result.data["viewer"]["orders"]["nodes"]
        return found


@pytest.fixture
async def faulty(endpoint: Endpoint, shop: TestShop) -> AsyncIterator[Line]:
    async with fault_proxy(endpoint, seed=2026) as proxy, open_client(proxy.endpoint) as client:
        yield Line(proxy, TestShop(client, shop.table_name, shop.tenant), shop)


async def filled(shop: TestShop, inventory: int = 5) -> Product:
    thing = items.product(0, inventory=inventory)
    await shop.put(items.user(0), thing)
    return thing


async def test_orders_under_every_fault_are_placed_once_each(faulty: Line) -> None:
    thing = await filled(faulty.clean, inventory=30)
    faulty.proxy.odds = EVERY_FAULT

    answers = await asyncio.gather(
        *(
            faulty.insist(PLACE_BRIEFLY, user="user-0", **order(line(thing), key=f"key-{n:05}"))
            for n in range(50)
        )
    )

    outcome = Counter(" ".join(codes(answer)) or "done" for answer, _ in answers)
    assert outcome == {"done": 30, "OUT_OF_STOCK": 20}
    placed = [answer["order"]["id"] for answer, _ in answers if answer["order"]]
    assert sorted(placed) == sorted(each["id"] for each in await faulty.orders())
    assert await stock(faulty.clean, thing) == [0]
    # Whoever got an answer at once placed the order, though its first answers were lost.
    assert not any(answer["replayed"] for answer, sent in answers if sent == 1)
    count = faulty.proxy.count()
    assert all(count[fault] for fault in Fault), count


async def test_one_key_under_every_fault_is_one_order(faulty: Line) -> None:
    thing = await filled(faulty.clean)
    faulty.proxy.odds = EVERY_FAULT

    answers = await asyncio.gather(
        *(faulty.insist(PLACE_BRIEFLY, user="user-0", **order(line(thing, 5))) for _ in range(30))
    )

    [placed] = await faulty.orders()
    assert {answer["order"]["id"] for answer, _ in answers} == {placed["id"]}
    assert sum(not answer["replayed"] for answer, _ in answers) <= 1
    assert await stock(faulty.clean, thing) == [0]


async def test_cancels_under_every_fault_put_the_stock_back_once(faulty: Line) -> None:
    thing = await filled(faulty.clean, inventory=20)
    placed = [
        payload(
            await faulty.clean.write(
                PLACE_BRIEFLY, user="user-0", input=order(line(thing, 2), key=f"key-{n:05}")
            )
        )["order"]
        for n in range(10)
    ]
    faulty.proxy.odds = EVERY_FAULT

    answers = await asyncio.gather(
        *(faulty.insist(CANCEL, user="user-0", id=each["id"]) for each in placed * 2)
    )

    assert all(answer["order"]["version"] == 2 for answer, _ in answers)
    assert await stock(faulty.clean, thing) == [20]


async def test_adjustments_with_a_key_under_every_fault_are_made_once_each(faulty: Line) -> None:
    thing = await filled(faulty.clean, inventory=100)
    faulty.proxy.odds = EVERY_FAULT

    answers = await asyncio.gather(
        *(
            faulty.insist(
                ADJUST,
                user="boss",
                staff=True,
                productId=global_ids.of(thing),
                delta=-3,
                idempotencyKey=f"adjustment-{n % 15}",
            )
            for n in range(30)
        )
    )

    assert not any(codes(answer) for answer, _ in answers)
    assert await stock(faulty.clean, thing) == [100 - 15 * 3]


async def test_all_attempts_at_a_transaction_send_the_same_bytes(faulty: Line) -> None:
    thing = await filled(faulty.clean, inventory=100)
    faulty.proxy.odds = {Fault.LOSE: 0.3, Fault.CONFLICT: 0.3}

    for n in range(10):
        await faulty.insist(PLACE_BRIEFLY, user="user-0", **order(line(thing), key=f"key-{n:05}"))

    bodies: defaultdict[str, list[bytes]] = defaultdict(list)
    for each in faulty.proxy.seen:
        if each.operation == "TransactWriteItems":
            bodies[json.loads(each.body)["ClientRequestToken"]].append(each.body)
    assert max(len(sent) for sent in bodies.values()) > 1
    assert all(len(set(sent)) == 1 for sent in bodies.values())
    assert await stock(faulty.clean, thing) == [90]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.DROP, "SERVICE_UNAVAILABLE"),
        (Fault.FAIL, "SERVICE_UNAVAILABLE"),
        (Fault.THROTTLE, "THROTTLED"),
    ],
)
async def test_a_store_that_does_nothing_but_refuse_is_told_as_such(
    faulty: Line, fault: Fault, code: str
) -> None:
    thing = await filled(faulty.clean)
    faulty.proxy.odds = {fault: 1.0}

    result = await faulty.shop.write(PLACE_BRIEFLY, user="user-0", input=order(line(thing)))

    assert result.data is None or result.data["placeOrder"] is None
    assert result.codes == [code]
    assert result.errors[0]["extensions"]["retryable"] is True
    assert await faulty.orders() == []
    assert await stock(faulty.clean, thing) == [5]


async def test_an_order_in_a_black_hole_ends_at_its_deadline_and_can_be_repeated(
    faulty: Line,
) -> None:
    thing = await filled(faulty.clean)
    faulty.shop.shop = replace(faulty.shop.shop, write_deadline=0.2)
    faulty.proxy.vanish()

    lost = await faulty.shop.write(PLACE_BRIEFLY, user="user-0", input=order(line(thing)))
    assert lost.codes == ["DEADLINE_EXCEEDED"]

    faulty.proxy.reappear()
    await faulty.proxy.idle()
    faulty.shop.shop = replace(faulty.shop.shop, write_deadline=20)
    answer, _ = await faulty.insist(PLACE_BRIEFLY, user="user-0", **order(line(thing)))
    assert answer["replayed"] is False
    assert len(await faulty.orders()) == 1


async def test_a_request_that_arrives_after_its_deadline_is_the_same_order(faulty: Line) -> None:
    thing = await filled(faulty.clean)
    faulty.shop.shop = replace(faulty.shop.shop, write_deadline=1)
    faulty.proxy.latency, faulty.proxy.delayed = 2.5, "TransactWriteItems"

    late = await faulty.shop.write(PLACE_BRIEFLY, user="user-0", input=order(line(thing)))
    assert late.codes == ["DEADLINE_EXCEEDED"]
    assert await faulty.orders() == []
    await faulty.proxy.idle()

    [placed] = await faulty.orders()
    answer = await faulty.clean.write(PLACE_BRIEFLY, user="user-0", input=order(line(thing)))
    assert payload(answer)["order"]["id"] == placed["id"]
    assert payload(answer)["replayed"] is True
    assert await stock(faulty.clean, thing) == [4]


async def test_partial_batches_are_read_and_written_to_the_end(faulty: Line) -> None:
    faulty.proxy.odds = {Fault.PARTIAL: 1.0}  # for all but batches of one
    goods = [items.product(n) for n in range(20)]

    await faulty.shop.put(*goods)
    keys = [faulty.shop.keys.product(each.id) for each in goods]
    found = await faulty.shop.table().batch_get([*keys, Key("nobody", "METADATA")])

    assert set(found) == set(keys)
    assert set(await faulty.clean.table().batch_get(keys)) == set(keys)
    partial = {each.operation for each in faulty.proxy.seen if each.fault is Fault.PARTIAL}
    assert partial == {"BatchGetItem", "BatchWriteItem"}


async def test_whatever_befalls_a_read_is_an_error_with_a_name(faulty: Line) -> None:
    thing = await filled(faulty.clean)
    key = faulty.shop.keys.product(thing.id)
    for fault in (Fault.DROP, Fault.LOSE, Fault.THROTTLE, Fault.FAIL):
        faulty.proxy.odds = {fault: 1.0}
        for _ in range(4):  # an answer may be lost whole or in part
            with pytest.raises(StoreError) as raised:
                await faulty.shop.table().batch_get([key])
            assert raised.value.code in RETRYABLE


async def test_the_same_seed_lets_the_same_befall_the_same_requests(
    endpoint: Endpoint, shop: TestShop
) -> None:
    thing = await filled(shop)
    key = shop.keys.product(thing.id)
    fates = []
    for seed in (7, 7, 8):
        async with (
            fault_proxy(endpoint, seed=seed, odds=EVERY_FAULT) as proxy,
            open_client(proxy.endpoint) as client,
        ):
            for _ in range(30):
                table = Table(client, shop.table_name, asyncio.get_running_loop().time() + 20)
                table.jitter = lambda *_: 0
                with suppress(StoreError):
                    await table.batch_get([key])
            fates.append([each.fault for each in proxy.seen])

    assert fates[0] == fates[1] != fates[2]
