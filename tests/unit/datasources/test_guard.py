"""What all operations on a table share: a breaker, and a budget of repetitions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from datasources.breaker import Breaker, State
from datasources.errors import StoreError, Throttled
from datasources.queries import Query
from datasources.retries import RetryBudget
from datasources.table import Guard, Table
from datasources.writes import Put
from tests.unit.datasources.test_breaker import Clock
from tests.unit.datasources.test_table import (
    EMPTY,
    Answer,
    ScriptedClient,
    asked,
    found,
    key,
    refusal,
    table,
)


def guarded(client: ScriptedClient, guard: Guard) -> Table:
    store = table(client)
    store.guard = guard
    return store


def new_guard(clock: Clock, reserve: float = 10) -> Guard:
    return Guard(Breaker("shop", clock, max), RetryBudget(clock, reserve=reserve))


async def failed(store: Table) -> StoreError:
    """What a query comes to."""
    with pytest.raises(StoreError) as raised:
        await store.query(Query("p"), limit=1)
    return raised.value


async def test_an_open_breaker_is_unavailable_at_once_and_asks_nothing() -> None:
    clock = Clock()
    client, guard = ScriptedClient(lambda *_: refusal("InternalServerError", 500)), new_guard(clock)
    await failed(guarded(client, guard))
    clock.now += 1
    await failed(guarded(client, guard))
    calls, pauses = len(client.calls), len(client.pauses)
    assert guard.breaker.state is State.OPEN

    error = await failed(guarded(client, guard))

    assert (error.code, error.retryable) == ("SERVICE_UNAVAILABLE", True)
    assert (len(client.calls), len(client.pauses)) == (calls, pauses)


async def test_a_breaker_that_opens_amid_the_attempts_of_a_call_ends_them() -> None:
    clock = Clock()
    client, guard = ScriptedClient(lambda *_: refusal("InternalServerError", 500)), new_guard(clock)
    await failed(guarded(client, guard))
    await failed(guarded(client, guard))
    clock.now += 1
    await failed(guarded(client, guard))
    assert len(client.calls) == 3 + 3 + 1


async def test_a_store_that_is_back_is_asked_again() -> None:
    clock = Clock()
    client = ScriptedClient(lambda n, _: EMPTY if n > 5 else refusal("InternalServerError", 500))
    guard = new_guard(clock)
    await failed(guarded(client, guard))
    clock.now += 1
    await failed(guarded(client, guard))
    clock.now += 0.5
    await guarded(client, guard).query(Query("p"), limit=1)
    assert guard.breaker.state is State.CLOSED


async def test_one_hot_partition_does_not_close_the_table_to_others() -> None:
    clock, throttled = Clock(), refusal("ProvisionedThroughputExceededException")

    def hot(_number: int, parameters: dict[str, Any]) -> Answer:
        clock.now += 0.1
        return throttled if parameters["ExpressionAttributeValues"][":pk"] == {"S": "p"} else EMPTY

    client, guard = ScriptedClient(hot), new_guard(clock)
    for _ in range(100):
        assert isinstance(await failed(guarded(client, guard)), Throttled)
    assert (await guarded(client, guard).query(Query("cold"), limit=1)).rows == []


async def test_repeated_attempts_are_a_tenth_of_calls_and_a_reserve() -> None:
    client = ScriptedClient(lambda *_: refusal("ThrottlingException"))
    guard = new_guard(Clock())
    for _ in range(500):
        await failed(guarded(client, guard))
    assert len(client.calls) == 500 + 50 + 10


async def test_who_meets_another_transaction_repeats_at_nobodys_cost() -> None:
    conflict = refusal("TransactionInProgressException")
    client = ScriptedClient(lambda n, _: conflict if n < 20 else {})
    put = Put({"PK": "p", "SK": "s"})
    await guarded(client, new_guard(Clock(), reserve=0)).put(put)
    assert len(client.calls) == 20


@pytest.mark.parametrize(("progress", "calls"), [(1, 7), (0, 1)])
async def test_a_batch_that_makes_progress_costs_the_budget_nothing(
    progress: int, calls: int
) -> None:
    def some(_number: int, parameters: dict[str, Any]) -> Answer:
        keys = asked(parameters)
        return found(keys[:progress], keys[progress:])

    client = ScriptedClient(some)
    store = guarded(client, new_guard(Clock(), reserve=0))
    with suppress(Throttled):
        await store.batch_get(key(n) for n in range(7))
    assert len(client.calls) == calls
