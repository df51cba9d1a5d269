"""Going on after failures that pass: with pauses, and for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from datasources.errors import StoreError

Sleep = Callable[[float], Awaitable[object]]
Jitter = Callable[[float, float], float]

_FIRST_PAUSE = 0.1  # seconds; doubles with each attempt
_LONGEST_PAUSE = 10.0

T = TypeVar("T")
log = logging.getLogger("cartograph.streams")


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses with full jitter ("Exponential backoff and jitter", AWS Architecture Blog)."""

    sleep: Sleep
    jitter: Jitter

    async def pause(self, attempt: int) -> None:
        """Waits after the attempt of this number, from 1."""
        # Bounded before the power: an outage may last thousands of attempts.
        ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10))
        await self.sleep(self.jitter(0, ceiling))

    async def wait(self, event: asyncio.Event, longest: float) -> bool:
        """Waits for the event, so many seconds at most, and clears it; whether it came."""
        timer = asyncio.ensure_future(self.sleep(longest))
        coming = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((timer, coming), return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            timer.cancel()
            coming.cancel()
            event.clear()

    async def insist(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """What the call returns, once the store is there and lets it through.

        Raises what is not a passing failure of the store.
        """
        attempt = 0
        while True:
            try:
                return await call()
            except StoreError as error:
                if not error.retryable:
                    raise
                attempt += 1
                log.warning("%s: %s, attempt %d", what, type(error).__name__, attempt)
                await self.pause(attempt)

    async def persist(self, call: Callable[[], Awaitable[object]], tries: int) -> Exception | None:
        """Calls until nothing is raised, so many times at most; the last error where all failed.

        Raises a passing failure of the store at once.
        """
        for attempt in range(1, tries + 1):
            try:
                await call()
                break
            except Exception as error:
                if isinstance(error, StoreError) and error.retryable:
                    raise
                if attempt == tries:
                    return error
            await self.pause(attempt)
        return None
