"""Who follows a shard, and how far it has been followed: one row a shard in the system table.

Every write of a row is conditional on its owner and counter as last seen, and raises the counter
by one. So a checkpoint is a renewal as well, and whoever has lost a shard cannot move its
checkpoint. No clocks are compared: a lease is dead when its counter has stood still for `LEASE`
seconds of the contender's own clock.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from datasources.errors import CartographError, ConditionFailed, StoreError
from datasources.items import Row
from datasources.keys import PK, SK, TTL, lease, leases
from datasources.queries import Query
from datasources.table import Table
from datasources.writes import Condition, Put
from streams.patience import Sleep

LEASE = 15.0  # seconds
RENEWAL = 5.0  # seconds between two renewals
RETRY = 1.0  # seconds before a renewal that failed is tried again

EVERY_SHARD = "*"
"""Stands for a shard in the lease of who must read all of them."""

_PAGE = 1_000
# Beyond the day that a shard stays listed after its end, with time to spare.
_ENDED_FOR = timedelta(days=7)

_OWNED = "#owner = :owner AND #counter = :counter"
_FREE = "attribute_not_exists(#owner) AND #counter = :counter"
_NEW = "attribute_not_exists(#counter)"
_COUNTER = {"#counter": "counter"}
_BOTH = {"#owner": "owner", **_COUNTER}

log = logging.getLogger("cartograph.streams")


class LeaseLost(CartographError):
    """Another follows the shard, or may do so by now."""

    def __init__(self, shard: str) -> None:
        super().__init__(f"The lease of shard {shard} is lost.")


@dataclass(frozen=True, slots=True)
class Position:
    """The last record of a shard whose effects are there, None before the first.

    `ended`: the shard has been followed to its end.
    """

    sequence_number: str | None
    ended: bool = False


BEGINNING = Position(None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a row says. `owner` None: nobody's; `counter` 0: there is no row yet."""

    owner: str | None = None
    counter: int = 0
    position: Position = BEGINNING

    @classmethod
    def of(cls, row: Row) -> Claim:
        position = Position(row.get("sequenceNumber"), row.get("ended", False))
        return cls(row.get("owner"), row.get("counter", 0), position)

    def unchanged(self) -> Condition:
        """That the row still says this."""
        if not self.counter:
            return Condition(_NEW, _COUNTER)
        if self.owner is None:
            return Condition(_FREE, _BOTH, {":counter": self.counter})
        return Condition(_OWNED, _BOTH, {":owner": self.owner, ":counter": self.counter})


@dataclass
class Leases:
    """Those of one stream, named by its ARN, as one process sees them.

    `table` gives the system table with a fresh deadline; `owner` is an ID that no other process
    has; `clock` gives monotonic seconds. Without `resume` what other processes have written does
    not count: for a store that is this process's own, and whose streams do not outlive it.
    """

    table: Callable[[], Table]
    stream: str
    owner: str
    now: Callable[[], datetime]
    clock: Callable[[], float]
    resume: bool = True
    _claims: dict[str, Claim] = field(default_factory=dict, init=False)
    _since: dict[str, float] = field(default_factory=dict, init=False)
    _taken: set[str] = field(default_factory=set, init=False)

    async def look(self) -> None:
        """Sees what all rows say now."""
        pk, whole = leases(self.stream)
        start = None
        while True:
            page = await self.table().query(
                Query(pk, whole), limit=_PAGE, start=start, consistent=True
            )
            for row in page.rows:
                self._note(row["shard"], Claim.of(row))
            start = page.start
            if start is None:
                return

    def position(self, shard: str) -> Position:
        """How far the shard has been followed, as last seen."""
        if not self.resume and shard not in self._taken:
            return BEGINNING
        return self._claims.get(shard, Claim()).position

    def is_free(self, shard: str) -> bool:
        """Whether a shard that this process does not follow may be taken: nobody has it, or who
        has it has not been heard of for too long."""
        claim = self._claims.get(shard, Claim())
        return (
            not self.resume
            or claim.owner in (None, self.owner)
            or self.clock() - self._since[shard] >= LEASE
        )

    def begun(self) -> set[str]:
        """The shards that have been followed, and not to their end."""
        return {
            shard
            for shard in (self._claims if self.resume else self._taken)
            if shard != EVERY_SHARD and not self.position(shard).ended
        }

    async def take(self, shard: str) -> Lease | None:
        """The lease of a free shard; None where another was quicker."""
        claim, position = self._claims.get(shard, Claim()), self.position(shard)
        taken = Lease(self, shard, Claim(claim.owner, claim.counter, position))
        try:
            await taken.renew()
        except LeaseLost:
            return None
        except asyncio.CancelledError:
            await taken.release()  # the store may have carried it out
            raise
        self._taken.add(shard)
        return taken

    async def put(self, shard: str, claim: Claim, before: Claim) -> None:
        """Writes a row that says `before`. Raises ConditionFailed where it says something else."""
        position = claim.position
        pk, sk = lease(self.stream, shard)
        row: dict[str, Any] = {PK: pk, SK: sk, "shard": shard, "counter": claim.counter}
        if claim.owner is not None:
            row["owner"] = claim.owner
        if position.sequence_number is not None:
            row["sequenceNumber"] = position.sequence_number
        if position.ended:
            row |= {"ended": True, TTL: int((self.now() + _ENDED_FOR).timestamp())}
        try:
            await self.table().put(Put(row, before.unchanged()))
        except ConditionFailed as failed:
            self._note(shard, Claim.of(failed.row))
            raise
        self._note(shard, claim)

    def _note(self, shard: str, claim: Claim) -> None:
        # The time is that after the answer: late rather than early, so that who renews in time
        # has given up before it counts as dead.
        if self._claims.get(shard) != claim:
            self._claims[shard] = claim
            self._since[shard] = self.clock()


@dataclass
class Lease:
    """One shard's, from its taking to its end. Its writers take turns."""

    leases: Leases
    shard: str
    _claim: Claim
    _renewed: float = field(default=-math.inf, init=False)
    _over: bool = field(default=False, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def position(self) -> Position:
        return self._claim.position

    @property
    def held(self) -> bool:
        """Whether no other can have taken the shard yet."""
        return not self._over and self.leases.clock() - self._renewed < LEASE

    @asynccontextmanager
    async def kept(self, sleep: Sleep) -> AsyncIterator[None]:
        """Renewed beside the block, which is cancelled when the lease is lost, and released at
        its end. Raises LeaseLost, and what the block and the store raise."""
        try:
            async with asyncio.TaskGroup() as group:
                keeper = group.create_task(self._keep(sleep))
                yield
                keeper.cancel()
        except BaseExceptionGroup as failures:
            # A group prefers what its tasks raise to its own cancellation, which must not be lost.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from None
            raise failures.exceptions[0] from None
        finally:
            await self.release()

    async def renew(self) -> None:
        """Raises LeaseLost."""
        await self._write(self.leases.owner, None)

    async def save(self, position: Position) -> None:
        """To be called once the effects are there, or a crash between loses them. An end is that
        of the lease as well. Raises LeaseLost."""
        await self._write(None if position.ended else self.leases.owner, position)

    async def release(self) -> None:
        """Lets others have the shard at once; if that fails, they wait until the lease is dead."""
        with suppress(LeaseLost, StoreError):
            await self._write(None, None)

    async def _keep(self, sleep: Sleep) -> None:
        while self.held:
            renewed = self._renewed
            await sleep(max(RETRY, renewed + RENEWAL - self.leases.clock()))
            if self._renewed > renewed:
                continue  # a checkpoint has done it
            try:
                await self.renew()
            except StoreError as error:
                if not error.retryable:
                    raise
                log.warning("Lease of shard %s: %s", self.shard, type(error).__name__)
        raise LeaseLost(self.shard)

    async def _write(self, owner: str | None, position: Position | None) -> None:
        async with self._turn:
            while True:
                if self._over:
                    raise LeaseLost(self.shard)
                began, before = self.leases.clock(), self._claim
                claim = Claim(owner, before.counter + 1, position or before.position)
                try:
                    await self.leases.put(self.shard, claim, before)
                except ConditionFailed as failed:
                    # If the row is of this owner, the answer to an earlier write was lost.
                    self._claim = Claim.of(failed.row)
                    self._over = self._claim.owner != self.leases.owner
                else:
                    self._claim, self._renewed, self._over = claim, began, owner is None
                    return
