"""Awaiting many things at once without a task for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest

from resolvers.loaders import SharingLoader
from schema.execution.settling import settle


async def value_of(future: asyncio.Future[int]) -> int:
    return await future + await future


async def plain(value: int) -> int:
    return value


def futures(number: int) -> list[asyncio.Future[int]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(number)]


async def test_results_come_in_order_whatever_ends_first() -> None:
    first, second = futures(2)
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, first.set_result, 1)
    loop.call_soon(second.set_result, 2)
    assert await settle([value_of(first), plain(5), value_of(second), second], set()) == [
        2,
        5,
        4,
        2,
    ]


async def test_one_may_wait_for_what_another_does() -> None:
    [future] = futures(1)

    async def helps() -> int:
        await asyncio.sleep(0)
        future.set_result(3)
        return 0

    assert await settle([value_of(future), helps()], set()) == [6, 0]


async def test_nothing_is_nothing() -> None:
    assert await settle([], set()) == []


async def test_an_error_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    async def fails() -> None:
        raise ValueError("the first")

    async def goes_on() -> None:
        await asyncio.sleep(0.01)
        ended.append(1)

    with pytest.raises(ValueError, match="the first"):
        await settle([fails(), goes_on()], set())
    assert ended == [1]


async def test_what_was_cancelled_elsewhere_does_not_cancel_the_caller() -> None:
    [future] = futures(1)
    future.cancel()
    with pytest.raises(RuntimeError, match="cancelled"):
        await settle([value_of(future)], set())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_cancelled_it_lets_everything_clean_up() -> None:
    cleaned: list[str] = []

    async def cleans(future: asyncio.Future[int]) -> None:
        try:
            await future
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    waited = futures(2)
    task = asyncio.create_task(settle([cleans(future) for future in waited], set()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cleaned == ["up", "up"]
    assert all(future.cancelled() for future in waited)


class Held(SharingLoader[int, int]):
    """A loader whose batches are held back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[int]] = []
        self.may_answer = asyncio.Event()

    async def batch_load_fn(self, keys: list[int]) -> list[int]:
        self.asked.append(keys)
        await self.may_answer.wait()
        return keys


async def test_all_that_wait_for_one_batch_go_on_together() -> None:
    held = Held()
    held.may_answer.set()

    async def two_levels(key: int) -> int:
        return await held.load(key) + await held.load(key + 10)

    assert await settle([two_levels(key) for key in range(3)], set()) == [10, 12, 14]
    assert held.asked == [[0, 1, 2], [10, 11, 12]]


async def test_cancelled_it_has_nobody_go_on_with_what_is_shared() -> None:
    held, cleaned = Held(), []

    async def two_levels(key: int) -> int:
        try:
            return await held.load(key) + await held.load(key + 10)
        finally:
            cleaned.append(key)

    shares = held.load(0)
    task = asyncio.create_task(settle([two_levels(key) for key in range(3)], set()))
    while len(held.asked) < 2:  # noqa: ASYNC110 the loader tells nobody
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.may_answer.set()

    assert await shares == 0
    for _ in range(10):
        await asyncio.sleep(0)
    assert cleaned == [0, 1, 2]
    assert held.asked == [[0], [1, 2]]


async def test_what_needs_a_task_has_one_from_the_second_time_on() -> None:
    async def needs_a_task() -> str:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return "done"

    known: set[CodeType] = set()
    with pytest.raises(RuntimeError, match="task"):
        await settle([needs_a_task()], known)
    assert await settle([needs_a_task(), plain(1)], known) == ["done", 1]


class Bad:
    def __init__(self, await_: Callable[[], Any]) -> None:
        self._await = await_

    def __await__(self) -> Any:
        return self._await()


def _raises() -> Any:
    raise ValueError("no")


@pytest.mark.parametrize("awaits", [_raises, lambda: iter([1]), lambda: (each for each in [1])])
async def test_what_cannot_be_awaited_is_an_error_and_no_wait_without_end(
    awaits: Callable[[], Any],
) -> None:
    async with asyncio.timeout(5):
        with pytest.raises((ValueError, AttributeError, RuntimeError)):
            await settle([Bad(awaits), plain(1)], set())
