"""What a client missed while its connection was down, or while nobody served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.live.peers import Ended, connected
from tests.e2e.live.shelves import (
    CHANGES,
    add_one,
    in_spite_of_cuts,
    inventory,
    new_product,
    new_shelf,
    stock,
)
from tests.e2e.support import Service, serving


async def test_200_changes_come_once_and_in_order_over_5_broken_connections(
    service: Service,
) -> None:
    staff = service.signed("staff", staff=True)
    async with connected(service.url, staff) as peer:
        product = await new_product(peer)

    heard = await in_spite_of_cuts(service.url, staff, product, changes=200)

    assert heard == list(range(1, 201))


async def test_nothing_falls_between_reading_and_subscribing(service: Service) -> None:
    async with connected(service.url, service.signed("staff", staff=True)) as peer:
        product = await new_product(peer)
        await add_one(peer, product)
        after, read = await stock(peer, product)
        await add_one(peer, product)
        await peer.subscribe(CHANGES, id=product, after=after)
        heard = [inventory(await peer.event())]
        while heard[-1] <= read:  # who follows the changes may still have been behind
            heard.append(inventory(await peer.event()))

    assert read == 1
    assert heard in ([2], [1, 2])


async def test_without_redis_a_cursor_from_before_a_restart_has_expired(
    store: str, tmp_path: Path
) -> None:
    shelf = await new_shelf(store)
    settings = shelf.settings(tmp_path)
    with serving(settings) as first:
        staff = first.signed("staff", staff=True)
        async with connected(first.url, staff) as peer:
            before, _ = await stock(peer, shelf.product)
            await add_one(peer, shelf.product)
            await peer.subscribe(CHANGES, id=shelf.product, after=before)
            heard = (await peer.event())["cursor"]
    with serving(settings) as second:
        for cursor in (before, heard):
            async with connected(second.url, staff) as peer:
                await peer.subscribe(CHANGES, id=shelf.product, after=cursor)
                with pytest.raises(Ended) as end:
                    await peer.event()
                assert end.value.codes == ["CURSOR_EXPIRED"]
