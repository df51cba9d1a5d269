"""Following the journal: the entries that somebody is interested in, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from streams.changes import Change
from streams.journal import CursorExpired, Entry, Journal

MOST_WAITING = 256


class FellBehind(Exception):
    """More entries wait than are kept for one follower."""


class Follower(AsyncIterator[Entry]):
    """Entries from the moment it is made until it is closed.

    Raises CursorExpired where the journal has lost entries, FellBehind where too many wait.
    """

    def __init__(
        self,
        journal: Journal,
        tenant: str,
        concerns: Callable[[Change], bool],
        *,
        most: int = MOST_WAITING,
    ) -> None:
        self._concerns = concerns
        self._most = most
        self._waiting: deque[Entry] = deque()
        self._failure: Exception | None = None
        self._woken = asyncio.Event()
        self.close = journal.listen(tenant, self)

    def heard(self, entry: Entry) -> None:
        if self._failure is not None or not self._concerns(entry.change):
            return
        if len(self._waiting) >= self._most:
            self._fail(FellBehind())
            return
        self._waiting.append(entry)
        self._woken.set()

    def lost(self) -> None:
        self._fail(CursorExpired())

    def _fail(self, failure: Exception) -> None:
        # What waits would leave a gap behind it.
        self._waiting.clear()
        self._failure = failure
        self._woken.set()

    async def __anext__(self) -> Entry:
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.popleft()
