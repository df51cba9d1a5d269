"""A table of a test's own, with a few products in it, and what is asked of them."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasources.client import Endpoint, open_client
from datasources.items import Item, Product
from datasources.operating.provision import provision
from resolvers import global_ids
from tests.conftest import REGION
from tests.e2e.live.peers import Peer, connected, within
from tests.e2e.support import elsewhere
from tests.integration.conftest import TEMPLATE
from tests.support import items
from tests.support.shop import TestShop

TENANT = "default"
SECRET = "a secret of thirty-two bytes or more"

ADJUST = """
  mutation ($id: ID!) {
    adjustInventory(input: {productId: $id, delta: 1}) {
      product { inventory } userErrors { code }
    }
  }
"""
CREATE = """
  mutation ($description: String) {
    createProduct(input: {
      name: "A pen", description: $description, price: {amount: "100", currencyCode: "JPY"}
    }) {
      product { id } userErrors { code }
    }
  }
"""
STOCK = "query ($id: ID!) { changeCursor product(id: $id) { inventory } }"
CHANGES = """
  subscription ($id: ID!, $after: String) {
    productChanged(productId: $id, after: $after) { cursor kind product { inventory } }
  }
"""
AT_LENGTH = " ".join(f"description{number}: description" for number in range(15))
CHANGES_AT_LENGTH = CHANGES.replace("{ inventory }", f"{{ inventory {AT_LENGTH} }}")
"""With a LONG description an event has a quarter of a megabyte."""
LONG = "長" * 5_000
REVIEWS = """
  subscription ($id: ID!, $after: String) {
    reviewChanged(productId: $id, after: $after) { cursor review { title rating } }
  }
"""


@dataclass(frozen=True)
class Shelf:
    """Products in a table, in the store at a URL."""

    url: str
    table: str
    products: Sequence[Product]

    @property
    def product(self) -> str:
        """The global ID of the first."""
        return global_ids.of(self.products[0])

    def settings(self, state: Path, **settings: object) -> dict[str, str]:
        """Those of a process over this table, whose change cursors do not look back: no index is
        read here."""
        given = {"TABLE": self.table, "JWT_SECRET": SECRET, "INDEX_LAG": 0}
        return elsewhere(state, self.url, **(given | settings))

    async def put(self, *added: Item) -> None:
        """Writes items as a program would that is not the service."""
        async with open_client(Endpoint(REGION, self.url, local=True)) as client:
            await TestShop(client, self.table, TENANT).put(*added)


async def new_shelf(url: str, products: int = 1, description: str | None = None) -> Shelf:
    """A new table in the store at a URL."""
    table = f"shelf-{uuid.uuid4().hex[:12]}"
    look = {"category": None, "description": description}
    made = [items.product(number, **look) for number in range(products)]
    shelf = Shelf(url, table, made)
    async with open_client(Endpoint(REGION, url, local=True)) as client:
        await provision(client, table, TEMPLATE)
    await shelf.put(*made)
    return shelf


async def new_product(peer: Peer, description: str | None = None) -> str:
    """The global ID of one that whoever follows the changes has heard of; none is in stock."""
    before = (await peer.ask("{ changeCursor }"))["changeCursor"]
    answer = (await peer.ask(CREATE, description=description))["createProduct"]
    assert answer["userErrors"] == []
    product = str(answer["product"]["id"])
    await peer.subscribe(CHANGES, id=product, after=before)
    assert (await peer.event())["kind"] == "CREATED"
    await peer.say({"type": "complete", "id": "events"})
    return product


async def add_one(peer: Peer, product: str) -> int:
    """Adds a unit to a product's stock: what there is of it now."""
    answer = (await peer.ask(ADJUST, id=product))["adjustInventory"]
    assert answer["userErrors"] == []
    inventory: int = answer["product"]["inventory"]
    return inventory


async def stock(peer: Peer, product: str) -> tuple[str, int]:
    """A change cursor, and what there is of a product."""
    answer = await peer.ask(STOCK, id=product)
    return answer["changeCursor"], answer["product"]["inventory"]


def inventory(event: dict[str, Any]) -> int:
    found: int = event["product"]["inventory"]
    return found


async def in_spite_of_cuts(url: str, staff: str, product: str, *, changes: int) -> list[int]:
    """Writes so many changes of a product's stock, and what its subscriber hears of each whose
    connection breaks 5 times meanwhile: twice amid what it has missed."""
    written = asyncio.Semaphore(0)

    async def write() -> None:
        async with connected(url, staff) as writer:
            for _ in range(changes):
                await add_one(writer, product)
                written.release()

    async with connected(url, staff) as reader:
        after, _ = await stock(reader, product)
    missing = 20
    drawn = sorted(random.Random(5).sample(range(missing, changes - missing, missing), 3))  # noqa: S311
    cuts = sorted([*drawn, drawn[0] + missing // 2, drawn[1] + missing // 2])
    heard: list[int] = []
    writing, known = asyncio.create_task(write()), 0
    for cut in [*cuts, changes]:
        while known < min(len(heard) + missing, changes):
            await within(written.acquire())
            known += 1
        async with connected(url, staff) as reader:
            await reader.subscribe(CHANGES, id=product, after=after)
            while len(heard) < cut:
                event = await reader.event()
                after = event["cursor"]
                heard.append(inventory(event))
    await writing
    return heard
