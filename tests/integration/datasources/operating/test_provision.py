import asyncio
import os
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from datasources.client import Endpoint, open_client
from datasources.embedded import embedded_store
from datasources.errors import ConfigurationError
from datasources.operating.provision import check, provision

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TEMPLATE = Path(__file__).parents[4] / "infra" / "template.yaml"
REGION = "ap-northeast-1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartograph"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store_url() -> AsyncIterator[str]:
    async with embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _: None
    ) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="function")
async def client(store_url: str) -> "AsyncIterator[DynamoDBClient]":
    async with open_client(Endpoint(REGION, store_url, local=True)) as client:
        yield client


async def described(client: "DynamoDBClient", table: str) -> dict[str, Any]:
    names = (table, f"{table}-system")
    return {
        name: [
            (await client.describe_table(TableName=name))["Table"],
            (await client.describe_time_to_live(TableName=name))["TimeToLiveDescription"],
        ]
        for name in names
    }


async def test_both_tables_are_made_as_the_template_has_them(client: "DynamoDBClient") -> None:
    done = await provision(client, "made", TEMPLATE)

    assert [line for line in done if line.startswith("created")] == [
        "created table made",
        "created table made-system",
    ]
    main = (await client.describe_table(TableName="made"))["Table"]
    assert {
        index["IndexName"]: index["Projection"]["ProjectionType"]
        for index in main["GlobalSecondaryIndexes"]
    } == {"GSI1": "ALL", "GSI2": "ALL", "GSI3": "KEYS_ONLY"}
    assert main["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert (
        "StreamSpecification" not in (await client.describe_table(TableName="made-system"))["Table"]
    )
    for name in ("made", "made-system"):
        expiry = await client.describe_time_to_live(TableName=name)
        assert expiry["TimeToLiveDescription"] == {
            "TimeToLiveStatus": "ENABLED",
            "AttributeName": "ttl",
        }
        backups = (await client.describe_continuous_backups(TableName=name))[
            "ContinuousBackupsDescription"
        ]
        recovery = backups["PointInTimeRecoveryDescription"]
        assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    await check(client, "made", TEMPLATE)


async def test_the_second_time_nothing_changes(client: "DynamoDBClient") -> None:
    await provision(client, "twice", TEMPLATE)
    before = await described(client, "twice")

    assert await provision(client, "twice", TEMPLATE) == []
    assert await described(client, "twice") == before


async def test_two_who_create_at_once_both_succeed(client: "DynamoDBClient") -> None:
    await asyncio.gather(*(provision(client, "raced", TEMPLATE) for _ in range(2)))

    await check(client, "raced", TEMPLATE)


def key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def creation(table: str) -> dict[str, Any]:
    """A CreateTable request for the main table, as it should be."""
    prefixes = ("", "GSI1", "GSI2", "GSI3")
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": f"{prefix}{key}", "AttributeType": "S"}
            for prefix in prefixes
            for key in ("PK", "SK")
        ],
        "KeySchema": key_schema("PK", "SK"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": key_schema(f"{name}PK", f"{name}SK"),
                "Projection": {"ProjectionType": "KEYS_ONLY" if name == "GSI3" else "ALL"},
            }
            for name in prefixes[1:]
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }


def differing() -> dict[str, tuple[dict[str, Any], str]]:
    """Requests for tables that differ, each with what has to be said of it."""
    cases: dict[str, tuple[dict[str, Any], str]] = {}
    for name, says in {
        "swapped-keys": r"keys: is SK \(S\)/PK \(S\), should be PK \(S\)/SK \(S\)",
        "number-key": r"keys: is PK \(S\)/SK \(N\), should be PK \(S\)/SK \(S\)",
        "other-index-key": r"index GSI1: is PK .* ALL, should be GSI1PK .* ALL",
        "missing-index": r"index GSI2: is none, should be GSI2PK",
        "further-index": r"index GSI4: is GSI1PK .*, should be none",
        "wide-index": r"index GSI3: is .* ALL, should be .* KEYS_ONLY",
        "no-stream": r"stream: is none, should be NEW_AND_OLD_IMAGES",
        "thin-stream": r"stream: is KEYS_ONLY, should be NEW_AND_OLD_IMAGES",
    }.items():
        cases[name] = (creation(name), says)
    indexes = {name: request["GlobalSecondaryIndexes"] for name, (request, _) in cases.items()}
    attributes = {name: request["AttributeDefinitions"] for name, (request, _) in cases.items()}
    cases["swapped-keys"][0]["KeySchema"] = key_schema("SK", "PK")
    attributes["number-key"][1]["AttributeType"] = "N"
    indexes["other-index-key"][0]["KeySchema"] = key_schema("PK", "GSI1SK")
    attributes["other-index-key"].remove({"AttributeName": "GSI1PK", "AttributeType": "S"})
    del indexes["missing-index"][1]
    del attributes["missing-index"][4:6]
    indexes["further-index"].append({**indexes["further-index"][0], "IndexName": "GSI4"})
    indexes["wide-index"][2]["Projection"] = {"ProjectionType": "ALL"}
    del cases["no-stream"][0]["StreamSpecification"]
    cases["thin-stream"][0]["StreamSpecification"]["StreamViewType"] = "KEYS_ONLY"
    return cases


@pytest.mark.parametrize("table", differing())
async def test_a_table_that_differs_is_reported_and_left_as_it_is(
    client: "DynamoDBClient", table: str
) -> None:
    request, says = differing()[table]
    await client.create_table(**request)
    before = deepcopy((await client.describe_table(TableName=table))["Table"])

    for attempt in (provision, check):
        with pytest.raises(ConfigurationError, match=rf"table {table} .*{says}"):
            await attempt(client, table, TEMPLATE)

    assert (await client.describe_table(TableName=table))["Table"] == before
    assert f"{table}-system" not in (await client.list_tables())["TableNames"]


async def test_a_table_that_is_right_but_for_expiry_gets_it(client: "DynamoDBClient") -> None:
    await client.create_table(**creation("plain"))

    assert "switched on expiry by ttl in plain" in await provision(client, "plain", TEMPLATE)


async def test_expiry_by_another_attribute_is_reported(client: "DynamoDBClient") -> None:
    await client.create_table(**creation("expiring"))
    await client.update_time_to_live(
        TableName="expiring",
        TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True},
    )

    with pytest.raises(ConfigurationError, match="is expires, should be ttl"):
        await provision(client, "expiring", TEMPLATE)


async def test_a_missing_table_is_told_how_to_create(client: "DynamoDBClient") -> None:
    with pytest.raises(ConfigurationError, match="`cartograph table` creates it"):
        await check(client, "nowhere", TEMPLATE)


@pytest.mark.parametrize("attempt", [provision, check])
async def test_a_store_out_of_reach_is_named_with_its_setting(
    attempt: Any, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with open_client(Endpoint(REGION, url, local=True)) as client:
        with pytest.raises(ConfigurationError, match=f"CARTOGRAPH_STORE.*{url}") as refused:
            await attempt(client, "cartograph", TEMPLATE)

    assert "\n" not in refused.value.message


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_a_server_that_is_no_dynamodb_is_named_with_its_setting(status: str) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n"
            "Content-Length: 15\r\n\r\n<html>\n</html>\n".encode()
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
        url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with open_client(Endpoint(REGION, url, local=True)) as client:
            with pytest.raises(ConfigurationError, match=f"CARTOGRAPH_STORE.*{url}") as refused:
                await check(client, "cartograph", TEMPLATE)

    assert "\n" not in refused.value.message
