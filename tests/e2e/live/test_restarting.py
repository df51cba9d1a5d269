"""One of two instances ends under load: its customers and listeners go on at the other."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from typing import Any

import aiohttp

from resolvers import global_ids
from tests.chaos.clients import Customer, Listener, ended
from tests.chaos.history import History, Outcome, Stored, violations
from tests.e2e.live.fleet import Fleet
from tests.e2e.support import PATIENCE, Service, serving
from tests.support import items
from tests.support.broker import needs_redis

INVENTORY = 100_000
CUSTOMERS, LISTENERS, PRODUCTS = 4, 4, 2
ORDERS = """query ($after: String) { viewer { orders(first: 20, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes { id status items { quantity product { id } } } } } }"""
STOCK = "query ($id: ID!) { product(id: $id) { inventory } }"


@needs_redis
async def test_an_instance_that_ends_under_load_loses_and_doubles_nothing(running: Fleet) -> None:
    history, stays = History(), running.services[0]
    goods = [items.product(500 + n, category=None, inventory=INVENTORY) for n in range(PRODUCTS)]
    await running.shelf.put(*goods, *(items.user(500 + n) for n in range(CUSTOMERS)))
    ids = [global_ids.of(each) for each in goods]
    closing = asyncio.Event()
    with serving(running.settings) as leaves:
        urls = [leaves.url, stays.url]
        async with aiohttp.ClientSession() as session:
            listeners = [
                Listener(
                    f"listener-{n}",
                    running.staff,
                    urls,
                    ids[n % PRODUCTS],
                    history,
                    random.Random(n),  # noqa: S311 no secret
                    is_restarting=lambda: True,
                )
                for n in range(LISTENERS)
            ]
            for each in listeners:
                await each.begin()
            listening = [asyncio.create_task(each.listen()) for each in listeners]
            shopping = [
                asyncio.create_task(customer(n, stays, urls, ids, history, session).shop(closing))
                for n in range(CUSTOMERS)
            ]
            await until_placed(history, 20)
            leaves.process.send_signal(signal.SIGTERM)
            exit_code = await asyncio.to_thread(leaves.process.wait, PATIENCE)
            await until_placed(history, len(history.placed) + 20)
            closing.set()
            await asyncio.gather(*shopping)
            stock = {each: left(stays, each) for each in ids}
            await until_heard(history, {each.name: stock[each.product] for each in listeners})
            await ended(listening)
            for each in listeners:
                each.leave()

    stored = [order for n in range(CUSTOMERS) for order in orders(stays, f"user-{500 + n}")]
    listens = {each.name: each.product for each in listeners}
    outcome = Outcome(stored, dict.fromkeys(ids, INVENTORY), stock, listens)
    assert violations(history, outcome) == []
    assert exit_code == 0
    assert "Traceback" not in "".join(leaves.said)


def customer(
    number: int,
    service: Service,
    urls: list[str],
    goods: list[str],
    history: History,
    session: aiohttp.ClientSession,
) -> Customer:
    name = f"user-{500 + number}"
    chance = random.Random(number)  # noqa: S311 no secret
    return Customer(name, service.signed(name), urls, goods, history, session, chance)


async def until_placed(history: History, orders: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(history.placed) < orders:  # noqa: ASYNC110 customers tell nobody
            await asyncio.sleep(0.05)


async def until_heard(history: History, stock: dict[str, int]) -> None:
    """Until each listener has heard of what there is now."""

    def is_heard(name: str) -> bool:
        changes = history.heard[name]
        return bool(changes) and changes[-1].after == stock[name]

    async with asyncio.timeout(PATIENCE):
        while not all(map(is_heard, stock)):  # noqa: ASYNC110 likewise
            await asyncio.sleep(0.05)


def left(service: Service, product: str) -> int:
    inventory: int = service.ask(STOCK, id=product)["data"]["product"]["inventory"]
    return inventory


def orders(service: Service, customer: str) -> list[Stored]:
    token, found, page = service.signed(customer), [], {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        answer = service.ask(ORDERS, token, after=page["endCursor"])
        listed = answer["data"]["viewer"]["orders"]
        found += [_stored(customer, node) for node in listed["nodes"]]
        page = listed["pageInfo"]
    return found


def _stored(customer: str, node: dict[str, Any]) -> Stored:
    units = Counter({line["product"]["id"]: line["quantity"] for line in node["items"]})
    return Stored(customer, node["id"], node["status"] == "CANCELLED", units)
