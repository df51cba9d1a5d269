"""Leases over the real embedded store: what its conditions answer."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from datasources.errors import ConditionFailed
from datasources.keys import Key, lease
from datasources.table import Table
from datasources.writes import ABSENT, Put
from streams.leases import LEASE, LeaseLost, Leases, Position
from tests.integration.conftest import TABLE

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class Processes:
    """Several over the system table, with a clock that is put forward."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.client, self.stream, self.time = client, f"arn:{uuid.uuid4()}", 0.0

    def table(self) -> Table:
        deadline = asyncio.get_running_loop().time() + 20
        return Table(self.client, f"{TABLE}-system", deadline)

    def leases(self, owner: str) -> Leases:
        return Leases(self.table, self.stream, owner, lambda: datetime.now(UTC), lambda: self.time)


@pytest.fixture
def processes(client: DynamoDBClient) -> Processes:
    return Processes(client)


async def test_a_put_whose_condition_fails_gives_the_row_it_failed_on(
    processes: Processes,
) -> None:
    row = {"PK": processes.stream, "SK": "x", "number": 7, "text": "日本語"}
    await processes.table().put(Put(row, ABSENT))
    with pytest.raises(ConditionFailed) as failed:
        await processes.table().put(Put({**row, "number": 8}, ABSENT))
    assert failed.value.row == row
    found = await processes.table().batch_get([Key(processes.stream, "x")], consistent=True)
    assert list(found.values()) == [row]


async def test_a_shard_goes_from_a_dead_owner_to_the_next_with_its_checkpoint(
    processes: Processes,
) -> None:
    one, other = processes.leases("one"), processes.leases("other")
    held = await one.take("a")
    assert held
    await held.save(Position("12"))
    await held.renew()

    await other.look()
    assert not other.is_free("a")
    processes.time += LEASE
    await other.look()
    new = await other.take("a")
    assert new
    assert new.position == Position("12")

    with pytest.raises(LeaseLost):
        await held.save(Position("13"))
    await new.save(Position("14", ended=True))
    await one.look()
    assert one.position("a") == Position("14", ended=True)


async def test_a_lease_that_was_released_is_free_at_once(processes: Processes) -> None:
    one, other = processes.leases("one"), processes.leases("other")
    held = await one.take("a")
    assert held
    await held.release()
    await other.look()
    assert await other.take("a")


async def test_of_many_that_want_a_shard_at_once_one_gets_it(processes: Processes) -> None:
    wanting = [processes.leases(f"owner-{number}") for number in range(8)]
    got = [one for one in await asyncio.gather(*(each.take("a") for each in wanting)) if one]
    assert len(got) == 1
    key = lease(processes.stream, "a")
    [row] = (await processes.table().batch_get([key], consistent=True)).values()
    assert (row["owner"], row["counter"]) == (got[0].leases.owner, 1)
