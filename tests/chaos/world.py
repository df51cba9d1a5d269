"""A shop with all its parts, each of which can be made to fail: a store behind a faulty line, a
broker, a processor, and two instances that serve at addresses which stay the same."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasources.client import Endpoint, open_client
from datasources.embedded import embedded_store
from datasources.items import Order, OrderStatus, Product, Row
from datasources.keys import Keys
from datasources.queries import Query
from datasources.table import Table
from resolvers import global_ids
from tests.chaos.history import Stored
from tests.conftest import CACHE, REGION
from tests.e2e.live.shelves import TENANT, Shelf, new_shelf
from tests.e2e.support import PATIENCE, Service, processing, serving
from tests.support import items
from tests.support.broker import Broker, broker
from tests.support.proxy import Fault, FaultProxy, fault_proxy

INVENTORY = 1_000_000
PRODUCTS = 4


@dataclass
class World:
    """`restarting` while a restart of instances is all that goes wrong."""

    shelf: Shelf
    proxy: FaultProxy
    broker: Broker
    settings: dict[str, str]
    stack: ExitStack
    services: list[Service] = field(default_factory=list)
    processors: list[subprocess.Popen[str]] = field(default_factory=list)
    restarting: bool = False

    @property
    def goods(self) -> list[str]:
        return [global_ids.of(product) for product in self.shelf.products]

    @property
    def urls(self) -> list[str]:
        return [service.url for service in self.services]

    async def start(self) -> None:
        await asyncio.to_thread(self._process)
        for _ in range(2):
            self.services.append(await asyncio.to_thread(self._serve, 0))

    def _process(self) -> None:
        self.processors.append(self.stack.enter_context(processing(self.settings)))

    def _serve(self, port: int) -> Service:
        return self.stack.enter_context(serving(self.settings, "--port", str(port)))

    async def replace_processor(self) -> None:
        self.processors[-1].kill()
        await asyncio.to_thread(self._process)

    async def restart(self, number: int, with_signal: signal.Signals) -> int:
        """Ends an instance, and starts it again at its address; the exit code."""
        ending = self.services[number]
        ending.process.send_signal(with_signal)
        exit_code = await asyncio.to_thread(ending.process.wait, PATIENCE)
        self.services[number] = await asyncio.to_thread(self._serve, ending.port)
        return exit_code

    def heat(self, product: Product) -> None:
        """Has the partition of a product throttled, and nothing else."""
        partition = f"#{product.id}".encode()
        self.proxy.__dict__["_draw"] = lambda _operation, body: (
            Fault.THROTTLE if partition in body else None
        )

    def cool(self) -> None:
        self.proxy.__dict__.pop("_draw", None)

    async def stored(self, customers: Sequence[str]) -> list[Stored]:
        """All orders of theirs, read past the faulty line."""
        async with self._directly() as (table, keys):
            found = []
            for customer in customers:
                query = Query(*keys.orders_of(customer))
                found += [_stored(customer, Order.of(row)) for row in await _all(table, query)]
            return found

    async def stock(self) -> dict[str, int]:
        async with self._directly() as (table, keys):
            goods = {keys.product(each.id): global_ids.of(each) for each in self.shelf.products}
            rows = await table.batch_get(goods, consistent=True)
            return {good: rows[key]["inventory"] for key, good in goods.items()}

    @asynccontextmanager
    async def _directly(self) -> AsyncIterator[tuple[Table, Keys]]:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        async with open_client(Endpoint(REGION, self.shelf.url, local=True)) as client:
            yield Table(client, self.shelf.table, deadline, consistent=True), Keys(TENANT, 4)


async def _all(table: Table, query: Query) -> list[Row]:
    page = await table.query(query, limit=1_000)
    rows = [*page.rows]
    while page.start:
        page = await table.query(query, limit=1_000, start=page.start)
        rows += page.rows
    return rows


def _stored(customer: str, order: Order) -> Stored:
    units = {global_ids.encode("Product", line.product_id): line.quantity for line in order.items}
    cancelled = order.status is OrderStatus.CANCELLED
    return Stored(customer, global_ids.of(order), cancelled, units)


@asynccontextmanager
async def open_world(folder: Path, customers: int) -> AsyncIterator[World]:
    store = embedded_store(cache_dir=CACHE, data_dir=None, region=REGION, report=print)
    async with store as url, fault_proxy(Endpoint(REGION, url, local=True), seed=6) as proxy:
        goods = [items.product(n, category=None, inventory=INVENTORY) for n in range(PRODUCTS)]
        shelf = replace(await new_shelf(url, products=0), products=goods)
        await shelf.put(*goods, *(items.user(number) for number in range(customers)))
        with ExitStack() as stack:
            redis = stack.enter_context(broker(folder / "redis"))
            behind = replace(shelf, url=proxy.endpoint.url or "")
            # One machine stands for many callers: it is not the rate that is to refuse them.
            settings = behind.settings(
                folder, REDIS_URL=redis.url, RATE_CAPACITY=0, SOCKETS_PER_PRINCIPAL=100
            )
            world = World(shelf, proxy, redis, settings, stack)
            await world.start()
            yield world
