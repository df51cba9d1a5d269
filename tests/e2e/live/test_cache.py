"""The read cache: what is read again costs nothing, and nobody is told what is no longer so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from datasources.cache import LIFE
from tests.e2e.live.fleet import Fleet
from tests.e2e.live.peers import PATIENCE
from tests.e2e.live.shelves import ADJUST, Shelf, new_shelf
from tests.e2e.support import Service, serving, until
from tests.support import plain
from tests.support.broker import needs_redis

READ = "query ($id: ID!) { product(id: $id) { inventory name } }"
EXPLAINED = {"x-explain": "1"}


def ask(service: Service, query: str, product: str, token: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}", **EXPLAINED}
    body = {"query": query, "variables": {"id": product}}
    answer = plain.post(f"{service.url}/graphql", json=body, headers=headers, timeout=PATIENCE)
    told: dict[str, Any] = answer.json()
    assert "errors" not in told
    return told


def inventory(service: Service, product: str, token: str) -> tuple[int, int]:
    """How many there are, and how many calls of the store it took to know."""
    told = ask(service, READ, product, token)
    return told["data"]["product"]["inventory"], told["extensions"]["cost"]["actual"]["requests"]


def add_one(service: Service, product: str, token: str) -> int:
    told = ask(service, ADJUST, product, token)
    added: int = told["data"]["adjustInventory"]["product"]["inventory"]
    return added


def stays_true(writing: Service, reading: Service, product: str) -> None:
    """What one writes at one instance, another, and the writer, read at the other."""
    writer, reader = (reading.signed(name, staff=True) for name in ("writer", "reader"))
    before, _ = inventory(reading, product, reader)
    until(lambda: inventory(reading, product, reader) == (before, 0))
    told = ask(reading, READ, product, reader)
    assert told["extensions"]["explain"]["cached"] == 1

    added = add_one(writing, product, writer)
    assert inventory(reading, product, writer) == (added, 1)
    until(lambda: inventory(reading, product, reader)[0] == added)


def hears_of_others(reading: Service, shelf: Shelf) -> None:
    """What a program writes that is not the service is known by the stream alone, and long before
    it would be by time."""
    reader = reading.signed("reader", staff=True)
    product = shelf.products[0]
    before, _ = inventory(reading, shelf.product, reader)
    until(lambda: inventory(reading, shelf.product, reader) == (before, 0))
    asyncio.run(shelf.put(product.changed(inventory=before + 7)))
    until(lambda: inventory(reading, shelf.product, reader)[0] == before + 7, LIFE - 5)


def test_a_service_of_one_process_keeps_what_it_has_read(store: str, tmp_path: Path) -> None:
    shelf = asyncio.run(new_shelf(store))
    with serving(shelf.settings(tmp_path, CACHE="true")) as service:
        hears_of_others(service, shelf)
        stays_true(service, service, shelf.product)
        assert service.metric("cartograph_cache_found") >= 2


@needs_redis
def test_instances_keep_it_together(running: Fleet) -> None:
    settings = running.settings | {"CARTOGRAPH_CACHE": "true"}
    with serving(settings) as one, serving(settings) as other:
        hears_of_others(other, running.shelf)
        stays_true(one, other, running.shelf.product)
