"""Follows a table's stream: every shard, parents before their children, records in order.

At least once: what was handed over before the last checkpoint comes again after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from datasources.client import StreamsClient
from datasources.errors import CartographError
from streams.changes import Record
from streams.leases import EVERY_SHARD, Lease, LeaseLost, Leases, Position
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.source import TICK, Shard, Source

SOONEST = 0.05  # seconds after an empty answer; doubles with each
IDLE = 1.0  # seconds, what that comes to
LOOK = 1.0  # seconds, between two looks for free shards
TICKS_BETWEEN_LISTINGS = 15
REMEMBERED = 1_000  # events of a shard, to know those that come again

NOT_YET = "The stream of this table is not read yet."
OTHERS = "Another instance reads the stream of this table; set CARTOGRAPH_REDIS_URL to run several."

Deliver = Callable[[str, Sequence[Record]], Awaitable[None]]
"""Takes a shard's ID and its next records, and returns when their effects are there."""

log = logging.getLogger("cartograph.streams")


class StreamReplaced(CartographError):
    """The stream is gone or has come to its end: its table was made anew, or has another."""


@dataclass
class Reader:
    """`stream` is an ARN; `lost` is called where records are gone before they were read. What
    `deliver` or the store's refusal raises ends the reader.

    Several readers share the shards as they come to be free. An `exclusive` one wants all of
    them, and of the exclusive ones only one at a time takes any.
    """

    client: StreamsClient
    stream: str
    leases: Leases
    deliver: Deliver
    patience: Patience
    metrics: StreamMetrics
    lost: Callable[[], Awaitable[None]]
    exclusive: bool = False
    _missing: str | None = field(default=NOT_YET, init=False)
    _source: Source = field(init=False)
    _shards: list[Shard] = field(default_factory=list, init=False)
    # By the shards that are followed.
    _nudges: dict[str, asyncio.Event] = field(default_factory=dict, init=False)
    _delivered: dict[str, Delivered] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self._source = Source(
            self.client,
            self.stream,
            self.patience,
            self.metrics,
            self.leases.clock,
            self.lost,
        )

    @property
    def missing(self) -> str | None:
        """Why this reader does not read everything that it should; None when it does."""
        return self._missing

    def nudge(self) -> None:
        """Something was written: idle shards are asked at once."""
        for nudge in self._nudges.values():
            nudge.set()

    async def run(self) -> None:
        """Runs until it is cancelled. Raises StreamReplaced."""
        if not self.exclusive:
            return await self._read()
        while True:
            lease = await self._take_every_shard()
            try:
                async with lease.kept(self.patience.sleep):
                    await self._read()
            except LeaseLost as lost:
                log.warning("%s", lost.message)

    async def _take_every_shard(self) -> Lease:
        while True:
            await self.patience.insist(self.leases.look, "Leases")
            if lease := await self._take(EVERY_SHARD):
                return lease
            self._yield_to_others()
            await self.patience.sleep(LOOK)

    def _yield_to_others(self) -> None:
        if self._missing != OTHERS:
            log.warning("%s", OTHERS)
        self._missing = OTHERS

    async def _take(self, shard: str) -> Lease | None:
        if not self.leases.is_free(shard):
            return None
        return await self.patience.insist(lambda: self.leases.take(shard), "Lease")

    async def _read(self) -> None:
        self._shards = await self._list()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_listing())
                while True:
                    await self._take_shards(tasks)
                    await self.patience.wait(self._changed, LOOK)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._nudges.clear()  # a follower cancelled before its first step has left its own
            self._missing = NOT_YET

    # Shards.

    async def _keep_listing(self) -> None:
        while True:
            for _ in range(TICKS_BETWEEN_LISTINGS):
                await self.patience.sleep(TICK)
                if self._children_are_due():
                    break
            self._shards = await self._list()
            self._changed.set()

    async def _list(self) -> list[Shard]:
        try:
            shards, lives = await self._source.shards()
        except self.client.exceptions.ResourceNotFoundException:
            raise StreamReplaced("The stream of the table is gone.") from None
        if not lives and not self._unread(shards):
            raise StreamReplaced("The stream of the table has come to its end.")
        return shards

    async def _take_shards(self, followers: asyncio.TaskGroup) -> None:
        """Follows what is free: one shard, for others may want one too, or all if exclusive."""
        if any(shard.id not in self._nudges for shard in self._unread(self._shards)):
            await self.patience.insist(self.leases.look, "Leases")
        ready = self._ready()
        for shard in ready:
            if lease := await self._take(shard.id):
                self._nudges[shard.id] = asyncio.Event()
                followers.create_task(self._follow(lease))
                if not self.exclusive:
                    break
        left = [shard for shard in ready if shard.id not in self._nudges]
        if self.exclusive and left:
            self._yield_to_others()
        else:
            self._missing = None

    def _ready(self) -> list[Shard]:
        """Not followed here, and their parent is at its end, or so old that it is gone."""
        listed = {shard.id for shard in self._shards}
        # What was begun and is listed no more comes first as well: its loss is to be told.
        unlisted = [Shard(shard) for shard in sorted(self.leases.begun() - listed)]
        unread = self._unread([*self._shards, *unlisted])
        before = {shard.id for shard in unread} | self._nudges.keys()
        return [
            shard for shard in unread if shard.id not in self._nudges and shard.parent not in before
        ]

    def _unread(self, shards: Iterable[Shard]) -> list[Shard]:
        return [shard for shard in shards if not self.leases.position(shard.id).ended]

    def _children_are_due(self) -> bool:
        """Whether a shard has ended whose children are not listed yet: the list lags."""
        parents = {shard.parent for shard in self._shards}
        return any(
            self.leases.position(shard.id).ended and shard.id not in parents
            for shard in self._shards
        )

    # Records.

    async def _follow(self, lease: Lease) -> None:
        """Delivers a shard's records for as long as its lease is held, or to its end."""
        try:
            async with lease.kept(self.patience.sleep):
                await self._deliver_all(lease)
                self._delivered.pop(lease.shard, None)
        except LeaseLost as lost:
            log.warning("%s", lost.message)
        finally:
            del self._nudges[lease.shard]
            self.metrics.forget(lease.shard)
            self._changed.set()

    async def _deliver_all(self, lease: Lease) -> None:
        shard, at = lease.shard, lease.position.sequence_number
        delivered = self._delivered.setdefault(shard, Delivered())
        iterator, pause = await self._source.iterator(shard, at), SOONEST
        while iterator is not None:
            self._nudges[shard].clear()
            records, iterator = await self._source.records(shard, at, iterator)
            if records:
                if fresh := delivered.missing(records):
                    if not lease.held:
                        raise LeaseLost(shard)
                    self.metrics.lag(shard, self._age(fresh[0]))
                    await self.deliver(shard, fresh)
                    delivered.add(fresh)
                at = _furthest(at, records)
                await self._save(lease, Position(at))
                pause = SOONEST
            elif iterator is not None:
                self.metrics.lag(shard, 0)
                pause = await self._idle(shard, pause)
        await self._save(lease, Position(at, ended=True))

    async def _idle(self, shard: str, pause: float) -> float:
        """Waits after an empty answer, and no longer than to the next nudge; the next pause."""
        await self.patience.sleep(SOONEST)
        if await self.patience.wait(self._nudges[shard], pause - SOONEST):
            return SOONEST
        return min(2 * pause, IDLE)

    async def _save(self, lease: Lease, position: Position) -> None:
        await self.patience.insist(lambda: lease.save(position), "Checkpoint")

    def _age(self, record: Record) -> float:
        made: datetime = record["dynamodb"]["ApproximateCreationDateTime"]
        return max(0.0, (self.leases.now() - made).total_seconds())


@dataclass
class Delivered:
    """The last events of a shard that were handed over, by their IDs."""

    _events: dict[str, None] = field(default_factory=dict)

    def missing(self, records: Sequence[Record]) -> list[Record]:
        """Those not among them, each once."""
        fresh = {one["eventID"]: one for one in records if one["eventID"] not in self._events}
        return list(fresh.values())

    def add(self, records: Sequence[Record]) -> None:
        self._events |= dict.fromkeys(one["eventID"] for one in records)
        while len(self._events) > REMEMBERED:
            del self._events[next(iter(self._events))]


def _furthest(at: str | None, records: Sequence[Record]) -> str:
    """The highest sequence number, which a record that comes again does not lower."""
    numbers: list[str] = [one["dynamodb"]["SequenceNumber"] for one in records]
    return max([*numbers, at] if at is not None else numbers, key=int)
