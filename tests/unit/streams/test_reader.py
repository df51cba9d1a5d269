import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry

from datasources.errors import StoreError
from streams.changes import Record
from streams.leases import BEGINNING, LEASE, Leases, Position
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.reader import IDLE, NOT_YET, OTHERS, SOONEST, Reader, StreamReplaced
from streams.source import ITERATOR_LASTS
from tests.unit.streams.scripted import (
    NOW,
    Memory,
    ScriptedShard,
    ScriptedStream,
    Time,
    fault,
    numbers,
    records,
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
    resume: bool = True
    exclusive: bool = False
    owner: str = "one"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.stream = ScriptedStream(self.time, self.shards)
        self.metrics = StreamMetrics(self.registry)

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
            exclusive=self.exclusive,
        )

    def order(self) -> list[str]:
        return list(dict.fromkeys(shard for shard, _ in self.delivered))


def lineage() -> dict[str, ScriptedShard]:
    """A shard that was split, and one of its halves split again; children are listed first."""
    return {
        "ba": ScriptedShard(records(range(50, 55)), parent="b"),
        "a": ScriptedShard(records(range(20, 25)), parent="root"),
        "b": ScriptedShard(records(range(30, 35)), parent="root", closed=True),
        "root": ScriptedShard(records(range(10)), closed=True),
    }


async def test_parents_come_before_their_children() -> None:
    following = Following(lineage())
    following.stream.page = 3
    await following.until_delivered(25)

    order = following.order()
    assert order[0] == "root"
    assert order.index("b") < order.index("ba")
    root = [number for shard, number in following.delivered if shard == "root"]
    assert following.delivered[:10] == [("root", number) for number in root]


async def test_the_records_of_a_shard_come_in_order_and_once() -> None:
    following = Following({"one": ScriptedShard(records(range(1_000)))})
    following.stream.page = 7
    await following.until_delivered(1_000)
    assert following.delivered == [("one", number) for number in range(1_000)]


async def test_a_shard_whose_parent_is_no_longer_listed_is_followed() -> None:
    following = Following({"late": ScriptedShard(records(range(3)), parent="trimmed-long-ago")})
    await following.until_delivered(3)


async def test_children_that_are_listed_late_are_found_a_second_later() -> None:
    following = Following(
        {
            "root": ScriptedShard(records(range(3)), closed=True),
            "child": ScriptedShard(records(range(10, 13)), parent="root", listed=False),
        }
    )
    await following.for_seconds(5)
    assert following.order() == ["root"]
    following.shards["child"].listed = True
    before = following.time.now
    await following.until_delivered(6)
    assert following.time.now - before <= 2


async def test_an_open_shard_that_ends_hands_over_to_its_child() -> None:
    following = Following({"root": ScriptedShard(records(range(3)))})
    await following.for_seconds(3)
    following.shards["root"].closed = True
    following.shards["child"] = ScriptedShard(records(range(10, 12)), parent="root")
    await following.until_delivered(5)
    assert following.order() == ["root", "child"]
    saved = await following.saved()
    assert saved["root"] == Position("2", ended=True)


async def test_a_shard_that_has_ended_is_not_read_again() -> None:
    following = Following(lineage())
    await following.until_delivered(25)
    following.delivered.clear()
    following.stream.calls.clear()
    following.shards["ba"].records += records([55])
    await following.until_delivered(1)
    assert following.delivered == [("ba", 55)]
    assert following.stream.times("get_records", "root") == []


async def test_reading_goes_on_behind_the_checkpoint() -> None:
    following = Following({"one": ScriptedShard(records(range(5)))})
    await following.until_delivered(5)
    following.shards["one"].records += records(range(5, 8))
    await following.until_delivered(8)
    assert following.delivered == [("one", number) for number in range(8)]


async def test_a_stream_that_does_not_outlive_its_store_is_read_from_its_beginning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    following = Following({"one": ScriptedShard(records(range(5)))}, resume=False)
    await following.until_delivered(5)
    following.shards["one"].records[:] = records(range(2))
    await following.until_delivered(7)
    assert following.delivered[5:] == [("one", 0), ("one", 1)]
    assert "events lost" not in caplog.text


async def test_the_checkpoint_is_written_after_the_effect() -> None:
    following = Following({"one": ScriptedShard(records(range(4)))})
    following.stream.page = 2
    await following.for_seconds(1)
    assert following.saved_before == [{}, {"one": Position("1")}]
    assert await following.saved() == {"one": Position("3")}


async def test_a_page_whose_effects_are_not_there_comes_again() -> None:
    following = Following({"one": ScriptedShard(records(range(4)))}, failure=RuntimeError("crash"))
    with pytest.raises(RuntimeError, match="crash"):
        await following.for_seconds(5)
    assert await following.saved() == {}
    following.failure = None
    await following.until_delivered(4)


async def test_an_expired_iterator_is_renewed_behind_the_last_record() -> None:
    following = Following({"one": ScriptedShard(records(range(6)))})
    following.stream.page = 3
    following.stream.expired = {("one", 0), ("one", 3)}
    await following.until_delivered(6)
    assert following.delivered == [("one", number) for number in range(6)]
    assert not following.stream.expired


async def test_trimmed_records_are_reported_and_what_is_left_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    following = Following({"one": ScriptedShard(records(range(3)))})
    await following.until_delivered(3)
    following.shards["one"].records += records(range(3, 9))
    following.shards["one"].trimmed = 6
    await following.until_delivered(6)
    assert following.delivered[3:] == [("one", 6), ("one", 7), ("one", 8)]
    [line] = [entry for entry in caplog.records if "events lost" in entry.getMessage()]
    assert line.levelno == logging.ERROR
    assert "shard one" in line.getMessage()


async def test_records_trimmed_under_an_iterator_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    following = Following({"one": ScriptedShard(records(range(2)))})

    async def trim(shard: str, page: Sequence[Record]) -> None:
        following.delivered += [(shard, number) for number in numbers(page)]
        if len(following.delivered) == 2:
            following.shards[shard].records += records(range(2, 6))
            following.shards[shard].trimmed = 4

    reader = following.reader()
    reader.deliver = trim
    await following.time.run(reader.run(), lambda: len(following.delivered) == 4)
    assert [number for _, number in following.delivered] == [0, 1, 4, 5]
    assert "events lost: shard one no longer has what came behind 1" in caplog.text


async def test_a_shard_that_is_gone_with_its_records_makes_way_for_its_children(
    caplog: pytest.LogCaptureFixture,
) -> None:
    following = Following(
        {
            "root": ScriptedShard(records(range(3))),
            "child": ScriptedShard(records(range(10, 12)), parent="root"),
        }
    )
    following.stream.faults["get_shard_iterator"] = [
        following.stream.exceptions.ResourceNotFoundException({"Error": {}}, "Scripted")
    ]
    await following.until_delivered(2)
    assert following.order() == ["child"]
    assert "events lost" in caplog.text


async def test_an_idle_shard_is_asked_once_a_second() -> None:
    following = Following({"one": ScriptedShard(), "two": ScriptedShard()})
    await following.for_seconds(30)
    for shard in ("one", "two"):
        asked = following.stream.times("get_records", shard)
        assert 29 <= len(asked) <= 31
        gaps = [late - early for early, late in pairwise(asked)]
        assert min(gaps) >= IDLE


async def test_while_records_come_there_is_no_pause() -> None:
    following = Following({"one": ScriptedShard(records(range(500)))})
    following.stream.page = 5
    await following.until_delivered(500)
    assert following.time.now == 0


async def test_the_stream_is_described_at_most_once_a_second_however_many_pages() -> None:
    following = Following({f"s{number}": ScriptedShard() for number in range(250)})
    await following.for_seconds(60)
    described = following.stream.times("describe_stream")
    assert described[:3] == [0, 1, 2]
    gaps = [late - early for early, late in pairwise(described)]
    assert min(gaps) >= 1
    assert len(following.stream.times("get_records", "s249")) > 10


@pytest.mark.parametrize("operation", ["describe_stream", "get_shard_iterator", "get_records"])
async def test_throttling_is_waited_out_with_growing_pauses(operation: str) -> None:
    following = Following({"one": ScriptedShard(records(range(3)))})
    codes = ["LimitExceededException", "ThrottlingException", "InternalServerError"] * 4
    following.stream.faults[operation] = [fault(code) for code in codes]
    await following.until_delivered(3)
    of = None if operation == "describe_stream" else "one"
    asked = following.stream.times(operation, of)
    gaps = [late - early for early, late in pairwise(asked)][:12]
    assert gaps == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10, 10])


async def test_what_the_store_refuses_ends_the_reader() -> None:
    following = Following({"one": ScriptedShard(records(range(3)))})
    following.stream.faults["get_records"] = [fault("AccessDeniedException")]
    with pytest.raises(StoreError, match="AccessDenied"):
        await following.for_seconds(5)
