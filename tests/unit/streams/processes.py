"""A process of the simulation: what it waits for may fail, be lost, or find it paused or dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, cast

from datasources.client import StreamsClient
from datasources.errors import ServiceUnavailable
from datasources.items import Row
from datasources.queries import Query, QueryPage
from datasources.writes import Put
from streams.changes import Record
from streams.leases import LEASE, Leases
from streams.patience import Patience
from streams.reader import IDLE, SOONEST, Reader
from streams.source import TICK
from tests.unit.streams.scripted import (
    NOW,
    ExpiredIteratorException,
    MemoryTable,
    ResourceNotFoundException,
    TrimmedDataAccessException,
    fault,
    numbers,
    told,
)

if TYPE_CHECKING:
    from tests.unit.streams.simulation import World

A_BIT = 1e-6  # seconds, for the rounding of times


@dataclass
class Polls:
    """How one reader has asked for one shard's records."""

    empty: int = 0  # answers without records, one after another
    none: bool = False  # whether the last was one of them
    asked: float = 0.0
    again: bool = False  # whether that failed and is tried again
    answered: float = 0.0
    page: Sequence[Record] = ()


@dataclass
class Owner:
    """One process. Whatever it waits for, it may be paused or killed before it goes on."""

    name: str
    world: World
    dead: bool = False
    ending: bool = False
    running: asyncio.Event = field(default_factory=asyncio.Event)
    described: float = -TICK
    nudged: float = -1.0
    polls: dict[str, Polls] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    _draws: dict[str, Random] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.running.set()
        leases = Leases(
            table=lambda: OwnTable(cast("Any", None), "system", 0.0, owner=self),
            stream="arn",
            owner=self.name,
            now=lambda: NOW,
            clock=self.world.loop.time,
        )
        self.reader = Reader(
            client=OwnClient(self),
            stream="arn",
            leases=leases,
            deliver=self.deliver,
            patience=Patience(self.sleep, self.draw("patience").uniform),
            metrics=self.world.metrics,
            lost=self.lose,
            exclusive=self.world.exclusive,
        )
        self.task = self.world.loop.create_task(self.reader.run())

    async def lose(self) -> None:
        """What a journal makes of it is no part of this."""

    def draw(self, what: str) -> Random:
        """Of its own for each kind of thing, so that one does not disturb another's."""
        if what not in self._draws:
            self._draws[what] = Random(f"{self.world.seed} {self.name} {what}")  # noqa: S311
        return self._draws[what]

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.running.wait()
        if self.dead:
            raise asyncio.CancelledError

    async def step(self, what: str) -> None:
        draw = self.draw(what)
        slow = self.world.rough and draw.random() < 0.02
        await self.sleep(draw.uniform(0.2, 2) if slow else draw.uniform(0.001, 0.02))

    def fails(self, what: str, chance: float) -> bool:
        return self.world.rough and self.draw(what).random() < chance

    async def deliver(self, shard: str, page: Sequence[Record]) -> None:
        self.world.may_deliver(self, shard, set(numbers(page)))
        for number in numbers(page):
            await self.step(shard)
            self.world.took(number)
        self.delivered |= set(numbers(page))

    def pause(self, seconds: float) -> None:
        self.running.clear()
        self.world.loop.call_later(seconds, self.running.set)

    def nudge(self) -> None:
        self.nudged = self.world.loop.time()
        self.reader.nudge()

    def kill(self) -> None:
        self.dead = True
        self.end()

    def end(self) -> None:
        self.ending = True
        self.running.set()
        self.task.cancel()


@dataclass
class OwnClient(StreamsClient):
    """The stream as one process reaches it."""

    owner: Owner

    def __post_init__(self) -> None:
        self.exceptions = self.owner.world.stream.exceptions

    async def describe_stream(self, **parameters: Any) -> dict[str, Any]:
        owner, now = self.owner, self.owner.world.loop.time()
        if now - owner.described < TICK - A_BIT:
            owner.world.fail(f"{owner.name} describes the stream twice within a second")
        owner.described = now
        return await self._call("describe", owner.world.stream.describe_stream, parameters)

    async def get_shard_iterator(self, **parameters: Any) -> dict[str, Any]:
        shard = parameters["ShardId"]
        self.owner.polls[shard] = Polls()
        return await self._call(shard, self.owner.world.stream.get_shard_iterator, parameters)

    async def get_records(self, **parameters: Any) -> dict[str, Any]:
        owner, shard = self.owner, parameters["ShardIterator"].partition("/")[0]
        polls = owner.polls[shard]
        self._assert_patient(shard, polls)
        if owner.fails(shard, 0.02):
            polls.answered = owner.world.loop.time()
            raise told(ExpiredIteratorException)
        answer = await self._call(shard, owner.world.stream.get_records, parameters)
        page = answer["Records"]
        polls.answered, polls.again = owner.world.loop.time(), False
        polls.none, polls.empty = not page, 0 if page else polls.empty + 1
        if page and owner.fails(shard, 0.2):
            answer["Records"] = [*polls.page[-2:], *page, page[0]]
        polls.page = page or polls.page
        return answer

    def _assert_patient(self, shard: str, polls: Polls) -> None:
        owner, now = self.owner, self.owner.world.loop.time()
        if owner.nudged >= polls.asked:
            polls.empty = -1  # it may have come before the last answer, and works behind that
        least = min(IDLE, SOONEST * 2 ** max(0, polls.empty - 1)) if polls.none else 0.0
        if now - polls.answered < least - A_BIT:
            owner.world.fail(f"{owner.name} asks {shard} too soon after {polls.empty} times none")
        if not polls.again:
            polls.asked, polls.again = now, True

    async def _call(
        self, what: str, method: Callable[..., Any], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        owner = self.owner
        await owner.step(what)
        if owner.fails(what, 0.04):
            raise fault(owner.draw(what).choice(["LimitExceededException", "InternalServerError"]))
        try:
            answer: dict[str, Any] = await method(**parameters)
        except (TrimmedDataAccessException, ResourceNotFoundException):
            await owner.step(what)
            owner.world.told_losses.append(what)
            raise
        if answer.get("Records") and owner.fails(what, 0.02):
            owner.pause(owner.draw(what).uniform(LEASE, LEASE + 5))
        await owner.step(what)
        return answer


@dataclass
class OwnTable(MemoryTable):
    """The system table as one process reaches it: a write may fail, be carried out with its
    answer lost, or be carried out when nobody waits for it any more."""

    owner: Owner = field(kw_only=True)

    async def query(self, query: Query, **_: Any) -> QueryPage[Row]:
        await self._step(0.05)
        rows = [row for key, row in self.owner.world.memory.rows.items() if key.pk == query.pk]
        await self.owner.step("store")
        return QueryPage(rows, len(rows), None)

    async def put(self, action: Put) -> None:
        owner, world = self.owner, self.owner.world
        await self._step(0.05)
        if owner.fails("store", 0.02):
            delay = owner.draw("store").uniform(0, 6)
            world.loop.call_later(delay, lambda: world.loop.create_task(world.put_late(action)))
            raise ServiceUnavailable("The answer was lost.")
        try:
            await world.put(action)
        finally:
            await owner.step("store")
        if owner.fails("store", 0.04):
            raise ServiceUnavailable("The answer was lost.")

    async def _step(self, chance: float) -> None:
        await self.owner.step("store")
        if self.owner.world.outage or self.owner.fails("store", chance):
            raise ServiceUnavailable("Not now.")
