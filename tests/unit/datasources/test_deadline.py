"""The one timer of an operation: it does what `asyncio.timeout_at` does, for many tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.deadline import Deadline
from datasources.errors import DeadlineExceeded
from tests.unit.streams.virtual import Standstill, VirtualLoop


def virtually(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What it returns, in a loop whose time passes at once."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())


def now() -> float:
    return asyncio.get_running_loop().time()


async def within(deadline: Deadline, seconds: float) -> str:
    with deadline:
        await asyncio.sleep(seconds)
    return "done"


def test_what_is_done_in_time_is_left_alone() -> None:
    async def work() -> None:
        assert await within(Deadline(2), 1) == "done"
        assert now() == 1

    virtually(work)


def test_all_that_wait_when_the_time_comes_are_told() -> None:
    async def work() -> None:
        deadline = Deadline(3)
        waiting = [asyncio.create_task(within(deadline, seconds)) for seconds in (1, 2, 4, 60)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[:2] == ["done", "done"]
        assert [type(each) for each in results[2:]] == [DeadlineExceeded, DeadlineExceeded]
        assert now() == 3

    virtually(work)


def test_who_comes_after_its_time_is_told_at_the_first_wait() -> None:
    async def work() -> None:
        deadline = Deadline(1)
        await asyncio.sleep(2)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await within(deadline, 1)
        with deadline:
            pass  # waits for nothing
        assert now() == 2

    virtually(work)


def test_no_timer_is_left_once_nobody_waits() -> None:
    async def work() -> None:
        deadline = Deadline(1_000)
        for _ in range(2):
            await asyncio.gather(*(within(deadline, seconds) for seconds in (1, 2, 3)))
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Standstill):
        virtually(work)


def test_of_two_deadlines_the_one_that_has_passed_is_told() -> None:
    async def work() -> None:
        outer, inner = Deadline(3), Deadline(1)
        with outer:
            with pytest.raises(DeadlineExceeded):
                await within(inner, 2)
            assert await within(Deadline(9), 1) == "done"
            with pytest.raises(asyncio.CancelledError):
                await within(Deadline(9), 60)
            raise asyncio.CancelledError  # as it came

    with pytest.raises(DeadlineExceeded):
        virtually(work)


async def test_only_tasks_can_be_held() -> None:
    told = asyncio.get_running_loop().create_future()

    def step() -> None:
        try:
            Deadline(0).__enter__()
        except RuntimeError as error:
            told.set_result(error)

    asyncio.get_running_loop().call_soon(step)

    assert isinstance(await told, RuntimeError)


@dataclass(frozen=True)
class Life:
    """Of one task: how long it sleeps, time after time, and when another cancels it, if at all."""

    sleeps: tuple[int, ...]
    cancelled_at: int | None


LIVES = st.builds(
    Life,
    st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    st.none() | st.integers(0, 5),
)


@given(st.lists(LIVES, min_size=1, max_size=4), st.integers(0, 5))
def test_tasks_end_as_they_would_with_a_timer_each(lives: list[Life], whole: int) -> None:
    at = whole - 0.5  # never when a sleep ends: either could be first

    def one_timer() -> Callable[[], AbstractAsyncContextManager[None]]:
        deadline = Deadline(at)

        @asynccontextmanager
        async def hold() -> Any:
            try:
                with deadline:
                    yield
            except DeadlineExceeded:
                raise TimeoutError from None

        return hold

    def a_timer_each() -> Callable[[], AbstractAsyncContextManager[Any]]:
        return lambda: asyncio.timeout_at(at)

    assert virtually(lambda: ends(lives, one_timer())) == virtually(
        lambda: ends(lives, a_timer_each())
    )


async def ends(
    lives: list[Life], hold: Callable[[], AbstractAsyncContextManager[Any]]
) -> list[Any]:
    """How each task ended, when, and how many still want it cancelled."""

    async def live(life: Life) -> str:
        for seconds in life.sleeps:
            async with hold():
                await asyncio.sleep(seconds)
        return "done"

    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(live(life)) for life in lives]
    ended: dict[asyncio.Task[str], float] = {}
    for task, life in zip(tasks, lives, strict=True):
        task.add_done_callback(lambda task: ended.update({task: now()}))
        if life.cancelled_at is not None:
            loop.call_at(life.cancelled_at, task.cancel)
    for task in tasks:
        with suppress(BaseException):
            await task
    await asyncio.sleep(0)
    return [
        (
            "cancelled" if task.cancelled() else task.exception().__class__.__name__,
            ended[task],
            task.cancelling(),
        )
        for task in tasks
    ]
