import asyncio
from typing import Any

from datasources.keys import lease
from streams.leases import LEASE
from streams.reader import NOT_YET, OTHERS
from tests.unit.streams.following import Following
from tests.unit.streams.scripted import (
    ScriptedShard,
    records,
)


async def test_a_dead_owner_is_followed_within_twenty_seconds() -> None:
    following = Following({"one": ScriptedShard()})
    await following.for_seconds(2)
    row = following.memory.rows[lease("arn", "one")]
    row |= {"owner": "dead", "counter": row["counter"] + 1}
    following.shards["one"].records += records(range(2))
    died = following.time.now
    await following.until_delivered(2)
    assert LEASE <= following.time.now - died < 20


async def test_who_ends_in_order_is_followed_at_once() -> None:
    following = Following({"one": ScriptedShard(records(range(2)))})
    await following.until_delivered(2)
    following.shards["one"].records += records(range(2, 4))
    ended, following.owner = following.time.now, "two"
    await following.until_delivered(4)
    assert following.time.now == ended


async def test_two_readers_share_the_shards() -> None:
    following = Following({f"s{number}": ScriptedShard() for number in range(6)})
    other = asyncio.create_task(following.reader("two").run())
    await following.for_seconds(10)
    owners = [row.get("owner") for row in following.memory.rows.values()]
    other.cancel()
    await asyncio.wait([other])
    assert owners.count("two") == 3


async def test_of_two_exclusive_readers_one_reads_and_the_other_says_why_it_does_not() -> None:
    following = Following({"one": ScriptedShard(), "two": ScriptedShard()}, exclusive=True)
    first, second = following.reader("first"), following.reader("second")
    assert first.missing == NOT_YET
    reading = asyncio.create_task(first.run())
    waiting: list[str | None] = []

    def both_known() -> bool:
        waiting.append(second.missing)
        return following.time.now > 3

    await following.time.run(second.run(), both_known)
    assert first.missing is None
    assert waiting[-1] == OTHERS
    assert second.missing == OTHERS

    reading.cancel()
    await asyncio.wait([reading])
    assert first.missing == NOT_YET
    again = following.reader("second")
    await following.time.run(again.run(), lambda: again.missing is None)


async def test_an_exclusive_reader_misses_a_shard_that_another_reads() -> None:
    following = Following({"one": ScriptedShard(), "two": ScriptedShard()})
    other = asyncio.create_task(following.reader("other").run())
    for _ in range(30):
        await asyncio.sleep(0)
    following.exclusive = True
    reader = following.reader("first")
    told: list[str | None] = []

    def a_while() -> bool:
        told.append(reader.missing)
        return following.time.now > 3

    await following.time.run(reader.run(), a_while)
    other.cancel()
    assert told[-1] == OTHERS


async def test_who_wakes_up_after_its_lease_delivers_nothing_of_what_it_had_read() -> None:
    following = Following({"one": ScriptedShard(records(range(2)))})
    ask = following.stream.get_records

    async def ask_and_sleep(**parameters: Any) -> dict[str, Any]:
        answer = await ask(**parameters)
        following.time.now += LEASE
        following.memory.rows[lease("arn", "one")] |= {"owner": "other", "counter": 9}
        following.stream.get_records = ask  # type: ignore[method-assign]
        return answer

    following.stream.get_records = ask_and_sleep  # type: ignore[method-assign]
    await following.for_seconds(LEASE + 5)
    assert following.delivered == []
    await following.until_delivered(2)
