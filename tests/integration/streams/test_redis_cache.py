"""The cache that instances share, in a real Redis: as that of a process, and missed by nobody
while it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from redis.asyncio import Redis

from datasources.cache import LARGEST
from datasources.errors import ServiceUnavailable
from datasources.items import Item
from datasources.keys import Key, Keys
from streams import broker as broker_module
from streams import redis_cache
from streams.broker import open_redis
from streams.redis_cache import RedisCache
from tests.support import items
from tests.support.broker import Broker, needs_redis

pytestmark = needs_redis

KEYS = Keys("t", 2)
ME, OTHER = ("t", "me"), ("t", "other")
SLOTS = 1_000_003  # by which none of these come to the same
CLOSED = "cartograph:{shop}:cache:closed"


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_cache, "PATIENCE", 10.0)  # the machine may be busy


def kinds() -> dict[Key, Item]:
    """An item of each kind that is kept."""
    user, product = items.user(0), items.product(0)
    review = items.review(0, product.id)
    return {
        KEYS.user(user.id): user,
        KEYS.product(product.id): product,
        KEYS.review(product.id, review.id): review,
        KEYS.category("books"): items.category("books"),
    }


def cache_of(redis: Redis, slots: int = SLOTS) -> RedisCache:
    return RedisCache(redis, "shop", slots)


async def kept(cache: RedisCache, read: Mapping[Key, object]) -> None:
    cache.keep(read)
    await asyncio.gather(*cache._keeping)


async def test_every_kind_comes_back_as_it_was_for_another_instance(redis: Redis) -> None:
    order = items.order(0)
    order_key = KEYS.order(order.user_id, order.id)
    await kept(cache_of(redis), {**kinds(), order_key: order, Key("a", "b"): None})

    another = cache_of(redis)
    asked = [order_key, Key("a", "b"), *kinds()]
    assert await another.find(asked, ME) == kinds()
    assert await RedisCache(redis, "another", SLOTS).find(asked, ME) == {}
    names = [name async for name in redis.scan_iter("*:item:*")]
    lives = [await redis.pttl(name) for name in names]
    assert len(lives) == 4
    assert all(0 < life <= 30_000 for life in lives)


async def test_what_has_changed_leaves_and_a_read_from_before_does_not_bring_it_back(
    redis: Redis,
) -> None:
    cache = cache_of(redis)
    first, *others = kinds()
    await kept(cache, kinds())

    await cache_of(redis).changed([first])
    await kept(cache, kinds())
    assert list(await cache.find(list(kinds()), None)) == others


async def test_who_has_written_anywhere_reads_past_it(redis: Redis) -> None:
    cache = cache_of(redis)
    await kept(cache, kinds())
    first, *others = kinds()

    await cache.wrote([first], ME)
    another = cache_of(redis)
    assert await another.find(list(kinds()), ME) == {}
    assert list(await another.find(list(kinds()), OTHER)) == others


async def test_after_changes_were_lost_nothing_is_told_and_nothing_kept(redis: Redis) -> None:
    cache = cache_of(redis)
    await kept(cache, kinds())

    await cache.lost()
    assert await cache.find(list(kinds()), None) == {}
    assert 0 < await redis.pttl(CLOSED) <= 30_000
    await redis.flushdb()
    await cache.lost()
    await kept(cache, kinds())
    await redis.delete(CLOSED)
    assert await cache.find(list(kinds()), None) == {}


async def test_what_another_version_has_kept_is_not_there(redis: Redis) -> None:
    cache = cache_of(redis)
    first, second, third, fourth = kinds()
    await kept(cache, kinds())
    for key, text in (
        (first, f"{first.pk} {first.sk}\nCustomer\n{{}}"),
        (second, f'{second.pk} {second.sk}\nProduct\n{{"id": 7}}'),
        (third, ""),
    ):
        await redis.set(cache._item(key), text)
    assert list(await cache.find([first, second, third, fourth], None)) == [fourth]


async def test_while_redis_is_gone_nothing_is_found_and_nothing_fails(
    server: Broker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cache, "PATIENCE", 0.2)
    monkeypatch.setattr(broker_module, "_SECONDS_A_CALL", 0.2)
    cache = cache_of(redis)
    server.kill()

    assert await cache.find(list(kinds()), ME) == {}
    await kept(cache, kinds())
    await cache.wrote(list(kinds()), ME)
    with pytest.raises(ServiceUnavailable):
        await cache.changed(list(kinds()))
    with pytest.raises(ServiceUnavailable):
        await cache.lost()


async def test_a_write_that_redis_did_not_hear_of_closes_the_cache_for_all(
    server: Broker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_of(redis)
    await kept(cache, kinds())
    with monkeypatch.context() as patch:
        patch.setattr(redis_cache, "PATIENCE", 0.0)
        await cache.wrote(list(kinds())[:1], ME)

    assert await cache.find(list(kinds()), OTHER) == {}
    async with open_redis(server.url) as client:
        assert await cache_of(client).find(list(kinds()), ME) == {}


async def test_it_is_closed_for_the_others_though_nobody_asks_where_the_write_was(
    server: Broker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_of(redis)
    await kept(cache, kinds())
    with monkeypatch.context() as patch:
        patch.setattr(redis_cache, "PATIENCE", 0.0)
        await cache.wrote(list(kinds())[:1], ME)
    assert cache._paying

    async with asyncio.timeout(30), open_redis(server.url) as client:
        await cache._paying
        assert await cache_of(client).find(list(kinds()), ME) == {}


async def test_who_comes_last_has_a_slot_and_what_changes_there_empties_it(redis: Redis) -> None:
    cache = cache_of(redis, slots=1)
    first, second, *_ = kinds()
    await kept(cache, {first: kinds()[first]})
    await kept(cache, {second: kinds()[second]})
    assert await cache.find([first, second], None) == {second: kinds()[second]}

    await cache.changed([first])
    assert await cache.find([first, second], None) == {}


async def test_an_item_that_is_very_large_is_not_kept(redis: Redis) -> None:
    cache = cache_of(redis)
    product = items.product(0, description="x" * LARGEST)
    key = KEYS.product(product.id)
    await kept(cache, {key: product})
    assert await cache.find([key], None) == {}
