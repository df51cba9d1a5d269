"""Several readers of one scripted stream, in virtual time, with everything going wrong.

What happens, and when, is drawn by a seed; what must hold is asserted as it happens. A seed is
replayed, with the readers' log lines, by

    python -m tests.unit.streams.simulation SEED
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from prometheus_client import CollectorRegistry

from datasources.client import StreamsClient
from datasources.errors import ServiceUnavailable
from datasources.items import Row
from datasources.keys import Key, lease
from datasources.table import Query, QueryPage, Table
from datasources.writes import Put
from streams.changes import Record
from streams.leases import EVERY_SHARD, Leases
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.reader import IDLE, SOONEST, Reader
from streams.source import TICK
from tests.unit.streams.scripted import (
    NOW,
    ExpiredIteratorException,
    Memory,
    MemoryTable,
    ResourceNotFoundException,
    ScriptedShard,
    ScriptedStream,
    Time,
    TrimmedDataAccessException,
    fault,
    numbers,
    records,
    told,
)

ITEMS = range(8)
LONGEST_CALM = 90.0  # seconds until everything must be delivered once nothing goes wrong
LONGEST_END = 30.0  # seconds
A_BIT = 1e-6  # seconds, for the rounding of times

log = logging.getLogger("cartograph.streams")


class Violation(AssertionError):
    """Something does not hold that must."""


class VirtualSelector(selectors.SelectSelector):
    """Waits no time: the clock is put forward instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Violation("everybody waits, and for nothing")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing can be done."""

    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


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
            exclusive=self.world.exclusive,
        )
        self.task = self.world.loop.create_task(self.reader.run())

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
        self.world.may_deliver(self, shard)
        for number in numbers(page):
            await self.step(shard)
            self.world.took(self, number)

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
        await owner.step(what)
        return answer


@dataclass
class OwnTable(MemoryTable):
    """The system table as one process reaches it: a write may fail, be carried out with its
    answer lost, or be carried out when nobody waits for it any more."""

    owner: Owner = field(kw_only=True)

    async def query(self, query: Query, **_: Any) -> QueryPage:
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


class World:
    """The stream, the store, the processes, and what must hold of them."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self.seed, self.loop = seed, loop
        self.draw = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.exclusive = self.draw.random() < 0.3
        self.rough, self.outage = True, False
        self.violation: str | None = None
        self.memory = Memory()
        self.metrics = StreamMetrics(CollectorRegistry())
        self.stream = ScriptedStream(Time(), {}, page=self.draw.choice([2, 5, 50]))
        self.home: dict[int, str] = {}  # where an item is written now
        self.items: dict[int, list[int]] = {item: [] for item in ITEMS}  # its records
        self.item_of: dict[int, int] = {}
        self.delivered: set[int] = set()
        self.trimmed: set[int] = set()
        self.told_losses: list[str] = []
        self.owners: list[Owner] = []
        self.takeovers = 0
        for item in ITEMS:
            self.home[item] = f"root-{item % self.draw.randint(1, 3)}"
        for name in sorted(set(self.home.values())):
            self.stream.shards[name] = ScriptedShard()

    # What happens.

    async def run(self) -> None:
        """Raises Violation."""
        for _ in range(self.draw.randint(1, 3)):
            self.begin()
        actions = [self.write] * 8 + [self.split] * 2 + [self.trim] * 2
        actions += [self.begin, self.kill, self.kill, self.end, self.pause, self.pause, self.cut]
        actions += [self.nudge]
        until = self.draw.uniform(20, 50)
        while self.loop.time() < until:
            await asyncio.sleep(self.draw.expovariate(1.0))
            self.draw.choice(actions)()
            self.look_after()
        await self.calm_down()
        last = self.alive()
        for owner in last:
            owner.end()
        _, going = await asyncio.wait([owner.task for owner in self.owners], timeout=LONGEST_END)
        if going:
            raise Violation("a reader does not end when it is cancelled")
        self.look_after()
        self.assert_at_the_end({owner.name for owner in last})

    async def calm_down(self) -> None:
        """Nothing goes wrong any more, and one process at least is there."""
        self.rough = self.outage = False
        for shard in self.stream.shards.values():
            shard.listed = True
        self.write()
        if not self.alive():
            self.begin()
        longest = self.loop.time() + LONGEST_CALM
        while not self.all_delivered():
            self.look_after()
            if self.loop.time() > longest:
                raise Violation(f"never delivered, or not told to be lost: {sorted(self.missing())}")
            await asyncio.sleep(0.5)

    def look_after(self) -> None:
        """Passes on what has gone wrong in a process."""
        for owner in self.owners:
            if owner.task.done() and not owner.task.cancelled():
                owner.task.result()
        if self.violation:
            raise Violation(self.violation)

    def alive(self) -> list[Owner]:
        return [one for one in self.owners if not one.ending]

    def begin(self) -> None:
        if len(self.alive()) < 3:
            self.owners.append(Owner(f"owner-{len(self.owners)}", self))

    def kill(self) -> None:
        for owner in self._one(self.alive()):
            owner.kill()

    def end(self) -> None:
        for owner in self._one(self.alive()):
            owner.end()

    def pause(self) -> None:
        for owner in self._one(self.alive()):
            owner.pause(self.draw.uniform(1, 25))

    def nudge(self) -> None:
        for owner in self._one(self.alive()):
            owner.nudge()

    def cut(self) -> None:
        """The store is away, perhaps for longer than a lease."""
        self.outage = True

        def back() -> None:
            self.outage = False

        self.loop.call_later(self.draw.uniform(1, 20), back)

    def write(self) -> None:
        for _ in range(self.draw.randint(1, 8)):
            item, number = self.draw.choice(ITEMS), len(self.item_of) + 1
            self.items[item].append(number)
            self.item_of[number] = item
            self.stream.shards[self.home[item]].records += records([number])

    def split(self) -> None:
        """A shard goes over into one or two, which may be listed late and in any order."""
        open_ = [name for name, shard in self.stream.shards.items() if not shard.closed]
        if len(open_) > 4:
            return
        parent = self.draw.choice(open_)
        self.stream.shards[parent].closed = True
        children = [f"{parent}.{n}" for n in range(self.draw.randint(1, 2))]
        for item, home in self.home.items():
            if home == parent:
                self.home[item] = self.draw.choice(children)
        for name in children:
            child = ScriptedShard(parent=parent, listed=False)
            self.stream.shards[name] = child
            self.loop.call_later(self.draw.choice([0, 3, 12]), self.list, child)
        listing = list(self.stream.shards.items())
        self.draw.shuffle(listing)
        self.stream.shards = dict(listing)

    def list(self, child: ScriptedShard) -> None:
        """As a whole the list may lag; it has no shard whose parent it is still to have."""
        parent = self.stream.shards.get(child.parent or "")
        if parent and not parent.listed:
            self.loop.call_later(1, self.list, child)
        else:
            child.listed = True

    def trim(self) -> None:
        """The oldest records of a shard that has been begun go, and at times the shard."""
        begun = [
            name
            for name in self.stream.shards
            if "sequenceNumber" in self.memory.rows.get(lease("arn", name), {})
        ]
        for name in self._one(begun):
            shard = self.stream.shards[name]
            shard.trimmed = self.draw.randint(shard.trimmed, len(shard.records))
            self.trimmed |= set(numbers(shard.records[: shard.trimmed]))
            if shard.closed and shard.trimmed == len(shard.records):
                del self.stream.shards[name]

    def _one(self, things: list[Any]) -> list[Any]:
        return [self.draw.choice(things)] if things else []

    # What must hold.

    def fail(self, what: str) -> None:
        self.violation = self.violation or f"at {self.loop.time():.3f} s: {what}"
        raise Violation(self.violation)

    def may_deliver(self, owner: Owner, shard: str) -> None:
        holder = self.memory.rows.get(lease("arn", shard), {}).get("owner")
        if holder != owner.name:
            self.fail(f"{owner.name} delivers {shard}, which is {holder}'s")

    def took(self, owner: Owner, number: int) -> None:
        if number in owner.delivered:
            self.fail(f"{owner.name} gets {number} twice")
        owner.delivered.add(number)
        if number not in self.delivered:
            records_of_item = self.items[self.item_of[number]]
            before = {one for one in records_of_item if one < number}
            if early := before - self.delivered - self.trimmed:
                self.fail(f"{number} comes before {sorted(early)}")
            later = {one for one in records_of_item if one > number}
            if number not in self.trimmed and later & self.delivered:
                self.fail(f"{number} comes too late")
        self.delivered.add(number)

    async def put(self, action: Put) -> None:
        """A write as the store carries it out. Raises ConditionFailed."""
        before = dict(self.memory.rows.get(action.key, {}))
        await self.memory.table().put(action)
        self._assert_goes_on(action.key, before, self.memory.rows[action.key])

    async def put_late(self, action: Put) -> None:
        try:
            await self.put(action)
        except ServiceUnavailable:
            raise
        except Exception as error:
            log.debug("a late write: %s", error)

    def _assert_goes_on(self, key: Key, before: Row, after: Row) -> None:
        shard = after["shard"]
        if before.get("owner") not in (None, after.get("owner")) and "owner" in after:
            self.takeovers += 1
        if shard == EVERY_SHARD:
            return
        was, is_ = int(before.get("sequenceNumber", 0)), int(after.get("sequenceNumber", 0))
        if is_ < was or (before.get("ended") and not after.get("ended")):
            self.fail(f"the checkpoint of {shard} goes back from {was} to {is_}")
        if shard in self.stream.shards:
            ended = after.get("ended", False)
            if ended and not self.stream.shards[shard].closed:
                self.fail(f"{shard} is said to have ended")
            read = {
                number
                for number in numbers(self.stream.shards[shard].records)
                if ended or number <= is_
            }
            if early := read - self.delivered - self.trimmed:
                self.fail(f"the checkpoint of {shard} is at {is_} before {sorted(early)}")

    def missing(self) -> set[int]:
        return self.item_of.keys() - self.delivered - self.trimmed

    def all_delivered(self) -> bool:
        ended = all(
            self.memory.rows.get(lease("arn", name), {}).get("ended")
            for name, shard in self.stream.shards.items()
            if shard.closed
        )
        known = bool(self.told_losses) or not self.item_of.keys() - self.delivered
        return ended and known and not self.missing()

    def assert_at_the_end(self, ended: set[str]) -> None:
        counted = self.metrics.events_lost._value.get()
        if counted != len(self.told_losses):
            raise Violation(f"lost {self.told_losses}, and counted {counted}")
        rows = self.memory.rows.values()
        if held := [row["shard"] for row in rows if row.get("owner") in ended]:
            raise Violation(f"not released at the end: {held}")


def simulate(seed: int) -> World:
    """Raises Violation, or whatever ended a reader."""
    loop = VirtualLoop()
    try:
        world = World(seed, loop)
        loop.run_until_complete(world.run())
        return world
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    simulate(int(sys.argv[1]))
