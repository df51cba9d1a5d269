"""Several readers of one scripted stream, in virtual time, with everything going wrong.

What happens, and when, is drawn by a seed; what must hold is asserted as it happens. A seed is
replayed, with the readers' log lines, by

    python -m tests.unit.streams.simulation SEED
"""

from __future__ import annotations

import asyncio
import logging
import sys
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from datasources.errors import ConditionFailed
from datasources.items import Row
from datasources.keys import Key, lease
from datasources.writes import Put
from streams.leases import EVERY_SHARD
from streams.metrics import StreamMetrics
from tests.unit.streams.processes import Owner
from tests.unit.streams.scripted import (
    Memory,
    ScriptedShard,
    ScriptedStream,
    Time,
    numbers,
    records,
)
from tests.unit.streams.virtual import VirtualLoop

ITEMS = range(8)
LONGEST_CALM = 90.0  # seconds until everything must be delivered once nothing goes wrong
SETTLING = 10.0  # seconds
LONGEST_END = 30.0  # seconds

log = logging.getLogger("cartograph.streams")


class Violation(AssertionError):
    """Something does not hold that must."""


class World:
    """The stream, the store, the processes, and what must hold of them."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self.seed, self.loop = seed, loop
        self.draw = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.exclusive = self.draw.random() < 0.3
        self.rough, self.outage = True, False
        self.violation: str | None = None
        self.memory = Memory()
        self.registry = CollectorRegistry()
        self.metrics = StreamMetrics(self.registry)
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
                raise Violation(
                    f"never delivered, or not told to be lost: {sorted(self.missing())}"
                )
            await asyncio.sleep(0.5)
        # Late writes arrive, and what was lost meanwhile is taken again.
        await asyncio.sleep(SETTLING)

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
            self.loop.call_later(self.draw.choice([0, 3, 12]), self.show, child)
        listing = list(self.stream.shards.items())
        self.draw.shuffle(listing)
        self.stream.shards = dict(listing)

    def show(self, child: ScriptedShard) -> None:
        """As a whole the list may lag; it has no shard whose parent it is still to have."""
        parent = self.stream.shards.get(child.parent or "")
        if parent and not parent.listed:
            self.loop.call_later(1, self.show, child)
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

    def may_deliver(self, owner: Owner, shard: str, page: set[int]) -> None:
        holder = self.memory.rows.get(lease("arn", shard), {}).get("owner")
        if holder != owner.name:
            self.fail(f"{owner.name} delivers {shard}, which is {holder}'s")
        if again := owner.delivered & page:
            self.fail(f"{owner.name} gets {sorted(again)} twice")

    def took(self, number: int) -> None:
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
        except ConditionFailed:
            log.debug("a late write is refused")

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
        counted = self.registry.get_sample_value("cartograph_events_lost_total")
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
