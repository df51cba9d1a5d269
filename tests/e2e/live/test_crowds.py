"""Many sockets, and those that do not read: the others notice nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

from tests.e2e.live.peers import Peer, connected, narrow
from tests.e2e.live.shelves import (
    CHANGES,
    CHANGES_AT_LENGTH,
    LONG,
    add_one,
    inventory,
    new_product,
    stock,
)
from tests.e2e.support import Service, until


async def test_500_idle_sockets_leave_a_busy_one_alone(service: Service) -> None:
    staff = service.signed("staff", staff=True)
    async with AsyncExitStack() as stack:
        few = asyncio.Semaphore(20)

        async def idle() -> Peer:
            async with few:
                return await stack.enter_async_context(connected(service.url))

        sockets = await asyncio.gather(*(idle() for _ in range(500)))
        writer = await stack.enter_async_context(connected(service.url, staff))
        busy = await stack.enter_async_context(connected(service.url, staff))
        product = await new_product(writer)
        after, _ = await stock(writer, product)
        await busy.subscribe(CHANGES, id=product, after=after)
        added = [await add_one(writer, product) for _ in range(50)]
        heard = [inventory(event) for event in await busy.events(50)]
        await asyncio.gather(*(socket.ping() for socket in sockets))

    assert heard == added


async def test_who_never_reads_is_dropped_and_the_others_hear_everything(
    service: Service,
) -> None:
    staff = service.signed("staff", staff=True)
    sockets = partial(service.metric, "cartograph_websockets")
    await asyncio.to_thread(until, lambda: sockets() == 0)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(connected(service.url, staff))
        product = await new_product(writer, LONG)
        after, _ = await stock(writer, product)
        reader = await stack.enter_async_context(connected(service.url, staff))
        connection = narrow(service.url)
        deaf = await stack.enter_async_context(connected(service.url, staff, sock=connection))
        deaf.stop_reading()
        assert sockets() == 3
        for peer in (reader, deaf):
            await peer.subscribe(CHANGES_AT_LENGTH, id=product, after=after)
        heard: list[int] = []
        began = time.monotonic()
        while sockets() == 3:
            added = await add_one(writer, product)
            while not heard or heard[-1] < added:
                heard.append(inventory(await reader.event()))
            assert time.monotonic() - began < 15

    assert heard[-1] > 1
    assert heard == list(range(heard[0], heard[0] + len(heard)))
