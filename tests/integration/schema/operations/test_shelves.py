"""Documents in a real Redis: found by all, bounded, checked, and missed by nobody while it is
gone."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from schema.operations import shelves
from schema.operations.documents import sha256
from schema.operations.shelves import MemoryShelf, RedisShelf
from streams.broker import answer_of, open_redis
from tests.support.broker import Broker, needs_redis

pytestmark = needs_redis

TEXT = "{ viewer { id } } # ノートパソコン"
NAME = sha256(TEXT)


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "_PATIENCE", 10.0)  # the machine may be busy


def instance(redis: Redis, slots: int = 4_096) -> RedisShelf:
    """One of several; it has seen nothing yet."""
    return RedisShelf(redis, "shop", MemoryShelf(), slots=slots)


async def test_what_one_instance_is_sent_all_others_find(redis: Redis) -> None:
    await instance(redis).put(NAME, TEXT)

    assert await instance(redis).get(NAME) == TEXT
    assert await instance(redis).get(sha256("{ other }")) is None
    assert await RedisShelf(redis, "other", MemoryShelf()).get(NAME) is None


async def test_what_has_been_found_is_not_asked_for_again(redis: Redis) -> None:
    await instance(redis).put(NAME, TEXT)
    near = instance(redis)
    await near.get(NAME)
    await redis.flushall()

    assert await near.get(NAME) == TEXT


async def test_however_many_are_sent_no_more_are_kept_than_there_are_places(redis: Redis) -> None:
    texts = [f"{{ a{number} }}" for number in range(100)]
    for text in texts:
        await instance(redis, slots=7).put(sha256(text), text)

    assert await redis.dbsize() == 7
    found = [await instance(redis, slots=7).get(sha256(text)) for text in texts]
    assert len([text for text in found if text]) == 7
    assert all(text in {None, sent} for text, sent in zip(found, texts, strict=True))


async def test_what_is_kept_expires(redis: Redis) -> None:
    await instance(redis).put(NAME, TEXT)

    [key] = await redis.keys()
    assert 0 < await redis.ttl(key) <= 86_400


@pytest.mark.parametrize("planted", [b"{ other }", b"\xff", b""])
async def test_what_another_has_put_in_its_place_is_not_run(redis: Redis, planted: bytes) -> None:
    await instance(redis).put(NAME, TEXT)
    [key] = await redis.keys()
    await answer_of(redis.set(key, planted))

    assert await instance(redis).get(NAME) is None


async def test_without_the_broker_each_instance_finds_its_own(server: Broker, redis: Redis) -> None:
    shelf = instance(redis)
    server.kill()

    await shelf.put(NAME, TEXT)

    assert await shelf.get(NAME) == TEXT
    assert await instance(redis).get(NAME) is None

    server.start()
    await shelf.put(NAME, TEXT)
    assert await instance(redis).get(NAME) == TEXT


async def test_a_broker_that_says_nothing_is_soon_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelves, "_PATIENCE", 0.05)
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, open_redis(f"redis://127.0.0.1:{port}") as redis:
        shelf = instance(redis)
        async with asyncio.timeout(10):
            await shelf.put(NAME, TEXT)
            assert await instance(redis).get(NAME) is None
        assert await shelf.get(NAME) == TEXT
