"""The journal in a real Redis: what is appended once is followed by all, whatever goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from datasources.errors import ServiceUnavailable
from datasources.items import Item
from streams.broker import Names, dump, load
from streams.changes import Change
from streams.journal import CursorExpired, Position
from streams.nudges import Nudges
from streams.patience import Patience
from streams.redis_journal import RedisJournal
from streams.redis_writer import RedisWriter
from tests.support import items
from tests.support.broker import Broker, needs_redis
from tests.support.changes import Ear, change

pytestmark = needs_redis

LONGEST = 30
PATIENCE = Patience(asyncio.sleep, lambda _low, _high: 0.05)


@asynccontextmanager
async def following(redis: Redis, *tenants: str) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(redis, "shop", tenants or ("t",), PATIENCE, lambda: datetime.now(UTC))
    task = asyncio.create_task(journal.run())
    await until(lambda: journal.missing is None)
    yield journal
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


def writer(redis: Redis, kept: timedelta = timedelta(hours=24)) -> RedisWriter:
    return RedisWriter(redis, "shop", ["t", "u"], kept=kept)


def some(count: int, tenant: str = "t") -> list[Change]:
    return [change(None, items.product(number), tenant=tenant) for number in range(count)]


def tail(journal: RedisJournal) -> Position:
    found = journal.tail("t")
    assert found is not None
    return found


async def since(journal: RedisJournal, after: Position) -> list[Change]:
    return [entry.change async for page in journal.since("t", after) for entry in page]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST):
        while not holds():  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.01)


EVERY_KIND: list[tuple[Item | None, Item | None]] = [
    (None, items.user(1)),
    (items.category("books"), items.category("books", product_count=3)),
    (items.product(1), items.product(1, inventory=0)),
    (items.order(1), None),
    (items.review(1, items.new_id(1)), items.review(1, items.new_id(1), rating=1)),
]


@pytest.mark.parametrize(("old", "new"), EVERY_KIND, ids=lambda item: type(item).__name__)
def test_a_change_is_read_back_as_it_was(old: Item | None, new: Item | None) -> None:
    made = change(old, new, size=123)
    assert load(dump(made)) == made


async def test_what_is_appended_is_heard_by_every_follower_in_order(redis: Redis) -> None:
    made = some(250)
    async with following(redis) as first, following(redis) as second:
        ears = [Ear(), Ear()]
        for journal, ear in zip((first, second), ears, strict=True):
            journal.listen("t", ear)
        await writer(redis).append(made)
        await until(lambda: all(len(ear.entries) == len(made) for ear in ears))
    assert ears[0].changes == ears[1].changes == made
    assert ears[0].entries == ears[1].entries


async def test_an_event_that_is_appended_again_is_there_once(redis: Redis) -> None:
    made = some(30)
    async with following(redis) as journal:
        begin = tail(journal)
        for again in (made[:10], made[5:20], made, made):
            await writer(redis).append(again)
        assert await since(journal, begin) == made


async def test_positions_are_good_for_every_follower_and_after_a_restart_of_one(
    redis: Redis,
) -> None:
    made = some(120)
    async with following(redis) as journal:
        ear = Ear()
        journal.listen("t", ear)
        await writer(redis).append(made[:20])
        await until(lambda: len(ear.entries) == 20)
        middle = tail(journal)
    await writer(redis).append(made[20:])
    async with following(redis) as later:
        assert await since(later, middle) == made[20:]
        assert await since(later, tail(later)) == []


async def test_tenants_share_nothing(redis: Redis) -> None:
    async with following(redis, "t", "u") as journal:
        ear, begin = Ear(), tail(journal)
        journal.listen("t", ear)
        mine, other = some(1), some(1, "u")
        await writer(redis).append([*other, *mine])
        await until(lambda: bool(ear.entries))
        assert ear.changes == await since(journal, begin) == mine


async def test_what_is_older_than_is_kept_has_expired(redis: Redis) -> None:
    made = some(3)
    async with following(redis) as journal:
        begin = tail(journal)
        short = writer(redis, kept=timedelta(seconds=2))
        await short.append(made[:1])
        await asyncio.sleep(2.1)  # Redis's own clock says how old an entry is
        await short.append(made[1:])
        with pytest.raises(CursorExpired):
            await since(journal, begin)


async def test_a_stream_that_has_expired_whole_is_no_silent_gap(redis: Redis) -> None:
    async with following(redis) as journal:
        ear, begin = Ear(), tail(journal)
        journal.listen("t", ear)
        await writer(redis).append(some(2))
        await until(lambda: len(ear.entries) == 2)
        latest = tail(journal)
        await redis.delete(Names("shop").stream("t"))  # as when its time has come
        with pytest.raises(CursorExpired):
            await since(journal, begin)
        assert await since(journal, latest) == []
        later = some(1)
        await writer(redis).append(later)
        with pytest.raises(CursorExpired):
            await since(journal, begin)
        assert await since(journal, latest) == later


async def test_a_broker_that_goes_and_comes_back_with_its_data_loses_nothing(
    server: Broker, redis: Redis
) -> None:
    made, ear = some(60), Ear()
    async with following(redis) as journal:
        journal.listen("t", ear)
        await writer(redis).append(made[:20])
        server.kill()
        with pytest.raises(ServiceUnavailable):
            await writer(redis).append(made[20:40])
        await until(lambda: journal.missing is not None)
        server.start()
        await writer(redis).append(made[20:40])
        await writer(redis).append(made[40:])
        await until(lambda: len(ear.entries) >= len(made))
    assert ear.changes == made
    assert ear.losses == 0


async def test_a_broker_that_comes_back_without_its_data_ends_what_was_followed(
    server: Broker, redis: Redis
) -> None:
    ear = Ear()
    async with following(redis) as journal:
        journal.listen("t", ear)
        await writer(redis).append(some(5))
        await until(lambda: len(ear.entries) == 5)
        before = tail(journal)
        server.kill()
        server.put_back(None)
        server.start()
        await until(lambda: ear.losses == 1)
        with pytest.raises(CursorExpired):
            await since(journal, before)
        await writer(redis).append(made := some(3))
        await until(lambda: len(ear.entries) == 8)
    assert ear.changes[5:] == made


async def test_a_broker_that_comes_back_with_older_data_is_noticed_by_who_follows(
    server: Broker, redis: Redis, tmp_path: Path
) -> None:
    ear = Ear()
    async with following(redis) as journal:
        journal.listen("t", ear)
        await writer(redis).append(some(5))
        await until(lambda: len(ear.entries) == 5)
        server.copy(tmp_path / "older")
        await writer(redis).append(some(5))
        await until(lambda: len(ear.entries) == 10)
        before = tail(journal)
        server.kill()
        server.put_back(tmp_path / "older")
        server.start()
        await until(lambda: ear.losses == 1)
        with pytest.raises(CursorExpired):
            await since(journal, before)


async def test_a_broker_that_comes_back_with_older_data_is_noticed_by_who_appends(
    server: Broker, redis: Redis, tmp_path: Path
) -> None:
    appending = writer(redis)
    await appending.append(some(5))
    async with following(redis) as journal:
        begin = tail(journal)
    server.copy(tmp_path / "older")
    await appending.append(some(5))
    server.kill()
    server.put_back(tmp_path / "older")
    server.start()
    await appending.append(some(5))
    async with following(redis) as journal:
        with pytest.raises(CursorExpired):
            await since(journal, begin)


async def test_older_data_that_was_noticed_ends_nothing_a_second_time(
    server: Broker, redis: Redis, tmp_path: Path
) -> None:
    ear, appending = Ear(), writer(redis)
    async with following(redis) as journal:
        journal.listen("t", ear)
        await appending.append(some(5))
        server.copy(tmp_path / "older")
        await appending.append(some(5))
        await until(lambda: len(ear.entries) == 10)
        server.kill()
        server.put_back(tmp_path / "older")
        server.start()
        await until(lambda: ear.losses == 1)
        fresh = tail(journal)
        await appending.append(made := some(3))
        await until(lambda: len(ear.entries) == 13)
        assert await since(journal, fresh) == made
    assert ear.losses == 1


async def test_a_loss_that_the_reader_tells_is_heard_with_the_next_entry(redis: Redis) -> None:
    ear = Ear()
    async with following(redis) as journal:
        journal.listen("t", ear)
        before = tail(journal)
        await writer(redis).lose()
        await writer(redis).append(some(1))
        await until(lambda: bool(ear.entries))
        assert ear.losses == 1
        with pytest.raises(CursorExpired):
            await since(journal, before)


async def test_an_entry_that_cannot_be_read_is_a_loss_and_is_passed(redis: Redis) -> None:
    ear = Ear()
    async with following(redis) as journal:
        journal.listen("t", ear)
        await redis.xadd(
            Names("shop").stream("t"),
            {"epoch": tail(journal).epoch, "change": b'{"of": "another version"}'},
        )
        await writer(redis).append(made := some(1))
        await until(lambda: bool(ear.entries))
    assert (ear.losses, ear.changes) == (1, made)


async def test_a_nudge_reaches_who_reads_and_is_no_loss_where_it_does_not(
    server: Broker, redis: Redis
) -> None:
    nudged = asyncio.Event()
    nudges = Nudges(redis, "shop", PATIENCE)
    hearing = asyncio.create_task(nudges.run(nudged.set))

    async def until_nudged() -> None:
        async with asyncio.timeout(LONGEST):
            while not nudged.is_set():
                nudges.send()
                await asyncio.sleep(0.02)
        nudged.clear()

    await until_nudged()
    server.kill()
    nudges.send()
    server.start()
    await until_nudged()
    hearing.cancel()
