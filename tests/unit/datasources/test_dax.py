"""Reads through DAX: which calls go there, what becomes of its answers and errors, and how many
threads wait for it."""

from __future__ import annotations

import asyncio
import builtins
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from datasources import dax
from datasources.breaker import Breaker, NotAsked, State
from datasources.dax import DaxClient, open_dax
from datasources.errors import (
    ConfigurationError,
    DeadlineExceeded,
    ServiceUnavailable,
    StoreError,
    Throttled,
)
from datasources.keys import Keys
from datasources.queries import Query
from datasources.retries import RetryBudget
from datasources.table import Guard, Table
from tests.support import items
from tests.support.dax import URL, Cluster, StandIn, refusal
from tests.support.memory import MemoryClient
from tests.support.shop import rows_of

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

KEYS = Keys("t", 2)
USER = items.user(1)
KEY = KEYS.user(USER.id)
ALL = Query(KEY.pk)


@asynccontextmanager
async def reading(**more: Any) -> AsyncIterator[tuple[DynamoDBClient, Cluster, MemoryClient]]:
    """A client over a cluster and a table, both with the same rows."""
    table, made = MemoryClient(), StandIn(endpoint_url=URL)
    for rows in (table, made.cluster.rows):
        rows.put(rows_of(KEYS, USER))
    client = DaxClient(table.as_client(), made, **more)
    try:
        yield cast("DynamoDBClient", client), made.cluster, table
    finally:
        made.cluster.may.set()
        client.close()


def table_of(client: DynamoDBClient, *, seconds: float = 30, consistent: bool = False) -> Table:
    ends = asyncio.get_running_loop().time() + seconds
    return Table(client, "shop", ends, consistent=consistent, jitter=lambda *_: 0)


async def running(cluster: Cluster, count: int) -> None:
    """When so many calls are under way."""
    async with asyncio.timeout(30):
        while cluster.running != count:  # noqa: ASYNC110 they are other threads'
            await asyncio.sleep(0.001)


# --- where reads go -------------------------------------------------------------------------


async def test_reads_go_through_dax_in_threads_of_their_own() -> None:
    async with reading() as (client, cluster, table):
        found = await table_of(client).batch_get([KEY])
        page = await table_of(client).query(ALL, limit=10)
    assert found[KEY]["username"] == page.rows[0]["username"] == USER.username
    assert [name for name, _ in cluster.rows.calls] == ["batch_get_item", "query"]
    assert table.calls == []
    assert all(name.startswith("dax") for name in cluster.threads)


async def test_what_must_be_consistent_is_read_from_the_table() -> None:
    async with reading() as (client, cluster, table):
        await table_of(client).batch_get([KEY], consistent=True)
        await table_of(client).query(ALL, limit=10, consistent=True)
        await table_of(client, consistent=True).batch_get([KEY])
    assert cluster.rows.calls == []
    assert len(table.calls) == 3


async def test_all_other_operations_are_the_tables() -> None:
    async with reading() as (client, _, table):
        assert client.named.__self__ is table


async def test_an_answer_without_counts_is_counted() -> None:
    async with reading() as (client, cluster, _):
        cluster.without = ("ScannedCount", "ConsumedCapacity")
        page = await table_of(client).query(ALL, limit=10)
    assert (len(page.rows), page.read) == (1, 1)


async def test_a_repeated_attempt_sends_the_same_parameters() -> None:
    async with reading() as (client, cluster, _):
        cluster.fails = [refusal("ThrottlingException")]
        assert await table_of(client).batch_get([KEY])
        assert await table_of(client).query(ALL, limit=10)
    assert cluster.rows.named("batch_get_item") == [
        {
            "RequestItems": {
                "shop": {
                    "Keys": [{"PK": {"S": KEY.pk}, "SK": {"S": KEY.sk}}],
                    "ConsistentRead": False,
                }
            },
            "ReturnConsumedCapacity": "TOTAL",
        }
    ]


# --- errors ---------------------------------------------------------------------------------

AWAY = """NoRouteException ConnectionException EndOfStreamException DecoderException
    MalformedResultException InternalServerErrorException""".split()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (refusal("ServiceUnavailable"), ServiceUnavailable),
        (refusal("InternalServerError"), ServiceUnavailable),
        (refusal("ThrottlingException"), Throttled),
        (refusal("ProvisionedThroughputExceededException"), Throttled),
        (refusal("RequestLimitExceeded"), Throttled),
    ],
)
async def test_what_passes_is_tried_again_and_then_told_by_its_name(
    raised: Exception, expected: type[StoreError]
) -> None:
    async with reading() as (client, cluster, _):
        cluster.fails = [raised] * 3
        with pytest.raises(expected) as told:
            await table_of(client).query(ALL, limit=10)
        assert told.value.retryable
        assert "dax" not in told.value.message.lower()
        assert cluster.fails == []
        cluster.fails = [raised] * 2
        assert (await table_of(client).query(ALL, limit=10)).rows


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ValidationException", "ResourceNotFoundException"]
)
async def test_a_refusal_that_stays_is_a_defect_and_not_tried_again(code: str) -> None:
    async with reading() as (client, cluster, _):
        cluster.fails = [refusal(code)] * 2
        with pytest.raises(StoreError, match=code) as told:
            await table_of(client).query(ALL, limit=10)
        assert not told.value.retryable
        assert len(cluster.fails) == 1


@pytest.mark.parametrize(
    "raised",
    [
        *map(refusal, AWAY),
        refusal(None, "what?"),
        refusal(None, None),
        TimeoutError("timed out"),
        ConnectionResetError(),
        ReadTimeoutError(endpoint_url=URL),
        IndexError("of its decoder"),
    ],
)
async def test_what_dax_has_no_answer_to_is_read_from_the_table(raised: Exception) -> None:
    async with reading() as (client, cluster, table):
        cluster.fails = [raised]
        assert (await table_of(client).query(ALL, limit=10)).rows
        assert [name for name, _ in table.calls] == ["query"]
        assert await table_of(client).batch_get([KEY])
        assert [name for name, _ in table.calls] == ["query", "batch_get_item"]
        assert cluster.rows.calls == []


async def test_while_it_is_away_one_call_in_some_seconds_looks_whether_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    now = 1_000.0
    async with reading(clock=lambda: now) as (client, cluster, table):

        async def read() -> int:
            """How many the table was asked for this."""
            before = len(table.calls)
            assert await table_of(client).batch_get([KEY])
            return len(table.calls) - before

        cluster.fails = [ConnectionResetError(), ConnectionResetError()]
        assert [await read(), await read()] == [1, 1]
        assert len(cluster.fails) == 1
        now += 5
        assert [await read(), await read()] == [1, 1]
        assert cluster.fails == []
        now += 5
        cluster.may.clear()
        looking = asyncio.create_task(table_of(client).batch_get([KEY]))
        await running(cluster, 1)
        assert await read() == 1
        cluster.may.set()
        assert await looking
        assert await read() == 0
    assert [one.message for one in caplog.records] == [
        "DAX is away, the table is read: ConnectionResetError",
        "DAX is back",
    ]


async def test_a_cluster_that_is_away_holds_up_no_write() -> None:
    breaker = Breaker("shop", lambda: 1_000.0, lambda low, _: low, least=1, lasting=0)
    guard = Guard(breaker, RetryBudget(lambda: 1_000.0))
    async with reading() as (client, cluster, _):
        cluster.fails = [ConnectionResetError()] * 9
        await replace(table_of(client), guard=guard).query(ALL, limit=10)
    assert breaker.state is State.CLOSED


# --- threads and time -----------------------------------------------------------------------


async def test_no_more_calls_run_than_there_are_threads_and_the_others_wait() -> None:
    async with reading(threads=2) as (client, cluster, _):
        cluster.may.clear()
        calls = [asyncio.create_task(table_of(client).batch_get([KEY])) for _ in range(6)]
        await running(cluster, 2)
        cluster.may.set()
        assert all(await asyncio.gather(*calls))
    assert cluster.most == 2


async def test_who_finds_no_thread_in_time_has_asked_nothing() -> None:
    async with reading(threads=1, patience=0.01) as (client, cluster, _):
        cluster.may.clear()
        first = asyncio.create_task(table_of(client).batch_get([KEY]))
        await running(cluster, 1)
        with pytest.raises(NotAsked):
            await table_of(client).batch_get([KEY])
        cluster.may.set()
        assert await first
        assert len(cluster.rows.calls) == 1


async def test_a_deadline_ends_the_wait_and_not_the_call_which_keeps_its_thread() -> None:
    async with reading(threads=1, patience=0.01) as (client, cluster, _):
        cluster.may.clear()
        with pytest.raises(DeadlineExceeded):
            await table_of(client, seconds=0.05).batch_get([KEY])
        assert cluster.running == 1
        with pytest.raises(NotAsked):
            await table_of(client).batch_get([KEY])
        cluster.may.set()
        async with asyncio.timeout(30):
            while client._places._free.locked():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert await table_of(client).batch_get([KEY])
        assert len(cluster.rows.calls) == 2


async def test_a_call_that_fails_when_nobody_waits_any_more_is_nobodys_concern(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with reading(threads=1, patience=30) as (client, cluster, _):
        cluster.may.clear()
        cluster.fails = [ConnectionResetError()]
        with pytest.raises(DeadlineExceeded):
            await table_of(client, seconds=0.05).batch_get([KEY])
        cluster.may.set()
        assert await table_of(client).batch_get([KEY])
    assert caplog.records == []


# --- opening --------------------------------------------------------------------------------


async def test_the_cluster_is_connected_to_with_times_of_its_own_and_one_attempt_a_call() -> None:
    made: list[StandIn] = []

    def connect(**parameters: Any) -> StandIn:
        made.append(StandIn(**parameters))
        return made[0]

    client = MemoryClient().as_client()
    async with open_dax(URL, "eu-west-1", client, connect) as opened:
        assert await table_of(opened).batch_get([KEY]) == {}
        [one] = made
        assert one.made_with == {"region_name": "eu-west-1", "endpoint_url": URL}
        assert (one.config.connect_timeout, one.config.read_timeout) == (1, 2)
        assert one.config.retries == {"max_attempts": 0}
        assert not one.cluster.closed
    assert one.cluster.closed


@pytest.mark.parametrize(
    "raised", [refusal("NoRouteException", "no node"), OSError("no node"), ValueError("no node")]
)
async def test_a_cluster_that_is_not_reached_is_a_setting_that_is_wrong(raised: Exception) -> None:
    def connect(**_: Any) -> StandIn:
        raise raised

    with pytest.raises(ConfigurationError, match=r"CARTOGRAPH_DAX_ENDPOINT: .*no node"):
        async with open_dax(URL, "eu-west-1", MemoryClient().as_client(), connect):
            pass


async def test_without_the_library_it_is_said_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("amazondax"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'cartograph\[dax\]'"):
        async with open_dax(URL, "eu-west-1", MemoryClient().as_client()):
            pass


# --- the library itself ---------------------------------------------------------------------


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("amazondax", reason="an extra, which needs setuptools to be built")


def test_the_stand_in_is_made_and_called_as_the_library_is(library: Any) -> None:
    def parameters(function: Any) -> list[tuple[str, Any, Any]]:
        return [
            (one.name, one.kind, one.default)
            for one in inspect.signature(function).parameters.values()
        ]

    for name in ("__init__", "batch_get_item", "query", "close"):
        ours, theirs = getattr(StandIn, name), getattr(library.AmazonDaxClient, name)
        assert parameters(ours) == parameters(theirs), name


def test_the_stand_ins_errors_are_shaped_as_the_librarys(library: Any) -> None:
    DaxError = import_module("amazondax.DaxError")  # noqa: N806 a module
    nothing = DaxError.DaxServiceError("Query", None, [9], None, None, None)
    assert nothing.response == refusal(None, None).response
    no_route = DaxError.DaxClientError("no", DaxError.DaxErrorCode.NoRoute)
    assert no_route.response == refusal("NoRouteException").response
    assert isinstance(no_route, ClientError)
    codes = {each for name, each in vars(DaxError.DaxErrorCode).items() if name[0] != "_"}
    assert codes >= dax._AWAY


async def test_the_library_itself_says_that_a_cluster_is_away(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = MemoryClient().as_client()
    with pytest.raises(ConfigurationError, match=r"CARTOGRAPH_DAX_ENDPOINT: .*127\.0\.0\.1"):
        async with open_dax("dax://127.0.0.1:1", "eu-west-1", client):
            pass
