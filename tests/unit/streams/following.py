"""A reader of a scripted stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from streams.changes import Record
from streams.leases import BEGINNING, Leases, Position
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.reader import Reader
from tests.unit.streams.scripted import (
    NOW,
    Memory,
    ScriptedShard,
    ScriptedStream,
    Time,
    numbers,
)


@dataclass
class Following:
    """A reader of a scripted stream, what it delivered, and what was saved at that moment."""

    shards: dict[str, ScriptedShard]
    time: Time = field(default_factory=Time)
    memory: Memory = field(default_factory=Memory)
    delivered: list[tuple[str, int]] = field(default_factory=list)
    saved_before: list[dict[str, Position]] = field(default_factory=list)
    failure: Exception | None = None
    losses: int = 0
    resume: bool = True
    exclusive: bool = False
    owner: str = "one"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.stream = ScriptedStream(self.time, self.shards)
        self.metrics = StreamMetrics(self.registry, lambda: self.time.now)

    async def saved(self) -> dict[str, Position]:
        """How far each shard is, as a new process would see it."""
        leases = self.leases("somebody")
        await leases.look()
        rows = self.memory.rows.values()
        positions = {row["shard"]: leases.position(row["shard"]) for row in rows}
        return {shard: one for shard, one in positions.items() if one != BEGINNING}

    def leases(self, owner: str) -> Leases:
        return Leases(
            self.memory.table, "arn", owner, lambda: NOW, lambda: self.time.now, self.resume
        )

    def number(self, name: str) -> float:
        found = self.registry.get_sample_value(f"cartograph_{name}")
        assert found is not None
        return found

    async def deliver(self, shard: str, page: Sequence[Record]) -> None:
        self.saved_before.append(await self.saved())
        if self.failure:
            raise self.failure
        self.delivered += [(shard, number) for number in numbers(page)]

    async def lose(self) -> None:
        self.losses += 1

    async def until_delivered(self, count: int) -> None:
        await self.time.run(self.reader().run(), lambda: len(self.delivered) >= count)

    async def for_seconds(self, seconds: float) -> None:
        end = self.time.now + seconds
        await self.time.run(self.reader().run(), lambda: self.time.now >= end)

    def reader(self, owner: str | None = None) -> Reader:
        return Reader(
            client=self.stream,
            stream="arn",
            leases=self.leases(owner or self.owner),
            deliver=self.deliver,
            patience=Patience(self.time.sleep, lambda _low, high: high),
            metrics=self.metrics,
            lost=self.lose,
            exclusive=self.exclusive,
        )

    def order(self) -> list[str]:
        return list(dict.fromkeys(shard for shard, _ in self.delivered))


async def ticking(time: Time, every: float, until: float) -> None:
    """Has something to be looked at so often."""
    while time.now < until:
        await time.sleep(every)
