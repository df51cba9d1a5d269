"""Calls by the SDK and fast calls, side by side: one store, one canned server, equal answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from botocore.exceptions import ClientError
from msgspec import Raw

from datasources.client import Endpoint, as_store_error, open_client, open_streams_client
from datasources.errors import (
    Conflict,
    ServiceUnavailable,
    StoreError,
    Throttled,
    TransactionCancelled,
)
from datasources.fast.client import FastClient
from datasources.keys import Key, Keys
from datasources.table import Table
from datasources.writes import ABSENT, Check, Delete, Put, Update, same_version
from tests.integration.conftest import TABLE
from tests.support import engines


@dataclass(frozen=True)
class Pair:
    """The two clients of one endpoint."""

    fast: Any
    plain: Any

    async def both(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        """What both answer, or have in the error they raise; they must agree."""
        found = [await outcome(ask, client) for client in (self.plain, self.fast)]
        assert found[0] == found[1]
        return found[1]


async def outcome(ask: Callable[[Any], Awaitable[Any]], client: Any) -> Any:
    try:
        answer = await ask(client)
    except ClientError as error:
        answer = {**error.response, "raised": [type(error).__name__, error.operation_name]}
        answer["told"] = repr(as_store_error(error)), vars(as_store_error(error))
    metadata = answer.pop("ResponseMetadata")
    return {**_parsed(answer), "status": metadata["HTTPStatusCode"]}


def _parsed(answer: Any) -> Any:
    """With the rows that came as JSON."""
    match answer:
        case Raw():
            return orjson.loads(memoryview(answer))
        case dict():
            return {name: _parsed(each) for name, each in answer.items()}
        case list():
            return [_parsed(each) for each in answer]
    return answer


@asynccontextmanager
async def open_pair(endpoint: Endpoint, session: Any = None) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        fast, plain = [
            await stack.enter_async_context(open_client(replace(endpoint, fast=fast), session))
            for fast in (True, False)
        ]
        assert isinstance(fast, FastClient)
        assert not isinstance(plain, FastClient)
        yield Pair(fast, plain)


@pytest.fixture
async def pair(endpoint: Endpoint, session: Any) -> AsyncIterator[Pair]:
    async with open_pair(endpoint, session) as made:
        yield made


@pytest.fixture
def keys() -> Keys:
    return Keys(f"t-{uuid4().hex[:12]}", 4)


def table(client: Any) -> Table:
    return Table(client, TABLE, asyncio.get_running_loop().time() + 20)


async def test_what_one_writes_the_other_reads_and_every_list_is_equal(
    pair: Pair, keys: Keys
) -> None:
    rows = engines.rows(keys)
    for number, start in enumerate(range(0, len(rows), 10)):
        writer = (pair.fast, pair.plain)[number % 2]
        await table(writer).batch_write(rows[start : start + 10])
    by_plain = await engines.everything(table(pair.plain), keys)
    assert await engines.everything(table(pair.fast), keys) == by_plain
    assert any(by_plain)


def attributes(keys: Keys, sort: str = "A", **more: Any) -> dict[str, Any]:
    return {"PK": {"S": f"{keys.tenant}#ROWS"}, "SK": {"S": sort}, **more}


ODD: dict[str, Any] = {
    "text": {"S": 'a "quoted" \\ line\n日本語 😀 \u2028'},
    "empty": {"S": ""},
    "large": {"N": "99999999999999999999999999999999999999"},
    "exact": {"N": "0.1"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "map": {"M": {"S": {"S": "S"}, "N": {"L": [{"N": "-1"}, {"M": {}}]}}},
    "strings": {"SS": ["a"]},
}


async def test_every_hot_operation_answers_alike(pair: Pair, keys: Keys) -> None:
    key, row = attributes(keys), attributes(keys, **ODD)
    name = {"TableName": TABLE, "ReturnConsumedCapacity": "TOTAL"}
    await pair.both(lambda client: client.put_item(**name, Item=row))
    for _ in range(2):
        found = await pair.both(lambda client: client.get_item(**name, Key=key))
        assert found["Item"] == row
    await pair.both(
        lambda client: client.query(
            **name,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": key["PK"]},
        )
    )
    await pair.both(lambda client: client.batch_get_item(RequestItems={TABLE: {"Keys": [key]}}))
    await pair.both(
        lambda client: client.batch_write_item(
            RequestItems={TABLE: [{"PutRequest": {"Item": row}}]}
        )
    )
    changed = await pair.both(
        lambda client: client.update_item(
            **name,
            Key=key,
            UpdateExpression="SET yes = :no",
            ExpressionAttributeValues={":no": {"BOOL": False}},
            ReturnValues="ALL_NEW",
        )
    )
    assert changed["Attributes"] == {**row, "yes": {"BOOL": False}}
    await pair.both(
        lambda client: client.transact_write_items(
            TransactItems=[{"Delete": {"TableName": TABLE, "Key": key}}],
            ClientRequestToken=uuid4().hex,
        )
    )
    gone = await pair.both(lambda client: client.get_item(**name, Key=key))
    assert "Item" not in gone


async def test_refusals_of_a_store_are_told_alike(pair: Pair, keys: Keys) -> None:
    row = attributes(keys, number={"N": "1"})
    await pair.plain.put_item(TableName=TABLE, Item=row)
    absent = {
        "ConditionExpression": "attribute_not_exists(PK)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    for _ in range(2):
        refused = await pair.both(
            lambda client: client.put_item(TableName=TABLE, Item=row, **absent)
        )
        assert refused["raised"] == ["ConditionalCheckFailedException", "PutItem"]
        assert refused["Item"] == row
        cancelled = await pair.both(
            lambda client: client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": TABLE, "Item": attributes(keys, "B")}},
                    {"Put": {"TableName": TABLE, "Item": row, **absent}},
                ],
                ClientRequestToken=uuid4().hex,
            )
        )
        assert cancelled["CancellationReasons"][1]["Item"] == row
        await pair.both(lambda client: client.query(TableName="no-such-table"))
        await pair.both(lambda client: client.get_item(TableName=TABLE, Key={}))


async def test_the_records_of_a_stream_are_told_alike(
    endpoint: Endpoint, pair: Pair, keys: Keys
) -> None:
    described = await pair.plain.describe_table(TableName=TABLE)
    name = {"StreamArn": described["Table"]["LatestStreamArn"]}
    async with AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(open_streams_client(replace(endpoint, fast=fast)))
            for fast in (True, False)
        ]
        stream = (await both[0].describe_stream(**name))["StreamDescription"]
        start = {**name, "ShardId": stream["Shards"][0]["ShardId"], "ShardIteratorType": "LATEST"}
        iterator = (await both[0].get_shard_iterator(**start))["ShardIterator"]
        await pair.plain.put_item(TableName=TABLE, Item=attributes(keys, **ODD))
        told = []
        for client in both:
            # The second call is the first that is prepared already.
            for _ in range(2):
                answer = await client.get_records(ShardIterator=iterator)
            told.append([one for one in answer["Records"] if keys.tenant in repr(one)])
    assert told[0] == told[1]
    assert [one["eventName"] for one in told[0]] == ["INSERT"]


@pytest.mark.parametrize("fast", [True, False])
async def test_the_table_writes_alike_by_both(pair: Pair, keys: Keys, fast: bool) -> None:
    here = table(pair.fast if fast else pair.plain)
    first, second = Key(f"{keys.tenant}#ROWS", "1"), Key(f"{keys.tenant}#ROWS", "2")
    row = {"PK": first.pk, "SK": first.sk, "version": 1}
    await here.put(Put(row, ABSENT))
    raised = Update(first, "SET #v = :two", {"#v": "version"}, {":two": 2}, same_version(1))
    await here.transact(
        [raised, Put({"PK": second.pk, "SK": second.sk}, ABSENT)], token=uuid4().hex
    )
    with pytest.raises(TransactionCancelled) as refused:
        await here.transact([raised, Check(second, ABSENT), Delete(Key("a", "b"))], token="t" * 32)
    assert [found and found.get("version", 0) for found in refused.value.rows] == [2, 0, None]
    found = await here.batch_get([first, second])
    assert found[first]["version"] == 2
    assert here.meter.requests == 4
    assert here.meter.write_units > 0


PREFIX = "com.amazonaws.dynamodb.v20120810#"
TRANSACTION = "TransactionCanceledException"


def cancelled(*codes: str) -> bytes:
    reasons = [{"Code": code, "Message": None, "Item": {"a": {"N": "1"}}} for code in codes]
    body = {"__type": PREFIX + TRANSACTION, "Message": "No.", "CancellationReasons": reasons}
    return json.dumps(body).encode()


def refusal(code: str, name: str = "message") -> bytes:
    return json.dumps({"__type": code, name: f"It is {code}."}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, refusal(PREFIX + "ProvisionedThroughputExceededException"), Throttled),
        (400, refusal("com.amazon.coral.service#ThrottlingException", "Message"), Throttled),
        (400, refusal("RequestLimitExceeded:http://internal.amazon.com/"), Throttled),
        (400, refusal("ValidationException"), StoreError),
        (400, cancelled("None", "ConditionalCheckFailed"), TransactionCancelled),
        (400, cancelled("TransactionConflict", "None"), Conflict),
        (400, b'{"message":"no code"}', StoreError),
        (400, b"{}", StoreError),
        (413, b"too large", StoreError),
        (500, refusal(PREFIX + "InternalServerError"), ServiceUnavailable),
        (502, b"<html><body>Bad Gateway</body></html>", ServiceUnavailable),
        (503, b"", ServiceUnavailable),
    ],
)
async def test_error_answers_of_all_kinds_are_told_alike(
    status: int, body: bytes, expected: type[StoreError]
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        length = f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        writer.write(f"HTTP/1.1 {status} No\r\n{length}x-amzn-RequestId: r\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint("eu-west-1", f"http://127.0.0.1:{port}", local=True)
        async with open_pair(endpoint) as pair:
            for _ in range(2):
                found = await pair.both(
                    lambda client: client.transact_write_items(
                        TransactItems=[], ClientRequestToken="t"
                    )
                )
                assert found["status"] == status
                assert found["told"][0].startswith(f"{expected.__name__}(")
