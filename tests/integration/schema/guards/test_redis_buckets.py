"""Buckets in a real Redis: shared by all who use it, and missed by nobody while it is gone."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from schema.guards import redis_buckets
from schema.guards.buckets import Rate
from schema.guards.redis_buckets import RedisBuckets
from tests.support.broker import Broker, needs_redis

pytestmark = needs_redis

ME, OTHER = ("default", "me"), ("", "2001:db8::/64")
# Nothing to speak of comes back while a test runs.
RATE = Rate(100, 0.001)
QUICK = Rate(100, 1_000)


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_buckets, "_PATIENCE", 10.0)  # the machine may be busy


def buckets(redis: Redis, rate: Rate = RATE) -> RedisBuckets:
    return RedisBuckets(redis, "cartograph:shop:cost", rate, time.monotonic)


async def test_a_bucket_is_shared_by_several_processes(redis: Redis) -> None:
    one, another = buckets(redis), buckets(redis)

    assert await one.take(ME, 60) == pytest.approx(40, abs=0.1)
    assert await another.take(ME, 60) == pytest.approx(-20, abs=0.1)
    assert await another.take(ME, 40) == pytest.approx(0, abs=0.1)
    assert await one.take(OTHER, 100) == pytest.approx(0, abs=0.1)


async def test_what_is_asked_together_is_answered_in_order(redis: Redis) -> None:
    shared = buckets(redis)

    left = await asyncio.gather(*(shared.take(ME, 1) for _ in range(150)))

    assert [round(one) for one in left[:100]] == list(range(99, -1, -1))
    assert [round(one) for one in left[100:]] == [-1] * 50


async def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_owed(
    redis: Redis,
) -> None:
    shared = buckets(redis)
    left = await shared.take(ME, 100)
    left = shared.settle(ME, 30, left)
    assert left == pytest.approx(30, abs=0.1)
    assert await shared.take(ME, 10) == pytest.approx(20, abs=0.1)
    shared.settle(ME, -50, 20)
    assert await shared.take(ME, 10) == pytest.approx(-40, abs=0.1)
    shared.settle(ME, 10_000, -40)
    assert await shared.take(ME, 100) == pytest.approx(0, abs=0.1)


async def test_a_bucket_that_is_full_again_is_gone(redis: Redis) -> None:
    shared = buckets(redis, QUICK)
    await shared.take(ME, 50)
    (key,) = await redis.keys()
    assert key == b"cartograph:shop:cost:default:me"
    assert await redis.pttl(key) <= 50  # milliseconds
    shared.settle(ME, 100, 50)
    assert await shared.take(OTHER, 1) > 0  # which goes behind it
    assert [name async for name in redis.scan_iter(match="*:me")] == []


async def test_many_are_asked_in_several_calls(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_buckets, "_MOST", 7)
    shared = buckets(redis)

    left = await asyncio.gather(*(shared.take(("t", str(n)), n) for n in range(50)))

    assert left == pytest.approx([100 - n for n in range(50)], abs=0.1)


async def test_without_redis_each_process_counts_for_itself_and_then_no_more(
    server: Broker, redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_buckets, "_PAUSE", 0.0)
    one, another = buckets(redis), buckets(redis)
    await one.take(ME, 90)
    server.kill()

    assert await one.take(ME, 60) == pytest.approx(40, abs=0.1)
    assert await one.take(ME, 60) == pytest.approx(-20, abs=0.1)
    assert await another.take(ME, 100) == pytest.approx(0, abs=0.1)
    one.settle(ME, 10, 40)
    assert await one.take(ME, 45) == pytest.approx(5, abs=0.1)
    assert "ConnectionError" in caplog.text

    server.start()
    assert await another.take(ME, 5) == pytest.approx(5, abs=0.1)


async def test_a_redis_that_hangs_is_not_waited_for(
    server: Broker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = buckets(redis)
    await shared.take(ME, 90)
    monkeypatch.setattr(redis_buckets, "_PATIENCE", 0.01)
    monkeypatch.setattr(redis_buckets, "_PAUSE", 3_600.0)
    await redis.client_pause(60_000, all=True)

    left = await asyncio.wait_for(asyncio.gather(*(shared.take(ME, 1) for _ in range(3))), 10)

    assert left == pytest.approx([99, 98, 97], abs=0.1)
    # And nobody tries again for a while: this one need not be awaited.
    assert shared.settle(ME, 1, 97) == pytest.approx(98, abs=0.1)
    monkeypatch.setattr(redis_buckets, "_PATIENCE", 60.0)
    async with asyncio.timeout(10):
        assert await shared.take(ME, 1) == pytest.approx(97, abs=0.1)


async def test_who_goes_away_while_redis_is_asked_leaves_the_others_alone(redis: Redis) -> None:
    shared = buckets(redis)
    first = asyncio.create_task(shared.take(ME, 1))
    second = asyncio.create_task(shared.take(ME, 1))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == pytest.approx(98, abs=0.1)
