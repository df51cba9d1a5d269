"""Places for requests under way."""

from __future__ import annotations

import asyncio

import pytest

from datasources.breaker import NotAsked
from datasources.client import as_store_error
from datasources.pool import Places, PoolTimeoutError


async def test_who_finds_no_place_waits_until_one_is_given_back() -> None:
    places, order = Places(1, patience=60), []

    async def take(name: str) -> None:
        async with places:
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*map(take, "abc"))

    assert order == ["a", "b", "c"]


async def test_who_waits_too_long_is_told_so_and_takes_no_place() -> None:
    places = Places(1, patience=0.01)
    async with places:
        with pytest.raises(PoolTimeoutError):
            await places.__aenter__()
    async with places:
        pass


async def test_who_leaves_while_it_waits_takes_no_place() -> None:
    places = Places(1, patience=60)
    async with places:
        waiting = asyncio.create_task(places.__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
    async with places:
        pass


def test_a_want_of_places_is_no_fault_of_the_store() -> None:
    error = as_store_error(PoolTimeoutError(seconds=1))

    assert isinstance(error, NotAsked)
    assert (error.code, error.retryable) == ("SERVICE_UNAVAILABLE", True)
