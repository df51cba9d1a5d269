"""Redis between those who read the stream and those who serve: what comes through, and what
survives its end and the processor's."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest

from datasources.items import Review
from resolvers import global_ids
from tests.e2e.live.fleet import Fleet
from tests.e2e.live.peers import Ended, Peer, connected
from tests.e2e.live.shelves import (
    CHANGES,
    REVIEWS,
    add_one,
    in_spite_of_cuts,
    inventory,
    new_product,
    stock,
)
from tests.e2e.support import run, serving, until
from tests.support import items
from tests.support.broker import needs_redis

pytestmark = needs_redis

HISTOGRAM = "query ($id: ID!) { product(id: $id) { ratingSummary { histogram } } }"


async def expired(peer: Peer, product: str, cursor: str) -> bool:
    """Whether that is all that comes of subscribing behind a cursor."""
    await peer.subscribe(CHANGES, "expired?", id=product, after=cursor)
    with pytest.raises(Ended) as end:
        await peer.event("expired?")
    return end.value.codes == ["CURSOR_EXPIRED"]


async def test_what_one_instance_writes_another_tells(running: Fleet) -> None:
    async with running.peers() as (writer, listener):
        product = await new_product(writer)
        after, _ = await stock(listener, product)
        await listener.subscribe(CHANGES, id=product, after=after)
        added = [await add_one(writer, product) for _ in range(3)]

        assert [inventory(event) for event in await listener.events(3)] == added


async def test_broken_connections_miss_nothing_behind_redis_either(running: Fleet) -> None:
    async with running.peers() as (writer, _):
        product = await new_product(writer)

    heard = await in_spite_of_cuts(running.services[1].url, running.staff, product, changes=100)

    assert heard == list(range(1, 101))


async def test_with_redis_a_cursor_goes_on_after_a_restart(running: Fleet, tmp_path: Path) -> None:
    async with running.peers() as (writer, _):
        product = await new_product(writer)
        with serving(running.settings) as before:
            async with connected(before.url, running.staff) as reader:
                cursor, _ = await stock(reader, product)
                await add_one(writer, product)
                await reader.subscribe(CHANGES, id=product, after=cursor)
                cursor = (await reader.event())["cursor"]
        await add_one(writer, product)
        with serving(running.settings) as after:
            async with connected(after.url, running.staff) as reader:
                await reader.subscribe(CHANGES, id=product, after=cursor)
                missed = await reader.event()
                await add_one(writer, product)

                assert [inventory(missed), inventory(await reader.event())] == [2, 3]


async def test_a_redis_that_is_away_and_comes_back_loses_and_doubles_nothing(
    running: Fleet,
) -> None:
    async with running.peers() as (writer, listener):
        product = await new_product(writer)
        after, _ = await stock(listener, product)
        await listener.subscribe(CHANGES, id=product, after=after)
        for _ in range(10):
            await add_one(writer, product)
        running.broker.kill()
        await running.until_ready(503)
        for _ in range(10):
            await add_one(writer, product)
        running.broker.start()
        await running.until_ready()
        for _ in range(10):
            await add_one(writer, product)
        live = [inventory(event) for event in await listener.events(30)]
        async with running.peers() as (_, late):
            await late.subscribe(CHANGES, id=product, after=after)
            replayed = [inventory(event) for event in await late.events(30)]

    assert live == replayed == list(range(1, 31))


async def test_a_redis_that_loses_its_data_expires_every_cursor(running: Fleet) -> None:
    async with running.peers() as (writer, listener):
        product = await new_product(writer)
        after, _ = await stock(listener, product)
        await listener.subscribe(CHANGES, id=product)
        await expired_by_loss(running, None)
        with pytest.raises(Ended) as end:
            await listener.event()
        assert end.value.codes == ["CURSOR_EXPIRED"]
        assert await expired(listener, product, after)
        assert await hears_anew(listener, writer, product)


async def hears_anew(listener: Peer, writer: Peer, product: str) -> bool:
    """Whether changes come to who reads the data again: twice at most, since those who serve
    and who appends each find out by themselves what was lost."""
    for _ in range(2):
        fresh, _stock = await stock(listener, product)
        await listener.subscribe(CHANGES, id=product, after=fresh)
        if await hears(listener, await add_one(writer, product)):
            return True
    return False


async def hears(listener: Peer, added: int) -> bool:
    """Whether the last change comes, or else word that the cursor has expired."""
    try:
        while inventory(await listener.event()) < added:
            pass
    except Ended as end:
        if end.codes != ["CURSOR_EXPIRED"]:
            raise
        return False
    return True


async def expired_by_loss(running: Fleet, kept: Path | None) -> None:
    running.broker.kill()
    await running.until_ready(503)
    running.broker.put_back(kept)
    running.broker.start()
    await running.until_ready()


async def test_a_redis_that_comes_back_with_an_old_copy_leaves_no_silent_gap(
    running: Fleet, tmp_path: Path
) -> None:
    async with running.peers() as (writer, listener):
        product = await new_product(writer)
        after, _ = await stock(listener, product)
        running.broker.copy(tmp_path / "old")
        await listener.subscribe(CHANGES, id=product, after=after)
        for _ in range(5):
            await add_one(writer, product)
        last = (await listener.events(5))[-1]["cursor"]
        await expired_by_loss(running, tmp_path / "old")
        await add_one(writer, product)

        for cursor in (after, last):
            async with running.peers() as (_, late):
                assert await expired(late, product, cursor)


async def test_a_processor_killed_amid_1000_reviews_leaves_ratings_and_events_right(
    running: Fleet,
) -> None:
    shelf = running.shelf
    reviews = [
        items.review(number, product.id, f"reviewer-{number}")
        for number, product in enumerate([*shelf.products] * 125)
    ]
    edited = [review.changed(rating=1 + review.rating % 5) for review in reviews[:99]]
    expected = ratings([*reviews, *edited])
    async with running.peers() as (listener, _):
        for product in expected:
            after, _stock = await stock(listener, product)
            await listener.subscribe(REVIEWS, product, id=product, after=after)
        writing = asyncio.create_task(shelf.put(*reviews, *edited))
        heard: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number in range(len(reviews) + len(edited)):
            message = await listener.hear()
            review = message["payload"]["data"]["reviewChanged"]["review"]
            heard[message["id"]][review["title"]].append(review["rating"])
            if number == 300:
                running.processor.kill()
                running.replace()
        await writing

    assert heard == expected
    for product, told in expected.items():
        histogram = [[told_[-1] for told_ in told.values()].count(stars) for stars in range(1, 6)]
        await asyncio.to_thread(until, lambda: stored(running, product) == histogram)  # noqa: B023
    counted = run("recount", environment=running.settings)
    assert counted.returncode == 0, counted.stderr


def ratings(reviews: list[Review]) -> dict[str, dict[str, list[int]]]:
    """The ratings of each review in order, by its title and the global ID of its product."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for review in reviews:
        product = global_ids.encode("Product", review.product_id)
        found[product][str(review.title)].append(review.rating)
    return found


def stored(running: Fleet, product: str) -> list[int]:
    answer = running.services[0].ask(HISTOGRAM, id=product)
    histogram: list[int] = answer["data"]["product"]["ratingSummary"]["histogram"]
    return histogram
