"""Orders a second with 1, 8 and 32 callers at once, and what an order costs in DynamoDB.

`python -m bench.orders [--orders N]` runs the service's own schema in this process over an
embedded store in another. The store does one thing after another, so the orders a second are
mostly its own; the processor time, the requests and the units are the service's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from datasources import products, users
from datasources.client import Endpoint, open_client
from datasources.cursor import CursorCodec
from datasources.embedded import embedded_store
from datasources.ids import uuid7
from datasources.items import Product, User
from datasources.keys import Keys
from datasources.operating.provision import provision
from datasources.table import Table
from resolvers import global_ids
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.build import build_schema
from schema.limits import Limits
from schema.operations.operation import Executor
from streams.journal import MemoryJournal

TEMPLATE = Path(__file__).parents[1] / "infra" / "template.yaml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartograph"
REGION, TENANT, TABLE, SHARDS = "ap-northeast-1", "default", "cartograph", 4
CALLERS = (1, 8, 32)
PRODUCTS = 200
LINES = 3

PLACE = """mutation($input: PlaceOrderInput!) {
  placeOrder(input: $input) { order { number total { amount } } userErrors { code } } }"""


async def main(orders: int) -> None:
    async with (
        embedded_store(cache_dir=CACHE, data_dir=None, region=REGION, report=print) as url,
        open_client(Endpoint(REGION, url, local=True)) as client,
    ):
        await provision(client, TABLE, TEMPLATE)
        shop = Shop(
            journal=MemoryJournal(lambda: datetime.now(UTC)),
            client=client,
            table=TABLE,
            shards=SHARDS,
            currency=Currency("JPY", 0),
            cursors=CursorCodec(["a key for the benchmark"]),
            deadline=60,
            write_deadline=60,
            read_budget=2_000,
            now=lambda: datetime.now(UTC),
        )
        goods = await fill(shop, max(CALLERS))
        executor = Executor(build_schema(), limits=Limits(), introspection=False)
        print("callers  orders/s  CPU ms/order  requests/order  write units/order")
        for callers in CALLERS:
            await measure(shop, executor, goods, callers, orders)


async def fill(shop: Shop, callers: int) -> list[str]:
    """Customers, and products that do not run out; the products' global IDs."""
    now, keys = datetime.now(UTC), Keys(TENANT, SHARDS)
    goods = [
        Product(
            id=uuid7(int(now.timestamp() * 1000)),
            name=f"Product {number}",
            price=1_000,
            inventory=1_000_000,
            created_at=now,
            updated_at=now,
        )
        for number in range(PRODUCTS)
    ]
    people = [
        User(id=f"caller-{n}", username=f"caller-{n}", created_at=now, updated_at=now)
        for n in range(callers)
    ]
    rows = [products.row(keys, each) for each in goods] + [users.row(keys, each) for each in people]
    table = Table(shop.client, TABLE, asyncio.get_running_loop().time() + 60)
    for start in range(0, len(rows), 25):
        await table.batch_write(rows[start : start + 25])
    return [global_ids.of(each) for each in goods]


async def measure(
    shop: Shop, executor: Executor, goods: list[str], callers: int, orders: int
) -> None:
    numbers = iter(range(orders))
    requests = units = 0.0

    async def caller(name: str) -> None:
        nonlocal requests, units
        for number in numbers:
            lines = [
                {"productId": goods[(number * LINES + line) % len(goods)], "quantity": 1}
                for line in range(LINES)
            ]
            given = {"items": lines, "idempotencyKey": f"{callers}-{name}-{number:08}"}
            operation = executor.prepare(PLACE, None, {"input": given})
            context = shop.operation(Principal(name, TENANT, False, None), "", writes=True)
            answer = await executor.run(operation, context)
            if answer.errors or not answer.data or answer.data["placeOrder"]["userErrors"]:
                raise SystemExit(f"an order failed: {answer}")
            requests += context.table.meter.requests
            units += context.table.meter.write_units

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller(f"caller-{number}") for number in range(callers)))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"{callers:7}  {orders / took:8.1f}  {1000 * used / orders:12.2f}"
        f"  {requests / orders:14.2f}  {units / orders:17.1f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=400, help="orders a round")
    asyncio.run(main(parser.parse_args().orders))
