"""Customers, who repeat what they may repeat until they are told, and listeners, who come back."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.chaos.history import Change, Gap, History, Placed
from tests.e2e.live.peers import Ended, Peer, connected
from tests.support.ordering import CANCEL

PLACE = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) {
  order { id items { product { id } quantity } } userErrors { code } } }"""
STOCK = "query ($id: ID!) { changeCursor product(id: $id) { inventory } }"
CHANGES = """subscription ($id: ID!, $after: String) {
  productChanged(productId: $id, after: $after) {
    cursor previousInventory product { inventory } } }"""
RETRYABLE = {"SERVICE_UNAVAILABLE", "THROTTLED", "DEADLINE_EXCEEDED", "RATE_LIMITED"}
PATIENCE = aiohttp.ClientTimeout(total=20)
AWAY = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, EOFError)
_PAUSE = 0.3  # seconds at most between attempts


@dataclass
class Customer:
    """Places orders, and cancels some; `urls` are the instances, any of which will do."""

    name: str
    token: str
    urls: Sequence[str]
    goods: Sequence[str]
    history: History
    session: aiohttp.ClientSession
    chance: random.Random

    async def shop(self, closing: asyncio.Event) -> None:
        """Until the shop closes; what has begun is brought to its end."""
        number = 0
        while not closing.is_set():
            number += 1
            order = await self._place(f"{self.name}-{number:05}")
            if order and self.chance.random() < 0.3:
                await self._cancel(order)
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    async def _place(self, key: str) -> str | None:
        units = {good: self.chance.randint(1, 3) for good in self.chance.sample(self.goods, 2)}
        items = [{"productId": good, "quantity": count} for good, count in units.items()]
        answer = await self._insist(PLACE, {"items": items, "idempotencyKey": key})
        order = answer.get("order")
        if not order:
            self.history.odd.append(f"an order was refused: {answer}")
            return None
        told = Counter({line["product"]["id"]: line["quantity"] for line in order["items"]})
        if told != units:
            self.history.odd.append(f"{key} ordered {units} and was told of {told}")
        self.history.placed.append(Placed(self.name, key, order["id"], units))
        return str(order["id"])

    async def _cancel(self, order: str) -> None:
        answer = await self._insist(CANCEL, {"id": order})
        if answer["userErrors"]:
            self.history.odd.append(f"a cancellation was refused: {answer}")
        self.history.cancelled.add(order)

    async def _insist(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The payload of a mutation, once the answer is not that it may be repeated."""
        while True:
            answer, code = await self._ask(query, given)
            if answer is not None:
                return answer
            self.history.refusals[code] += 1
            await asyncio.sleep(self.chance.uniform(0, _PAUSE))

    async def _ask(self, query: str, given: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """The payload, or the code of what was answered, or what became of the connection."""
        url = f"{self.chance.choice(self.urls)}/graphql"
        body = {"query": query, "variables": {"input": given}}
        headers = {"authorization": f"Bearer {self.token}"}
        try:
            async with self.session.post(
                url, json=body, headers=headers, timeout=PATIENCE
            ) as response:
                told = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return None, type(error).__name__
        if errors := told.get("errors"):
            extensions = errors[0]["extensions"]
            if extensions["code"] not in RETRYABLE or not extensions.get("retryable"):
                self.history.odd.append(f"{response.status}: {errors}")
            return None, str(extensions["code"])
        [payload] = told["data"].values()
        return payload, ""


@dataclass
class Listener:
    """Hears of one product's changes, and comes back behind the last it has heard of."""

    name: str
    token: str
    urls: Sequence[str]
    product: str
    history: History
    chance: random.Random
    is_restarting: Callable[[], bool]
    after: str | None = None
    _away_since: float | None = None
    _was_restarting: bool = False

    async def begin(self) -> None:
        """Takes the cursor that everything is heard from."""
        async with connected(self.urls[0], self.token) as peer:
            self.after = (await peer.ask(STOCK, id=self.product))["changeCursor"]

    async def listen(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with connected(
                    self.chance.choice(self.urls), self.token, open_timeout=5
                ) as peer:
                    self._is_back()
                    await self._hear(peer)
            except AWAY as error:
                self.history.refusals[f"socket: {type(error).__name__}"] += 1
            except AssertionError as error:  # errors within an event, or no acknowledgement
                self.history.odd.append(f"{self.name}: {error}")
            except Ended as end:
                self._judge(end)
            self._is_away()
            await asyncio.sleep(self.chance.uniform(0, _PAUSE))

    async def _hear(self, peer: Peer) -> None:
        await peer.subscribe(CHANGES, id=self.product, after=self.after)
        while True:
            event = await peer.event()
            self.after = event["cursor"]
            change = Change(event["previousInventory"], event["product"]["inventory"])
            self.history.heard[self.name].append(change)

    def _judge(self, end: Ended) -> None:
        for code in end.codes or ["complete"]:
            self.history.refusals[f"subscription: {code}"] += 1
            if code not in RETRYABLE | {"complete", "SLOW_CONSUMER"}:
                self.history.odd.append(f"{self.name} was told {code}")

    def _is_away(self) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._was_restarting = self.is_restarting()

    def leave(self) -> None:
        """All is over: who has not come back by now never has."""
        self._is_back()

    def _is_back(self) -> None:
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            self.history.gaps.append(Gap(self.name, seconds, self._was_restarting))
            self._away_since = None


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels them, and waits until they are over."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
