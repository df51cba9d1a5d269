from datetime import timedelta

from datasources.keys import TTL, checkpoint
from streams.checkpoints import Checkpoints, Position
from tests.unit.streams.scripted import NOW, Memory


async def test_the_last_position_of_each_shard_is_found_again() -> None:
    checkpoints = Checkpoints(Memory().table, "arn", lambda: NOW)
    assert await checkpoints.load() == {}
    await checkpoints.save("a", Position("1"))
    await checkpoints.save("b", Position(None, ended=True))
    await checkpoints.save("a", Position("2"))
    assert await checkpoints.load() == {"a": Position("2"), "b": Position(None, ended=True)}


async def test_streams_do_not_share_their_positions() -> None:
    memory = Memory()
    one, other = (Checkpoints(memory.table, arn, lambda: NOW) for arn in ("arn:1", "arn:2"))
    await one.save("a", Position("1"))
    assert await other.load() == {}


async def test_only_a_shard_that_has_ended_is_forgotten_in_time() -> None:
    memory = Memory()
    checkpoints = Checkpoints(memory.table, "arn", lambda: NOW)
    await checkpoints.save("open", Position("1"))
    await checkpoints.save("ended", Position("1", ended=True))
    assert TTL not in memory.rows[checkpoint("arn", "open")]
    expiry = memory.rows[checkpoint("arn", "ended")][TTL]
    assert expiry == (NOW + timedelta(days=7)).timestamp()
