import logging
from collections.abc import Sequence
from itertools import pairwise

import pytest

from datasources.errors import StoreError
from streams.changes import Record
from streams.source import ITERATOR_LASTS
from tests.unit.streams.following import Following
from tests.unit.streams.scripted import (
    ScriptedShard,
    fault,
    numbers,
    records,
)


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


async def test_the_stream_is_described_at_most_once_a_second_however_many_pages() -> None:
    shards = {f"s{number}": ScriptedShard() for number in range(250)}
    following = Following(shards, exclusive=True)
    await following.for_seconds(20)
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
    soonest = 1.0 if of is None else 0.0
    pauses = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10, 10]
    assert gaps == pytest.approx([max(soonest, pause) for pause in pauses])


async def test_what_the_store_refuses_ends_the_reader() -> None:
    following = Following({"one": ScriptedShard(records(range(3)))})
    following.stream.faults["get_records"] = [fault("AccessDeniedException")]
    with pytest.raises(StoreError, match="AccessDenied"):
        await following.for_seconds(5)


async def test_an_iterator_is_renewed_before_it_expires() -> None:
    following = Following({"one": ScriptedShard(records(range(4)))})
    following.stream.page = 2
    reader = following.reader()

    async def slowly(shard: str, page: Sequence[Record]) -> None:
        await following.deliver(shard, page)
        await following.time.sleep(ITERATOR_LASTS + 1)

    reader.deliver = slowly
    await following.time.run(reader.run(), lambda: len(following.delivered) == 4, 2_000)
    assert len(following.stream.times("get_shard_iterator", "one")) == 2
    assert [number for _, number in following.delivered] == [0, 1, 2, 3]
