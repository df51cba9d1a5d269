"""SIGTERM: every connection is told, what runs is answered, and the process ends in time."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from datasources.client import Endpoint
from tests.conftest import REGION
from tests.e2e.live.peers import PATIENCE, connected, narrow, within
from tests.e2e.live.shelves import (
    ADJUST,
    CHANGES,
    CHANGES_AT_LENGTH,
    LONG,
    add_one,
    new_shelf,
    stock,
)
from tests.e2e.support import Service, serving, until
from tests.support.proxy import FaultProxy, fault_proxy

WRITE = "TransactWriteItems"
SLOW = 1.0  # seconds that a write takes


@pytest.fixture
def proxy(store: str) -> Iterator[FaultProxy]:
    """A way to the store on which writes can be slow."""
    opening = fault_proxy(Endpoint(REGION, store, local=True))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as proxy:
        proxy.delayed = WRITE
        yield proxy


async def events_of(service: Service, staff: str, product: str, after: str) -> list[str]:
    """The names of all events of an event stream, to its end."""
    payload = {"query": CHANGES, "variables": {"id": product, "after": after}}
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {staff}"}
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.post(f"{service.url}/graphql", json=payload, headers=headers)
    lines = answer.text.splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


async def test_sigterm_completes_subscriptions_and_answers_what_runs(
    store: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    shelf = await new_shelf(store, description=LONG)
    product, slow = shelf.product, replace(shelf, url=proxy.endpoint.url or "")
    with serving(slow.settings(tmp_path)) as service:
        staff = service.signed("staff", staff=True)
        async with (
            connected(service.url, staff) as listener,
            connected(service.url, staff) as writer,
            connected(service.url, staff, sock=narrow(service.url)) as deaf,
        ):
            deaf.stop_reading()
            after, _ = await stock(writer, product)
            await listener.subscribe(CHANGES, id=product, after=after)
            await deaf.subscribe(CHANGES_AT_LENGTH, id=product, after=after)
            stream = asyncio.create_task(events_of(service, staff, product, after))
            await add_one(writer, product)
            await listener.event()
            await asyncio.to_thread(until, lambda: service.metric("cartograph_event_streams") == 1)
            proxy.seen.clear()
            proxy.latency = SLOW
            await writer.subscribe(ADJUST, id=product)
            over_http = asyncio.create_task(
                asyncio.to_thread(service.ask, ADJUST, staff, id=product)
            )
            await asyncio.to_thread(
                until, lambda: [seen.operation for seen in proxy.seen].count(WRITE) == 2
            )
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)

            answer = (await writer.hear())["payload"]["data"]["adjustInventory"]
            assert answer["userErrors"] == []
            assert (await over_http)["data"]["adjustInventory"]["userErrors"] == []
            assert await listener.outcome() == []
            assert (await within(stream))[-1] == "complete"
            assert await writer.end() == await listener.end() == 1012
            exit_code = await asyncio.to_thread(service.process.wait, 40)

    assert exit_code == 0
    assert time.monotonic() - began < 30
    assert "Traceback" not in "".join(service.said)
