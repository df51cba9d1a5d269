"""How fast changes reach subscribers, and what they and their connections cost.

`python -m bench.live` starts the service and its embedded store, and is the load itself: three
processes. The store takes some 80 writes a second; more events than that a second come of many
subscribers, or of many who resume after the same cursor.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import quantiles

import orjson
import uvloop

from bench.service import Service, serving
from bench.sockets import EventStream, Socket

CROWDS = (1, 100, 1_000)
CONNECTING = 50  # at once
WRITERS = 4
STEADY = 30  # writes a second, to other products
MISSED = 200  # events that are resumed

EVENTS = """subscription($id: ID!, $after: String) {
  productChanged(productId: $id, after: $after) {
    cursor kind occurredAt changedFields previousInventory
    product { id name inventory price { amount currencyCode } } } }"""
ADJUST = """mutation($input: AdjustInventoryInput!) {
  adjustInventory(input: $input) { product { inventory } userErrors { code } } }"""
BEGIN = "{ changeCursor products(first: 10) { nodes { id } } }"

Client = Socket | EventStream


@dataclass
class Shop:
    """A service with writers to it, and products to write to."""

    service: Service
    writers: Sequence[Socket]
    products: Sequence[str]

    async def cursor(self) -> str:
        cursor: str = (await self.writers[0].ask(BEGIN))["changeCursor"]
        return cursor

    async def write(self, product: str, writer: int = 0) -> int:
        """Adds one to the stock, and returns what it comes to, which no other write does."""
        adjust = {"input": {"productId": product, "delta": 1}}
        answer = (await self.writers[writer].ask(ADJUST, adjust))["adjustInventory"]
        if answer["userErrors"]:
            raise SystemExit(f"a write was refused: {answer}")
        inventory: int = answer["product"]["inventory"]
        return inventory

    async def write_many(self, product: str, writes: int) -> None:
        """As fast as the store takes them."""
        left = iter(range(writes))

        async def writing(writer: int) -> None:
            for _ in left:
                await self.write(product, writer)

        await asyncio.gather(*map(writing, range(WRITERS)))


@dataclass
class Crowd:
    """Subscribers of one product, who count their events together."""

    clients: list[Client] = field(default_factory=list)
    events: int = 0
    _goal: int = 0
    _reached: asyncio.Future[None] | None = None

    def heard(self, _event: bytes) -> None:
        self.events += 1
        if self.events == self._goal and self._reached:
            self._reached.set_result(None)

    async def until(self, events: int) -> None:
        """Raises Lost where a subscriber is lost before."""
        self._goal, self._reached = events, asyncio.get_running_loop().create_future()
        if self.events < events:
            waited = {self._reached, *(client.lost for client in self.clients)}
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()

    async def connect(self, connecting: Sequence[Awaitable[Client]]) -> None:
        for start in range(0, len(connecting), CONNECTING):
            self.clients += await asyncio.gather(*connecting[start : start + CONNECTING])

    async def sockets(self, port: int, size: int) -> None:
        await self.connect([Socket.connect(port, self.heard) for _ in range(size)])

    def subscribe(self, product: str, after: str) -> None:
        for client in self.clients:
            if isinstance(client, Socket):
                client.subscribe(EVENTS, {"id": product, "after": after})

    def close(self) -> None:
        for client in self.clients:
            client.close()


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    async with serving() as service:
        writers = [await Socket.connect(service.port, token=service.token) for _ in range(WRITERS)]
        found = await writers[0].ask(BEGIN)
        yield Shop(service, writers, [node["id"] for node in found["products"]["nodes"]])
        for writer in writers:
            writer.close()


# --- how long it takes ----------------------------------------------------------------------


async def latency(shop: Shop, writes: int) -> None:
    """From the arrival of a mutation's answer to that of the event."""
    product, port = shop.products[0], shop.service.port
    crowd, arrived = Crowd(), deque[tuple[str, float, int]]()

    def arrival(way: str, event: bytes) -> None:
        now = time.perf_counter()
        inventory = orjson.loads(event)["data"]["productChanged"]["product"]["inventory"]
        arrived.append((way, now, inventory))
        crowd.heard(event)

    variables = {"id": product, "after": await shop.cursor()}
    socket = await Socket.connect(port, partial(arrival, "websocket"))
    socket.subscribe(EVENTS, variables)
    stream = await EventStream.connect(port, partial(arrival, "SSE"), EVENTS, variables)
    crowd.clients = [socket, stream]
    for load in (0, STEADY):
        taken: dict[str, list[float]] = {"websocket": [], "SSE": []}
        async with steady(shop, load):
            for _ in range(writes):
                await asyncio.sleep(random.uniform(0.2, 0.8))  # noqa: S311 no secret
                inventory = await shop.write(product)
                answered = time.perf_counter()
                await crowd.until(crowd.events - len(arrived) + 2)
                while arrived:
                    way, at, told = arrived.popleft()
                    if told != inventory:
                        raise SystemExit(f"an event of {told} came instead of {inventory}")
                    taken[way].append(1_000 * (at - answered))
        for way, times in taken.items():
            cuts = quantiles(times, n=100, method="inclusive")
            print(f"{load:8} {way:>10} {cuts[49]:8.1f} {cuts[98]:8.1f}")
    crowd.close()


@asynccontextmanager
async def steady(shop: Shop, load: int) -> AsyncIterator[None]:
    """So many writes a second to products that nobody watches."""

    async def writing() -> None:
        loop = asyncio.get_running_loop()
        began, written = loop.time(), 0
        while True:
            await asyncio.sleep(began + written / load - loop.time())
            written += 1
            writer = 1 + written % (WRITERS - 1)
            pending.add(asyncio.create_task(shop.write(shop.products[1 + written % 8], writer)))

    pending: set[asyncio.Task[int]] = set()
    task = asyncio.create_task(writing()) if load else None
    try:
        yield
    finally:
        if task:
            task.cancel()
        await asyncio.gather(*pending)


# --- how many, and for how much -------------------------------------------------------------


async def fan_out(shop: Shop, writes: int) -> None:
    """Events as fast as the store gives them. The first round is without subscribers; the last
    column leaves out what each write has cost there."""
    product, unwatched = shop.products[:2]
    a_write = 0.0
    for size in (0, *CROWDS):
        after = await shop.cursor()
        crowd, end = Crowd(), Crowd()
        await crowd.sockets(shop.service.port, size)
        crowd.subscribe(product, after)
        await shop.write(product)
        await crowd.until(size)

        cpu, began = shop.service.cpu(), time.perf_counter()
        # Of another product, to know when a change that nobody hears of has passed.
        await end.sockets(shop.service.port, 1)
        end.subscribe(unwatched, await shop.cursor())
        await shop.write_many(product, writes)
        await shop.write(unwatched)
        await crowd.until((1 + writes) * size)
        await end.until(1)
        took, used = time.perf_counter() - began, shop.service.cpu() - cpu
        crowd.close()
        end.close()

        line = f"{size:11} {writes / took:8.1f}"
        if size:
            each, alone = used / (writes * size), (used - a_write) / (writes * size)
            line += f" {writes * size / took:9.0f} {1e6 * each:13.0f} {1e6 * alone:18.0f}"
        else:
            a_write = used
            line += f" {'':9} {1e6 * used / writes:6.0f} a write"
        print(line)


async def resume(shop: Shop) -> None:
    """Everyone has missed MISSED events, and asks for them at once."""
    product, after = shop.products[0], await shop.cursor()
    end = Crowd()
    await end.sockets(shop.service.port, 1)
    end.subscribe(product, after)
    await shop.write_many(product, MISSED)
    await end.until(MISSED)
    end.close()
    for size in CROWDS:
        rounds = max(1, 20 // size)
        took = used = 0.0
        for _ in range(rounds):
            crowd = Crowd()
            await crowd.sockets(shop.service.port, size)
            cpu, began = shop.service.cpu(), time.perf_counter()
            crowd.subscribe(product, after)
            await crowd.until(size * MISSED)
            took += time.perf_counter() - began
            used += shop.service.cpu() - cpu
            crowd.close()
        events = rounds * size * MISSED
        print(f"{size:11} {events / took:9.0f} {1e6 * used / events:13.0f}")


# --- what it holds --------------------------------------------------------------------------


async def memory(size: int) -> None:
    """Of connections on which nothing happens. As many before them use up what the start of the
    service has left free."""
    async with open_shop() as shop:
        port, resident = shop.service.port, shop.service.resident
        first, crowd, streams = Crowd(), Crowd(), Crowd()
        await first.sockets(port, size)
        before = resident()
        await crowd.sockets(port, size)
        print_memory("websocket, acknowledged", resident() - before, size)
        first.subscribe(shop.products[0], await shop.cursor())
        await told(shop, first)
        before = resident()
        crowd.subscribe(shop.products[1], await shop.cursor())
        await told(shop, crowd, product=1)
        print_memory("a subscription on it", resident() - before, size)
        before = resident()
        variables = {"id": shop.products[2], "after": await shop.cursor()}
        connecting = [
            EventStream.connect(port, streams.heard, EVENTS, variables) for _ in range(size)
        ]
        await streams.connect(connecting)
        await told(shop, streams, product=2)
        print_memory("SSE with its subscription", resident() - before, size)
        for each in (first, crowd, streams):
            each.close()


async def told(shop: Shop, crowd: Crowd, product: int = 0) -> None:
    """One event to each: all have subscribed."""
    await shop.write(shop.products[product])
    await crowd.until(len(crowd.clients))


def print_memory(what: str, size: int, connections: int) -> None:
    print(f"{what:28} {size / connections / 1024:6.1f}")


async def main(writes: int) -> None:
    print("What is idle                KiB each")
    await memory(max(CROWDS))
    async with open_shop() as shop:
        print("\nFrom a mutation's answer to its event, ms\nwrites/s        way      p50      p99")
        await latency(shop, writes)
        print("\nsubscribers writes/s  events/s  CPU µs/event  without the write")
        await fan_out(shop, writes)
        print("\nsubscribers  events/s  CPU µs/event   (resuming)")
        await resume(shop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=200, help="writes a round")
    uvloop.run(main(parser.parse_args().writes))
