"""The journal: the changes of late, in the order they were read, for whoever follows them.

A position in it is what a change cursor holds. It says which journal it is of (`epoch`), so that
a journal that was lost and begun anew refuses positions of the old one, instead of passing over
what lay between.
"""

from __future__ import annotations

import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from datasources.errors import CartographError
from streams.changes import Change

KEPT = timedelta(hours=1)
MOST_CHANGES = 50_000
MOST_BYTES = 64 * 1024 * 1024
NO_LAG = timedelta(0)
_PAGE = 100
# Of a record whose size the store does not tell.
_USUAL_SIZE = 2_048


class CursorExpired(CartographError):
    """Changes behind this position are no longer kept."""

    code = "CURSOR_EXPIRED"

    def __init__(self) -> None:
        super().__init__(
            "The changes behind this cursor are no longer kept: read the data again, with a new "
            "cursor of changes, and subscribe from there."
        )


class Position(NamedTuple):
    """A change's place in the journal of its tenant: positions of one epoch compare by time.

    `milliseconds` are of the Unix epoch, `sequence` numbers the changes within one.
    """

    epoch: str
    milliseconds: int
    sequence: int

    @property
    def id(self) -> str:
        """As a Redis stream writes its IDs."""
        return f"{self.milliseconds}-{self.sequence}"

    def __str__(self) -> str:
        return f"{self.epoch}.{self.id}"

    @classmethod
    def at(cls, epoch: str, stream_id: str) -> Position:
        milliseconds, _, sequence = stream_id.partition("-")
        return cls(epoch, int(milliseconds), int(sequence))

    @classmethod
    def parse(cls, text: str) -> Position | None:
        epoch, _, stream_id = text.partition(".")
        try:
            return cls.at(epoch, stream_id)
        except ValueError:
            return None


class Entry(NamedTuple):
    position: Position
    change: Change


class Listener(Protocol):
    """Called for each entry as it comes; neither call may take long."""

    def heard(self, entry: Entry) -> None: ...

    def lost(self) -> None:
        """Entries may be missing: whoever wants all of them must begin anew."""


class Journal(Protocol):
    """What the followers of changes need of it; what is of one tenant is told to no other."""

    def tail(self, tenant: str, *, lag: timedelta = NO_LAG) -> Position | None:
        """The position of the last entry that listeners had heard so long ago; None where that is
        not known yet."""

    def listen(self, tenant: str, listener: Listener) -> Callable[[], None]:
        """From now on, until the function returned is called."""

    def since(self, tenant: str, after: Position) -> AsyncIterator[Sequence[Entry]]:
        """The entries behind a position, in pages; at least all that listeners have heard.

        Raises CursorExpired where some are gone.
        """


def before(tail: Position, lag: timedelta, now: datetime) -> Position:
    """The position that the journal was at when `lag` had still to pass, or one before it."""
    if not lag:
        return tail
    return min(tail, Position(tail.epoch, int((now - lag).timestamp() * 1000), 0))


class JournalWriter(Protocol):
    """What whoever reads the stream needs of it. Raises StoreError where it is away."""

    async def append(self, changes: Sequence[Change]) -> None:
        """Each once, however often it is given."""

    async def lose(self) -> None:
        """Changes are missing behind what was appended: a new epoch begins, in all tenants."""


class NoJournal:
    """For who reads the stream where nobody follows the changes."""

    async def append(self, changes: Sequence[Change]) -> None:
        """Nothing is kept."""

    async def lose(self) -> None:
        """Nothing was."""


@dataclass
class Listeners:
    """Who listens, by tenant."""

    _by_tenant: dict[str, set[Listener]] = field(default_factory=lambda: defaultdict(set))

    def add(self, tenant: str, listener: Listener) -> Callable[[], None]:
        self._by_tenant[tenant].add(listener)
        return lambda: self._by_tenant[tenant].discard(listener)

    def heard(self, tenant: str, entry: Entry) -> None:
        for listener in tuple(self._by_tenant[tenant]):
            listener.heard(entry)

    def lost(self, tenant: str) -> None:
        for listener in tuple(self._by_tenant[tenant]):
            listener.lost()

    def all_lost(self) -> None:
        for tenant in tuple(self._by_tenant):
            self.lost(tenant)


@dataclass
class _Log:
    """One tenant's: entries from the oldest on, and the position that everything kept is behind."""

    horizon: Position
    tail: Position
    entries: deque[Entry] = field(default_factory=deque)
    size: int = 0

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.size += _size(entry)
        self.tail = entry.position

    def drop_oldest(self) -> None:
        gone = self.entries.popleft()
        self.size -= _size(gone)
        self.horizon = gone.position


class MemoryJournal:
    """Within the one process that reads the stream and serves as well.

    Keeps an hour, bounded for each tenant in number and bytes; ends with the process.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        kept: timedelta = KEPT,
        most_changes: int = MOST_CHANGES,
        most_bytes: int = MOST_BYTES,
        new_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._now = now
        self._kept = int(kept.total_seconds() * 1000)
        self._most_changes = most_changes
        self._most_bytes = most_bytes
        self._new_epoch = new_epoch
        self._begin = Position(new_epoch(), self._milliseconds(), 0)
        self._logs: dict[str, _Log] = {}
        self._listeners = Listeners()

    async def append(self, changes: Sequence[Change]) -> None:
        """Keeps the changes and tells the listeners."""
        for change in changes:
            log = self._log(change.tenant)
            entry = Entry(self._next(log.tail), change)
            log.add(entry)
            self._trim(log)
            self._listeners.heard(change.tenant, entry)

    async def lose(self) -> None:
        self._begin = Position(self._new_epoch(), self._milliseconds(), 0)
        self._logs.clear()
        self._listeners.all_lost()

    def tail(self, tenant: str, *, lag: timedelta = NO_LAG) -> Position:
        log = self._log(tenant)
        return max(log.horizon, before(log.tail, lag, self._now()))

    def listen(self, tenant: str, listener: Listener) -> Callable[[], None]:
        return self._listeners.add(tenant, listener)

    async def since(self, tenant: str, after: Position) -> AsyncIterator[Sequence[Entry]]:
        log = self._log(tenant)
        self._trim(log)
        if after.epoch != self._begin.epoch or after < log.horizon:
            raise CursorExpired
        missed: list[Entry] = []
        for entry in reversed(log.entries):
            if entry.position <= after:
                break
            missed.append(entry)
        missed.reverse()
        for start in range(0, len(missed), _PAGE):
            yield missed[start : start + _PAGE]

    def _log(self, tenant: str) -> _Log:
        log = self._logs.get(tenant)
        if log is None:
            log = self._logs[tenant] = _Log(self._begin, self._begin)
        return log

    def _next(self, tail: Position) -> Position:
        milliseconds = self._milliseconds()
        if milliseconds > tail.milliseconds:
            return Position(tail.epoch, milliseconds, 0)
        # Also where the clock was set back.
        return tail._replace(sequence=tail.sequence + 1)

    def _trim(self, log: _Log) -> None:
        oldest = self._milliseconds() - self._kept
        while log.entries and (
            len(log.entries) > self._most_changes
            or log.size > self._most_bytes
            or log.entries[0].position.milliseconds < oldest
        ):
            log.drop_oldest()

    def _milliseconds(self) -> int:
        return int(self._now().timestamp() * 1000)


def _size(entry: Entry) -> int:
    return entry.change.size or _USUAL_SIZE
