"""The table client against a real store, against none, and against one that never answers."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from datasources.client import Endpoint, open_client
from datasources.errors import DeadlineExceeded, ServiceUnavailable, StoreError
from datasources.keys import GSI2, Key, SortRange
from datasources.queries import Query
from datasources.table import ATTEMPTS, Table
from tests.support.shop import TestShop

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


def row(shop: TestShop, number: int, **more: Any) -> dict[str, Any]:
    return {"PK": f"{shop.tenant}#ROWS", "SK": f"{number:04d}", "number": number, **more}


def key(shop: TestShop, number: int) -> Key:
    return Key(f"{shop.tenant}#ROWS", f"{number:04d}")


def numbers(rows: Any) -> list[int]:
    return [row["number"] for row in rows]


async def test_rows_come_back_as_they_were_written(shop: TestShop) -> None:
    written = row(shop, 1, text="日本語 😀", flag=False, nothing=None, inside={"list": [1, "a"]})
    await shop.put_rows([written])
    for consistent in (False, True):
        found = await shop.table().batch_get([key(shop, 1)], consistent=consistent)
        assert found == {key(shop, 1): written}


async def test_more_than_a_hundred_keys_are_several_calls(shop: TestShop) -> None:
    await shop.put_rows(row(shop, n) for n in range(120))
    shop.calls.clear()
    table = shop.table()
    found = await table.batch_get(key(shop, n) for n in [*range(150), *range(150)])
    assert numbers(found.values()) == list(range(120))
    assert sorted(call.keys for call in shop.calls) == [50, 100]
    assert table.meter.requests == 2


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (SortRange(), range(10)),
        (SortRange(low="0003"), range(3, 10)),
        (SortRange(high="0003"), range(4)),
        (SortRange("0003", "0005"), range(3, 6)),
        (SortRange("0005", "0005"), range(5, 6)),
        (SortRange.beginning_with("000"), range(10)),
        (SortRange.beginning_with("0004"), range(4, 5)),
    ],
)
async def test_a_range_has_both_its_ends(
    shop: TestShop, bounds: SortRange, expected: range, descending: bool
) -> None:
    await shop.put_rows(row(shop, n) for n in range(10))
    query = Query(f"{shop.tenant}#ROWS", bounds, descending=descending)
    page = await shop.table().query(query, limit=100)
    assert numbers(page.rows) == (list(expected)[::-1] if descending else list(expected))
    assert page.read == len(expected)
    assert page.start is None


async def test_a_query_goes_on_from_where_a_page_stopped(shop: TestShop) -> None:
    pk = f"{shop.tenant}#INDEX"
    await shop.put_rows(
        row(shop, n, GSI2PK=pk, GSI2SK=f"{n:04d}", even="yes" if n % 2 == 0 else "no")
        for n in range(9)
    )
    table = shop.table()
    query = Query(pk, index=GSI2, descending=True, equals=("even", "yes"))
    seen: list[int] = []
    page = await table.query(query, limit=4)
    assert (numbers(page.rows), page.read) == ([8, 6], 4)
    while True:
        seen += numbers(page.rows)
        if page.start is None:
            break
        page = await table.query(query, limit=4, start=page.start)
    assert seen == [8, 6, 4, 2, 0]
    assert table.meter.read_units > 0


async def test_more_than_a_megabyte_comes_in_several_pages(shop: TestShop) -> None:
    for n in range(6):
        await shop.put_rows([row(shop, n, filling="x" * 300_000)])
    table, query = shop.table(), Query(f"{shop.tenant}#ROWS")
    page = await table.query(query, limit=100)
    assert 0 < len(page.rows) < 6
    assert page.start is not None
    rest = await table.query(query, limit=100, start=page.start)
    assert numbers([*page.rows, *rest.rows]) == list(range(6))


async def test_a_table_that_is_not_there_is_an_error_without_another_attempt(
    client: DynamoDBClient,
) -> None:
    table = Table(client, "no-such-table", asyncio.get_running_loop().time() + 10)
    with pytest.raises(StoreError, match="ResourceNotFoundException"):
        await table.query(Query("p"), limit=1)
    assert table.meter.requests == 1


async def test_a_store_that_is_not_there_is_unavailable_after_three_attempts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with open_client(Endpoint("ap-northeast-1", url, local=True)) as client:
            deadline = asyncio.get_running_loop().time() + 20
            table = Table(client, "shop", deadline, jitter=lambda *_: 0)
            with pytest.raises(ServiceUnavailable):
                await table.batch_get([Key("p", "s")])
    assert table.meter.requests == ATTEMPTS


async def test_a_store_that_never_answers_ends_with_the_deadline() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with open_client(Endpoint("ap-northeast-1", url, local=True)) as client:
            loop = asyncio.get_running_loop()
            started = loop.time()
            table = Table(client, "shop", started + 0.2)
            with pytest.raises(DeadlineExceeded):
                await table.query(Query("p"), limit=1)
            assert loop.time() - started < 5
