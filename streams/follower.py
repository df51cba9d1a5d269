"""Following the journal: what somebody is interested in, from a position on, with nothing between.

What has been missed is read from the journal; what happens is heard. Who takes entries slower than
they come has them read again from the journal, so that few wait in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from streams.changes import Change
from streams.journal import CursorExpired, Entry, Journal, Position

MOST_WAITING = 256


class Follower(AsyncIterator[Entry]):
    """The entries behind a position, else from now on, until it is closed.

    `position` is that of the last entry given or passed over. Raises CursorExpired where entries
    are gone, and what the journal raises where it is away.
    """

    def __init__(
        self,
        journal: Journal,
        tenant: str,
        concerns: Callable[[Change], bool],
        after: Position,
        *,
        most: int = MOST_WAITING,
    ) -> None:
        self.position = after
        self._journal = journal
        self._tenant = tenant
        self._concerns = concerns
        self._most = most
        self._waiting: deque[Entry] = deque()
        # Whether entries are heard; else they are read, from the last that was either.
        self._live = journal.tail(tenant) == after
        self._heard_to = after
        self._tail: Position | None = None
        self._pages: AsyncIterator[Sequence[Entry]] | None = None
        self._lost = False
        self._woken = asyncio.Event()
        self.close = journal.listen(tenant, self)

    def heard(self, entry: Entry) -> None:
        if not self._live or entry.position <= self._heard_to:
            return
        if len(self._waiting) >= self._most:
            self._live = False
        else:
            self._add(entry)
            self._woken.set()

    def lost(self) -> None:
        self._lost = True
        self._woken.set()

    async def __anext__(self) -> Entry:
        while not await self._has_one():
            self._woken.clear()
            await self._woken.wait()
        return self._take()

    async def missed(self) -> AsyncGenerator[Entry]:
        """The entries that are there by now; at their end the follower is live."""
        while await self._has_one():
            yield self._take()

    def _take(self) -> Entry:
        entry = self._waiting.popleft()
        self.position = entry.position
        return entry

    async def _has_one(self) -> bool:
        """Whether an entry waits; if not, the follower is live."""
        while not self._waiting:
            self.position = self._heard_to
            if self._lost:
                raise CursorExpired
            if self._live:
                return False
            await self._read()
        return True

    async def _read(self) -> None:
        """The next page of the journal; at its end, the follower is live."""
        # All up to the tail is in the pages that follow; what comes meanwhile may not be.
        if self._pages is None:
            self._tail = self._journal.tail(self._tenant)
            self._pages = self._journal.since(self._tenant, self._heard_to)
        async for page in self._pages:
            for entry in page:
                self._add(entry)
            return
        self._pages = None
        if self._tail is None or self._tail.epoch != self._heard_to.epoch:
            raise CursorExpired
        self._heard_to = max(self._heard_to, self._tail)
        self._live = self._journal.tail(self._tenant) == self._tail

    def _add(self, entry: Entry) -> None:
        self._heard_to = entry.position
        if self._concerns(entry.change):
            self._waiting.append(entry)
