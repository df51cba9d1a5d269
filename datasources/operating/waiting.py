"""Waiting for what AWS does in its own time, as a command does: by asking now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from datasources.errors import CartographError

T = TypeVar("T")

_FIRST_PAUSE = 0.5  # seconds; doubles with each question
# In a row, before what is wrong counts as lasting.
_MOST_FAILURES = 5


@dataclass(frozen=True)
class Waiting:
    """How to wait: `pause` seconds between questions, less at first; a line to `report` at least
    every `every` seconds. No end is set to it, since what takes hours takes hours; it may be
    interrupted.
    """

    report: Callable[[str], None]
    pause: float = 5.0
    every: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    async def until(
        self, ask: Callable[[], Awaitable[T]], done: Callable[[T], bool], what: str
    ) -> T:
        """The first answer that is `done`. Answers that fail for the moment are asked for again."""
        began = told = self.clock()
        failures, pause = 0, _FIRST_PAUSE
        while True:
            try:
                answer = await ask()
            except CartographError as error:
                failures += 1
                if not error.retryable or failures > _MOST_FAILURES:
                    raise
            else:
                failures = 0
                if done(answer):
                    return answer
            now = self.clock()
            if now - told >= self.every:
                told = now
                self.report(f"{what}: {duration(now - began)} so far")
            await self.sleep(min(pause, self.pause))
            pause *= 2


def duration(seconds: float) -> str:
    """In words for people: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"
