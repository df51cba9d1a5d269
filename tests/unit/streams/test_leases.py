import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from datasources.errors import ServiceUnavailable, StoreError
from datasources.keys import SK, TTL, lease
from datasources.table import Table
from datasources.writes import Put
from streams.leases import BEGINNING, LEASE, RENEWAL, Lease, LeaseLost, Leases, Position
from tests.unit.streams.scripted import NOW, Memory, MemoryTable, Time


@dataclass
class Faulty(MemoryTable):
    """Raises what it is told to before it writes, or `after` it has written."""

    before: list[Exception] = field(default_factory=list)
    after: list[Exception] = field(default_factory=list)

    async def put(self, action: Put) -> None:
        if self.before:
            raise self.before.pop(0)
        await super().put(action)
        if self.after:
            raise self.after.pop(0)


@dataclass
class Processes:
    """Several over the same rows, each with its own view of them."""

    memory: Memory = field(default_factory=Memory)
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        self.table = Faulty(None, "system", 0.0, memory=self.memory)  # type: ignore[arg-type]

    def leases(self, owner: str, stream: str = "arn", resume: bool = True) -> Leases:
        def table() -> Table:
            return self.table

        return Leases(table, stream, owner, lambda: NOW, lambda: self.time.now, resume)

    def row(self, shard: str = "a") -> dict[str, object]:
        return self.memory.rows[lease("arn", shard)]


async def taken(leases: Leases, shard: str = "a") -> Lease:
    await leases.look()
    assert leases.is_free(shard)
    found = await leases.take(shard)
    assert found is not None
    return found


def away() -> ServiceUnavailable:
    return ServiceUnavailable("Not now.")


async def test_a_position_is_found_again_by_the_next_owner() -> None:
    processes = Processes()
    one, other = processes.leases("one"), processes.leases("other")
    first = await taken(one)
    assert first.position == BEGINNING
    await first.save(Position("17"))
    await first.release()
    assert (await taken(other)).position == Position("17")


async def test_streams_do_not_share_their_leases() -> None:
    processes = Processes()
    await (await taken(processes.leases("one", "arn:1"))).save(Position("1"))
    assert (await taken(processes.leases("other", "arn:2"))).position == BEGINNING


async def test_a_row_from_before_there_were_leases_can_be_taken() -> None:
    processes = Processes()
    pk, sk = lease("arn", "a")
    processes.memory.rows[lease("arn", "a")] = {
        "PK": pk,
        SK: sk,
        "shard": "a",
        "sequenceNumber": "5",
    }
    assert (await taken(processes.leases("one"))).position == Position("5")


async def test_every_write_raises_the_counter_by_one() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    for write in (held.renew(), held.save(Position("1")), held.renew(), held.release()):
        before = processes.row()["counter"]
        await write
        assert processes.row()["counter"] == int(str(before)) + 1


async def test_of_two_that_want_a_shard_one_gets_it() -> None:
    processes = Processes()
    one, other = processes.leases("one"), processes.leases("other")
    await one.look()
    await other.look()
    assert await one.take("a")
    assert await other.take("a") is None
    assert not other.is_free("a")


async def test_a_lease_is_dead_when_its_counter_stands_still_for_fifteen_seconds() -> None:
    processes = Processes()
    held, other = await taken(processes.leases("one")), processes.leases("other")
    await other.look()
    processes.time.now = LEASE - 1
    await held.renew()
    await other.look()
    processes.time.now = 2 * LEASE - 1.1
    await other.look()
    assert not other.is_free("a")
    processes.time.now = 2 * LEASE - 1
    assert other.is_free("a")


async def test_who_has_lost_a_lease_cannot_move_the_checkpoint() -> None:
    processes = Processes()
    held, other = await taken(processes.leases("one")), processes.leases("other")
    await held.save(Position("3"))
    await other.look()
    processes.time.now = LEASE
    assert not held.held
    new = await taken(other)
    await new.save(Position("9"))
    for write in (held.save(Position("4")), held.renew(), held.save(Position("5", ended=True))):
        with pytest.raises(LeaseLost):
            await write
    await held.release()
    assert (processes.row()["owner"], processes.row()["sequenceNumber"]) == ("other", "9")


async def test_a_write_whose_answer_was_lost_is_no_loss_of_the_lease() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    processes.table.after = [away()]
    with pytest.raises(ServiceUnavailable):
        await held.save(Position("3"))
    await held.save(Position("3"))
    assert held.held
    assert processes.row()["sequenceNumber"] == "3"


async def test_a_renewal_does_not_take_back_a_checkpoint_whose_answer_was_lost() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    processes.table.after = [away()]
    with pytest.raises(ServiceUnavailable):
        await held.save(Position("3"))
    await held.renew()
    assert held.position == Position("3")
    assert processes.row()["sequenceNumber"] == "3"


async def test_a_taking_whose_answer_was_lost_can_be_repeated_at_once() -> None:
    processes = Processes()
    one = processes.leases("one")
    await one.look()
    processes.table.after = [away()]
    with pytest.raises(ServiceUnavailable):
        await one.take("a")
    assert await one.take("a")


async def test_a_shard_that_has_ended_is_nobodys_and_forgotten_in_time() -> None:
    processes = Processes()
    leases = processes.leases("one")
    held = await taken(leases)
    await held.save(Position("1"))
    assert TTL not in processes.row()
    assert leases.begun() == {"a"}
    await held.save(Position("1", ended=True))
    assert processes.row()[TTL] == (NOW + timedelta(days=7)).timestamp()
    assert "owner" not in processes.row()
    assert not held.held
    assert leases.begun() == set()


async def test_a_private_store_is_read_anew_whoever_has_read_it_before() -> None:
    processes = Processes()
    await (await taken(processes.leases("one"))).save(Position("7"))
    leases = processes.leases("other", resume=False)
    new = await taken(leases)
    assert new.position == BEGINNING
    assert leases.begun() == {"a"}
    await new.save(Position("2"))
    await new.release()
    assert (await taken(leases)).position == Position("2")


async def keep(
    processes: Processes, held: Lease, until: Callable[[], bool]
) -> type[BaseException] | None:
    """Keeps a lease until something holds; what it ended with."""
    ended: list[type[BaseException]] = []

    async def work() -> None:
        try:
            async with held.kept(processes.time.sleep):
                await asyncio.Event().wait()
        except LeaseLost:
            ended.append(LeaseLost)

    await processes.time.run(work(), lambda: bool(ended) or until())
    return ended[0] if ended else None


async def test_a_lease_is_renewed_every_five_seconds_and_released_at_the_end() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    assert await keep(processes, held, lambda: processes.time.now >= 10 * RENEWAL) is None
    assert 10 <= int(str(processes.row()["counter"])) <= 12
    assert "owner" not in processes.row()


async def test_a_renewal_that_fails_is_tried_again() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    processes.table.before = [away()] * 5
    assert await keep(processes, held, lambda: processes.time.now >= 30) is None


async def test_a_lease_that_cannot_be_renewed_for_fifteen_seconds_counts_as_lost() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    processes.table.before = [away()] * 1_000
    assert await keep(processes, held, lambda: False) is LeaseLost
    assert processes.time.now == pytest.approx(LEASE)


async def test_the_work_of_who_has_lost_a_lease_is_cancelled() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    processes.row()["owner"] = "other"
    assert await keep(processes, held, lambda: False) is LeaseLost
    assert processes.row()["owner"] == "other"


async def test_what_the_store_refuses_is_raised() -> None:
    processes = Processes()
    held = await taken(processes.leases("one"))
    processes.table.before = [StoreError("AccessDenied")]
    with pytest.raises(StoreError, match="AccessDenied"):
        await keep(processes, held, lambda: False)


async def test_a_taking_that_is_cancelled_leaves_the_shard_free() -> None:
    processes = Processes()
    one = processes.leases("one")
    processes.table.after = [asyncio.CancelledError()]  # type: ignore[list-item]
    with pytest.raises(asyncio.CancelledError):
        await one.take("a")
    assert "owner" not in processes.row()
