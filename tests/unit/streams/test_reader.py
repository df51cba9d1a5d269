import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from streams.changes import Record
from streams.leases import LEASE, Position
from streams.reader import IDLE, SOONEST, StreamReplaced
from tests.unit.streams.following import Following, ticking
from tests.unit.streams.scripted import (
    NOW,
    ScriptedShard,
    records,
)


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


async def test_an_idle_shard_is_asked_soon_and_then_once_a_second() -> None:
    following = Following({"one": ScriptedShard(), "two": ScriptedShard()})
    await following.for_seconds(30)
    for shard in ("one", "two"):
        asked = following.stream.times("get_records", shard)
        gaps = [late - early for early, late in pairwise(asked)]
        assert gaps[:5] == pytest.approx([SOONEST * 2**n for n in range(5)])
        assert gaps[5:] == pytest.approx([IDLE] * len(gaps[5:]))
        assert len(gaps) > 28


async def test_a_nudge_has_an_idle_shard_asked_at_once_and_often_for_a_while() -> None:
    following = Following({"one": ScriptedShard()})
    reader, time = following.reader(), following.time
    nudged: list[float] = []

    def once_and_until_the_end() -> bool:
        if time.now > 10.7 and not nudged:
            nudged.append(time.now)
            reader.nudge()
        return time.now >= 20

    running = asyncio.create_task(ticking(time, 0.3, 21))
    await time.run(reader.run(), once_and_until_the_end)
    running.cancel()
    asked = following.stream.times("get_records", "one")
    first = next(index for index, at in enumerate(asked) if at >= nudged[0])
    assert asked[first] == pytest.approx(nudged[0])
    gaps = [late - early for early, late in pairwise(asked[first:])]
    assert gaps[:4] == pytest.approx([SOONEST * 2**n for n in range(4)])


async def test_nudges_without_end_do_not_become_requests_without_end() -> None:
    following = Following({"one": ScriptedShard()})
    reader, time = following.reader(), following.time

    def always() -> bool:
        reader.nudge()
        return time.now >= 5

    running = asyncio.create_task(ticking(time, 0.01, 6))
    await time.run(reader.run(), always)
    running.cancel()
    asked = following.stream.times("get_records", "one")
    assert min(late - early for early, late in pairwise(asked)) >= SOONEST - 1e-9


async def test_while_records_come_there_is_no_pause() -> None:
    following = Following({"one": ScriptedShard(records(range(500)))})
    following.stream.page = 5
    await following.until_delivered(500)
    assert following.time.now == 0


async def test_a_delivery_may_take_longer_than_a_lease() -> None:
    following = Following({"one": ScriptedShard(records(range(2)))})
    reader = following.reader()

    async def slowly(shard: str, page: Sequence[Record]) -> None:
        await following.time.sleep(10 * LEASE)
        await following.deliver(shard, page)

    reader.deliver = slowly
    other = asyncio.create_task(following.reader("other").run())
    await following.time.run(reader.run(), lambda: len(following.delivered) == 2)
    other.cancel()
    assert following.delivered == [("one", 0), ("one", 1)]


async def test_records_that_come_again_are_dropped_and_the_checkpoint_does_not_go_back() -> None:
    following = Following({"one": ScriptedShard(records([1, 2, 2, 1, 3, 2]))})
    following.stream.page = 2
    await following.for_seconds(2)
    assert following.delivered == [("one", 1), ("one", 2), ("one", 3)]
    assert await following.saved() == {"one": Position("3")}


async def test_a_shard_begun_and_listed_no_more_is_told_to_be_lost_before_its_children() -> None:
    following = Following({"root": ScriptedShard(records(range(3)))})
    await following.until_delivered(3)
    del following.shards["root"]
    following.shards["child"] = ScriptedShard(records([10]), parent="root")
    await following.until_delivered(4)
    assert following.order() == ["root", "child"]
    assert following.number("events_lost_total") == following.losses == 1


async def test_losses_and_the_lag_are_measured() -> None:
    following = Following({"one": ScriptedShard(records(range(3)))})
    await following.until_delivered(3)
    assert following.number("events_lost_total") == following.losses == 0
    following.shards["one"].records += records(range(3, 9))
    following.shards["one"].trimmed = 6
    following.time.now += 1
    await following.until_delivered(6)
    assert following.number("events_lost_total") == following.losses == 1
    following.metrics.lag("one", 9)
    await following.for_seconds(2)
    assert following.number("stream_lag_seconds") == 0


async def test_the_lag_is_that_of_the_shard_that_is_furthest_behind() -> None:
    following = Following({})
    following.metrics.lag("one", 9)
    following.metrics.lag("two", 0)
    assert following.number("stream_lag_seconds") == 9
    following.metrics.forget("one")
    assert following.number("stream_lag_seconds") == 0


async def test_the_lag_grows_while_a_record_waits_and_while_nobody_answers() -> None:
    following = Following({})
    following.metrics.lag("one", 9)
    following.time.now += 60
    assert following.number("stream_lag_seconds") == 69
    following.metrics.lag("one", 0)
    following.time.now += 5
    assert following.number("stream_lag_seconds") == 0
    following.time.now += 55
    assert following.number("stream_lag_seconds") == 60


async def test_the_lag_is_the_age_of_the_first_record_that_is_not_done_with() -> None:
    lags: list[float] = []

    class Measured(Following):
        async def deliver(self, shard: str, page: Sequence[Record]) -> None:
            lags.append(self.number("stream_lag_seconds"))
            await super().deliver(shard, page)

    made = records(range(3))
    for age, record in zip((30, 20, 10), made, strict=True):
        record["dynamodb"]["ApproximateCreationDateTime"] = NOW - timedelta(seconds=age)
    await Measured({"one": ScriptedShard(made)}).until_delivered(3)
    assert lags == [30]


async def test_a_stream_that_is_gone_is_told_by_name() -> None:
    following = Following({"one": ScriptedShard(records(range(3)))})
    await following.until_delivered(3)
    following.stream.gone = True
    following.shards.clear()
    with pytest.raises(StreamReplaced):
        await following.for_seconds(5)


async def test_a_stream_that_is_switched_off_is_read_to_its_end() -> None:
    following = Following({"one": ScriptedShard(records(range(3)), closed=True)})
    following.stream.status = "DISABLED"
    with pytest.raises(StreamReplaced):
        await following.for_seconds(5)
    assert len(following.delivered) == 3
