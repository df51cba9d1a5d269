"""Which calls are answered without botocore, what they send, and which stay with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError

from datasources.client import Endpoint, open_client
from datasources.fast.client import FastClient
from datasources.fast.connections import Address, Answer, address
from datasources.fast.transport import Transport

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

STORE = "http://store.test:8000"
KEY: Any = {"PK": {"S": "日本語"}, "SK": {"S": "b"}}
READ: dict[str, Any] = {"TableName": "shop", "Key": KEY}

FOUND = Answer(200, {"x-amzn-requestid": "r-1"}, b'{"Item":{"n":{"N":"1"}}}')


@dataclass
class Wire:
    """Stands for the transport: keeps what is sent, and gives the same answer to all."""

    answer: Answer = FOUND
    sent: list[tuple[Address, dict[str, str], Any]] = field(default_factory=list)

    async def post(self, where: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent.append((where, dict(headers), json.loads(body)))
        return self.answer

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.sent]


class Renewed:
    """Credentials that are new each time they are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.asked += 1
        return ReadOnlyCredentials(f"AKIA{self.asked}", "secret", f"token-{self.asked}")


@asynccontextmanager
async def fast(wire: Wire, url: str | None = STORE) -> AsyncIterator[DynamoDBClient]:
    async with open_client(Endpoint("eu-west-1", url, local=True, fast=False)) as plain:
        client = FastClient(plain, cast("Transport", wire), Renewed())
        yield cast("DynamoDBClient", client)


async def test_botocore_prepares_the_first_call_of_an_operation_alone() -> None:
    wire, prepared = Wire(), []
    async with fast(wire) as client:
        client.meta.events.register(
            "before-parameter-build.dynamodb", lambda model, **_: prepared.append(model.name)
        )
        for _ in range(3):
            answer = await client.get_item(**READ)
            await client.query(TableName="shop")
    assert prepared == ["GetItem", "Query"]
    assert wire.bodies == [READ, {"TableName": "shop"}] * 3
    assert answer["Item"] == {"n": {"N": "1"}}
    assert answer["ResponseMetadata"]["RequestId"] == "r-1"


async def test_every_call_is_sent_alike_and_signed_with_the_credentials_of_its_time() -> None:
    wire = Wire()
    async with fast(wire) as client:
        for _ in range(2):
            await client.get_item(**READ)
    (first_url, first, _), (second_url, second, _) = wire.sent
    assert first_url == second_url == address(f"{STORE}/")
    for number, headers in enumerate((first, second), start=1):
        assert headers.pop("X-Amz-Security-Token") == f"token-{number}"
        authorization = headers.pop("Authorization")
        assert f"Credential=AKIA{number}/" in authorization
        assert "/eu-west-1/dynamodb/aws4_request" in authorization
        assert "host;x-amz-date;x-amz-security-token;x-amz-target" in authorization
        assert headers.pop("X-Amz-Date")
    assert first == second
    assert first["X-Amz-Target"] == "DynamoDB_20120810.GetItem"
    assert first["Content-Type"] == "application/x-amz-json-1.0"


async def test_without_an_address_the_endpoint_is_the_one_aioboto3_finds() -> None:
    wire = Wire()
    async with fast(wire, url=None) as client:
        for _ in range(2):
            await client.get_item(**READ)
    assert {url for url, *_ in wire.sent} == {address("https://dynamodb.eu-west-1.amazonaws.com/")}


async def test_whoever_listens_to_the_event_sees_each_request_and_may_answer_it() -> None:
    wire, seen = Wire(), []

    def listen(model: Any, params: Any, **_: Any) -> Any:
        seen.append((model.name, json.loads(params["body"])))
        if len(seen) == 3:
            return FOUND, {"Item": {"n": {"N": "2"}}}
        return None

    async with fast(wire) as client:
        client.meta.events.register("before-call.dynamodb", listen)
        for _ in range(3):
            answer = await client.get_item(**READ)
    assert seen == [("GetItem", READ)] * 3
    assert len(wire.sent) == 2
    assert answer["Item"] == {"n": {"N": "2"}}


async def test_a_header_that_a_listener_adds_to_one_call_is_not_on_the_next() -> None:
    wire, numbers = Wire(), iter("123")

    def add(params: Any, **_: Any) -> None:
        params["headers"]["X-Trace"] = next(numbers)

    async with fast(wire) as client:
        client.meta.events.register("before-call.dynamodb", add)
        for _ in range(3):
            await client.get_item(**READ)
    assert [headers["X-Trace"] for _, headers, _ in wire.sent] == ["1", "2", "3"]


async def test_what_json_has_no_form_for_is_written_by_botocore() -> None:
    wire = Wire()
    async with fast(wire) as client:
        for _ in range(2):
            await client.get_item(TableName="shop", Key={"PK": {"B": b"\x00\xff"}})
    assert wire.bodies == [{"TableName": "shop", "Key": {"PK": {"B": "AP8="}}}] * 2


async def test_a_transaction_without_a_token_gets_one_of_its_own_from_botocore() -> None:
    wire = Wire()
    async with fast(wire) as client:
        for _ in range(3):
            await client.transact_write_items(TransactItems=[])
        await client.transact_write_items(TransactItems=[], ClientRequestToken="ours")
    tokens = [body["ClientRequestToken"] for body in wire.bodies]
    assert len(set(tokens)) == 4
    assert tokens[-1] == "ours"


@pytest.mark.parametrize("attempt", ["first", "second"])
async def test_an_error_answer_is_raised_as_the_class_that_the_client_names(attempt: str) -> None:
    body = b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}'
    wire = Wire()
    async with fast(wire) as client:
        if attempt == "second":
            await client.get_item(**READ)
        wire.answer = Answer(400, {}, body)
        with pytest.raises(client.exceptions.ResourceNotFoundException) as raised:
            await client.get_item(**READ)
    assert isinstance(raised.value, ClientError)
    assert raised.value.operation_name == "GetItem"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


async def test_an_answer_that_is_no_json_is_no_answer() -> None:
    async with fast(Wire(Answer(200, {}, b"<html>"))) as client:
        for _ in range(2):
            with pytest.raises(HTTPClientError):
                await client.get_item(**READ)


class LeftToBotocoreError(Exception):
    pass


def refuse(**_: Any) -> None:
    raise LeftToBotocoreError


async def test_rare_operations_are_left_to_botocore() -> None:
    wire = Wire()
    async with fast(wire) as client:
        client.meta.events.register("before-send.dynamodb", refuse)
        for _ in range(2):
            with pytest.raises(LeftToBotocoreError):
                await client.describe_table(TableName="shop")
    assert wire.sent == []


async def test_an_endpoint_below_a_path_is_left_to_botocore() -> None:
    wire = Wire()
    async with fast(wire, url=f"{STORE}/below") as client:
        client.meta.events.register("before-send.dynamodb", refuse)
        for _ in range(2):
            with pytest.raises(LeftToBotocoreError):
                await client.get_item(**READ)
    assert wire.sent == []


async def is_fast(endpoint: Endpoint) -> bool:
    async with open_client(endpoint) as client:
        return isinstance(client, FastClient)


async def test_a_client_is_fast_unless_it_is_not_to_be() -> None:
    assert await is_fast(Endpoint("eu-west-1", STORE, local=True))
    assert not await is_fast(Endpoint("eu-west-1", STORE, local=True, fast=False))


@pytest.mark.parametrize(
    ("variable", "url", "expected"),
    [
        ("HTTP_PROXY", STORE, False),
        ("HTTPS_PROXY", STORE, True),
        ("HTTPS_PROXY", None, False),
    ],
)
async def test_what_goes_through_a_proxy_is_left_to_botocore(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str | None, expected: bool
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, "http://proxy.test:3128")
    assert await is_fast(Endpoint("eu-west-1", url, local=True)) == expected


async def test_without_credentials_it_is_botocore_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with open_client(Endpoint("eu-west-1", STORE)) as client:
        with pytest.raises(NoCredentialsError):
            await client.get_item(**READ)
