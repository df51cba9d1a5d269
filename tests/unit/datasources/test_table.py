"""The table client: how calls are cut, repeated, bounded in time, metered and mapped to errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from datasources.attributes import encode_row
from datasources.breaker import NotAsked
from datasources.client import as_store_error
from datasources.errors import (
    ConditionFailed,
    DeadlineExceeded,
    ServiceUnavailable,
    StoreError,
    Throttled,
)
from datasources.keys import GSI2, Key, SortRange
from datasources.pool import PoolTimeoutError
from datasources.queries import Query
from datasources.table import ATTEMPTS, Table, gather

Answer = Any
Script = Callable[[int, dict[str, Any]], Answer]


@dataclass
class ScriptedClient:
    """Answers each call by what the script says for its number; an exception is raised."""

    script: Script
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def _answer(self, operation: str, parameters: dict[str, Any]) -> Answer:
        self.calls.append((operation, parameters))
        number = len(self.calls)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            answer = self.script(number, parameters)
            if asyncio.isfuture(answer):
                answer = await answer
        finally:
            self.at_once -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def batch_get_item(self, **parameters: Any) -> Answer:
        return await self._answer("batch_get_item", parameters)

    async def batch_write_item(self, **parameters: Any) -> Answer:
        return await self._answer("batch_write_item", parameters)

    async def query(self, **parameters: Any) -> Answer:
        return await self._answer("query", parameters)

    async def put_item(self, **parameters: Any) -> Answer:
        return await self._answer("put_item", parameters)

    def jitter(self, low: float, high: float) -> float:
        self.pauses.append((low, high))
        return 0


def table(client: ScriptedClient, seconds: float = 10) -> Table:
    """A table whose operation has so many seconds left."""
    deadline = asyncio.get_running_loop().time() + seconds
    return Table(cast(Any, client), "shop", deadline, jitter=client.jitter)


def key(number: int) -> Key:
    return Key("p", f"{number:04d}")


def asked(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", parameters["RequestItems"]["shop"]["Keys"])


def found(keys: list[dict[str, Any]], left: list[dict[str, Any]] | None = None) -> Answer:
    """An answer with a row for each key, some keys left over, and one unit."""
    return {
        "Responses": {"shop": [{**each, "n": {"N": "1"}} for each in keys]},
        "UnprocessedKeys": {"shop": {"Keys": left}} if left else {},
        "ConsumedCapacity": [{"TableName": "shop", "CapacityUnits": 1.0}],
    }


def everything(_number: int, parameters: dict[str, Any]) -> Answer:
    return found(asked(parameters))


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "because"},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "Query",
    )


EMPTY = {"Items": [], "ScannedCount": 0}


# --- batches ---------------------------------------------------------------------------------


async def test_no_key_is_asked_for_twice() -> None:
    client = ScriptedClient(everything)
    rows = await table(client).batch_get([key(1), key(2), key(1), key(1)])
    assert rows == {key(n): {"PK": "p", "SK": key(n).sk, "n": 1} for n in (1, 2)}
    [(_, parameters)] = client.calls
    assert asked(parameters) == [encode_row({"PK": "p", "SK": key(n).sk}) for n in (1, 2)]


async def test_nothing_is_asked_for_no_keys() -> None:
    client = ScriptedClient(everything)
    assert await table(client).batch_get([]) == {}
    assert client.calls == []


async def test_rows_that_are_missing_are_missing_in_the_answer() -> None:
    client = ScriptedClient(lambda _, parameters: found(asked(parameters)[:1]))
    assert set(await table(client).batch_get([key(1), key(2)])) == {key(1)}


async def test_a_hundred_keys_go_in_a_call_and_calls_go_side_by_side() -> None:
    client = ScriptedClient(everything)
    store = table(client)
    rows = await store.batch_get(key(n) for n in range(250))
    assert set(rows) == {key(n) for n in range(250)}
    assert [len(asked(parameters)) for _, parameters in client.calls] == [100, 100, 50]
    assert client.most_at_once == 3
    assert store.meter.requests == 3
    assert store.meter.read_units == 3.0


@pytest.mark.parametrize("consistent", [False, True])
async def test_a_consistent_read_is_asked_for_as_such(consistent: bool) -> None:
    client = ScriptedClient(everything)
    await table(client).batch_get([key(1)], consistent=consistent)
    [(_, parameters)] = client.calls
    assert parameters["RequestItems"]["shop"]["ConsistentRead"] is consistent
    assert parameters["ReturnConsumedCapacity"] == "TOTAL"


async def test_keys_left_unprocessed_are_asked_for_again_until_none_is() -> None:
    def one_a_call(_number: int, parameters: dict[str, Any]) -> Answer:
        keys = asked(parameters)
        return found(keys[:1], keys[1:])

    client = ScriptedClient(one_a_call)
    store = table(client)
    rows = await store.batch_get(key(n) for n in range(7))
    assert set(rows) == {key(n) for n in range(7)}
    assert [len(asked(parameters)) for _, parameters in client.calls] == [7, 6, 5, 4, 3, 2, 1]
    assert store.meter.requests == 7
    assert store.meter.read_units == 7.0


async def test_pauses_have_full_jitter_under_a_doubling_ceiling_of_a_second() -> None:
    def seven_times(number: int, parameters: dict[str, Any]) -> Answer:
        keys = asked(parameters)
        return found([], keys) if number < 9 else found(keys)

    client = ScriptedClient(seven_times)
    await table(client).batch_get([key(1)])
    ceilings = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert [low for low, _ in client.pauses] == [0] * 8
    assert [high for _, high in client.pauses] == pytest.approx(ceilings)


async def test_keys_left_until_the_deadline_are_throttling() -> None:
    client = ScriptedClient(lambda _, parameters: found([], asked(parameters)))
    store = table(client)
    store.jitter = lambda _low, _high: 60
    with pytest.raises(Throttled, match="unprocessed"):
        await store.batch_get([key(1)])
    assert len(client.calls) == 1


async def test_rows_left_unwritten_are_written_again() -> None:
    def one_a_call(_number: int, parameters: dict[str, Any]) -> Answer:
        rest = parameters["RequestItems"]["shop"][1:]
        return {
            "UnprocessedItems": {"shop": rest} if rest else {},
            "ConsumedCapacity": [{"CapacityUnits": 2.0}],
        }

    client = ScriptedClient(one_a_call)
    store = table(client)
    await store.batch_write([{"PK": "p", "SK": str(n)} for n in range(3)])
    written = [parameters["RequestItems"]["shop"] for _, parameters in client.calls]
    assert [len(requests) for requests in written] == [3, 2, 1]
    assert written[2] == [{"PutRequest": {"Item": encode_row({"PK": "p", "SK": "2"})}}]
    assert (store.meter.read_units, store.meter.write_units) == (0.0, 6.0)


# --- queries ---------------------------------------------------------------------------------


async def test_a_query_says_partition_index_direction_and_limit() -> None:
    client = ScriptedClient(lambda *_: EMPTY)
    await table(client).query(Query("t#X", index=GSI2, descending=True), limit=7)
    [(_, parameters)] = client.calls
    assert parameters == {
        "TableName": "shop",
        "IndexName": "GSI2",
        "KeyConditionExpression": "#pk = :pk",
        "ExpressionAttributeNames": {"#pk": "GSI2PK"},
        "ExpressionAttributeValues": {":pk": {"S": "t#X"}},
        "ScanIndexForward": False,
        "Limit": 7,
        "ConsistentRead": False,
        "ReturnConsumedCapacity": "TOTAL",
    }


@pytest.mark.parametrize(
    ("bounds", "condition", "values"),
    [
        (SortRange(), "#pk = :pk", {}),
        (SortRange(low="a"), "#pk = :pk AND #sk >= :low", {":low": {"S": "a"}}),
        (SortRange(high="b"), "#pk = :pk AND #sk <= :high", {":high": {"S": "b"}}),
        (
            SortRange("a", "b"),
            "#pk = :pk AND #sk BETWEEN :low AND :high",
            {":low": {"S": "a"}, ":high": {"S": "b"}},
        ),
    ],
)
async def test_a_range_is_one_condition_on_the_sort_key(
    bounds: SortRange, condition: str, values: dict[str, Any]
) -> None:
    client = ScriptedClient(lambda *_: EMPTY)
    await table(client).query(Query("p", bounds), limit=1)
    [(_, parameters)] = client.calls
    assert parameters["KeyConditionExpression"] == condition
    assert parameters["ExpressionAttributeValues"] == {":pk": {"S": "p"}, **values}
    # DynamoDB refuses a name that is given and not used.
    assert ("#sk" in parameters["ExpressionAttributeNames"]) == bool(values)
    assert "IndexName" not in parameters


async def test_a_filter_is_on_one_attribute() -> None:
    client = ScriptedClient(lambda *_: EMPTY)
    await table(client).query(Query("p", equals=("status", "PAID")), limit=1)
    [(_, parameters)] = client.calls
    assert parameters["FilterExpression"] == "#filter = :filter"
    assert parameters["ExpressionAttributeNames"]["#filter"] == "status"
    assert parameters["ExpressionAttributeValues"][":filter"] == {"S": "PAID"}


async def test_who_asks_only_whether_there_are_rows_gets_their_sort_keys_alone() -> None:
    client = ScriptedClient(lambda *_: EMPTY)
    await table(client).query(Query("p", index=GSI2, keys_only=True), limit=1)
    [(_, parameters)] = client.calls
    assert parameters["ProjectionExpression"] == "#sk"
    assert parameters["ExpressionAttributeNames"] == {"#pk": "GSI2PK", "#sk": "GSI2SK"}


async def test_a_page_says_what_was_read_and_where_to_go_on() -> None:
    start = {"PK": {"S": "p"}, "SK": {"S": "2"}}
    answer = {
        "Items": [encode_row({"PK": "p", "SK": "1"})],
        "ScannedCount": 2,
        "LastEvaluatedKey": start,
        "ConsumedCapacity": {"CapacityUnits": 0.5},
    }
    client = ScriptedClient(lambda *_: answer)
    store = table(client)
    page = await store.query(Query("p"), limit=2)
    assert page.rows == [{"PK": "p", "SK": "1"}]
    assert (page.read, page.start) == (2, start)
    await store.query(Query("p"), limit=2, start=page.start)
    assert "ExclusiveStartKey" not in client.calls[0][1]
    assert client.calls[1][1]["ExclusiveStartKey"] == start
    assert (store.meter.requests, store.meter.read_units) == (2, 1.0)


# --- repeating and giving up -----------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        refusal("ThrottlingException"),
        refusal("ProvisionedThroughputExceededException"),
        refusal("RequestLimitExceeded"),
        refusal("InternalServerError", 500),
        refusal("Nameless", 503),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ConnectTimeoutError(endpoint_url="http://127.0.0.1:1"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
        ConnectionResetError(),
    ],
    ids=repr,
)
async def test_what_may_pass_is_tried_three_times(failure: Exception) -> None:
    client = ScriptedClient(lambda number, _: failure if number < ATTEMPTS else EMPTY)
    store = table(client)
    page = await store.query(Query("p"), limit=1)
    assert page.rows == []
    assert store.meter.requests == len(client.calls) == 3
    assert client.pauses == [(0, 0.025), (0, 0.05)]


async def test_a_fourth_attempt_is_not_made() -> None:
    client = ScriptedClient(lambda *_: refusal("ThrottlingException"))
    with pytest.raises(Throttled, match="slower pace") as raised:
        await table(client).query(Query("p"), limit=1)
    assert len(client.calls) == 3
    assert raised.value.retryable
    assert isinstance(raised.value.__cause__, ClientError)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (refusal("ValidationException"), StoreError),
        (refusal("ResourceNotFoundException"), StoreError),
        (refusal("AccessDeniedException"), StoreError),
        (refusal("ConditionalCheckFailedException"), ConditionFailed),
    ],
)
async def test_what_will_not_pass_is_tried_once(
    failure: ClientError, kind: type[StoreError]
) -> None:
    client = ScriptedClient(lambda *_: failure)
    with pytest.raises(StoreError) as raised:
        await table(client).query(Query("p"), limit=1)
    assert type(raised.value) is kind
    assert not raised.value.retryable
    assert (len(client.calls), client.pauses) == (1, [])


async def test_a_defect_of_ours_is_no_error_of_the_store() -> None:
    client = ScriptedClient(lambda *_: ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await table(client).query(Query("p"), limit=1)
    assert len(client.calls) == 1


async def test_a_store_that_does_not_answer_ends_with_the_deadline() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client = ScriptedClient(lambda *_: never)
    with pytest.raises(DeadlineExceeded) as raised:
        await table(client, seconds=0.01).query(Query("p"), limit=1)
    assert (len(client.calls), client.at_once) == (1, 0)
    assert raised.value.retryable
    assert never.cancelled()


async def test_nothing_waits_once_the_deadline_has_passed() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client = ScriptedClient(lambda *_: never)
    with pytest.raises(DeadlineExceeded):
        await table(client, seconds=-1).batch_get([key(1), key(2)])
    assert client.at_once == 0


async def test_there_is_no_pause_beyond_the_deadline() -> None:
    client = ScriptedClient(lambda *_: refusal("ThrottlingException"))
    store = table(client)
    store.jitter = lambda _low, _high: 60
    with pytest.raises(Throttled):
        await store.query(Query("p"), limit=1)
    assert len(client.calls) == 1


async def test_the_deadline_is_that_of_the_operation_and_not_of_each_attempt() -> None:
    loop = asyncio.get_running_loop()
    never: asyncio.Future[None] = loop.create_future()
    client = ScriptedClient(lambda n, _: refusal("ThrottlingException") if n == 1 else never)
    started = loop.time()
    with pytest.raises(DeadlineExceeded):
        await table(client, seconds=0.02).query(Query("p"), limit=1)
    assert len(client.calls) == 2
    assert loop.time() - started >= 0.02


async def test_many_calls_at_once_end_with_the_deadline_of_their_operation() -> None:
    never: list[asyncio.Future[None]] = []

    def wait(_number: int, _parameters: dict[str, Any]) -> Answer:
        never.append(asyncio.get_running_loop().create_future())
        return never[-1]

    client = ScriptedClient(wait)
    store = table(client, seconds=0.01)
    calls = (store.query(Query(str(n)), limit=1) for n in range(40))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in results} == {DeadlineExceeded}
    assert len(never) == 40
    assert all(each.cancelled() for each in never)


async def test_a_call_that_its_caller_gives_up_is_no_deadline() -> None:
    asked = asyncio.Event()

    def wait(_number: int, _parameters: dict[str, Any]) -> Answer:
        asked.set()
        return asyncio.get_running_loop().create_future()

    asking = asyncio.create_task(table(ScriptedClient(wait)).query(Query("p"), limit=1))
    await asked.wait()
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()


async def test_who_found_no_free_connection_does_not_queue_again() -> None:
    client = ScriptedClient(lambda *_: PoolTimeoutError(seconds=1))
    with pytest.raises(NotAsked):
        await table(client).query(Query("p"), limit=1)
    assert len(client.calls) == 1


async def test_a_failed_call_ends_those_beside_it() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client = ScriptedClient(lambda n, _: never if n < 3 else refusal("ValidationException"))
    with pytest.raises(StoreError, match="ValidationException"):
        await table(client).batch_get(key(n) for n in range(250))
    assert client.at_once == 0


async def test_gathering_raises_the_first_failure_by_itself() -> None:
    async def fail() -> None:
        raise Throttled("now")

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Throttled):
        await gather(wait(), gather(wait(), fail()))


async def test_gathering_can_be_cancelled() -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(_run(gather(wait(), wait())))
    await waiting.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_gathering_keeps_the_order_of_what_it_was_given() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await gather(after(3), after(0), after(1)) == [3, 0, 1]
    assert await gather() == []


async def _run(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


# --- names for errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("ThrottlingException"), Throttled),
        (refusal("LimitExceededException"), Throttled),
        (refusal("InternalServerError", 500), ServiceUnavailable),
        (refusal("ServiceUnavailable", 503), ServiceUnavailable),
        (refusal("SomethingNew", 502), ServiceUnavailable),
        (refusal("SomethingNew", 400), StoreError),
        (refusal("ConditionalCheckFailedException"), ConditionFailed),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), ServiceUnavailable),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1:1"), ServiceUnavailable),
        (OSError("no route"), ServiceUnavailable),
    ],
)
def test_each_failure_has_a_name(error: Exception, kind: type[StoreError]) -> None:
    assert type(as_store_error(error)) is kind


def test_the_name_of_a_failed_connection_says_nothing_of_where_it_went() -> None:
    error = as_store_error(EndpointConnectionError(endpoint_url="http://10.0.0.1:8000"))
    assert "10.0.0.1" not in error.message
    assert error.code == "SERVICE_UNAVAILABLE"
