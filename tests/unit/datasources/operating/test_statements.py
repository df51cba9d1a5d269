"""Statements run page by page."""

from __future__ import annotations

from typing import Any

import pytest

from datasources.errors import CartographError, ConfigurationError
from datasources.operating.partiql import parse
from datasources.operating.statements import Answer, check_lookup, keys_of, run
from tests.support.clients import ResourceNotFoundException, client, failed

TABLE = {
    "Table": {
        "KeySchema": [
            {"AttributeName": "s", "KeyType": "RANGE"},
            {"AttributeName": "k", "KeyType": "HASH"},
        ],
        "GlobalSecondaryIndexes": [
            {"IndexName": "by", "KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}]}
        ],
    }
}
KEYED = "SELECT * FROM shop WHERE k = ? AND begins_with(s, 'a')"
FILTERED = "SELECT * FROM shop WHERE k = ? AND a = 1"


def page(*numbers: int, token: str | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Items": [{"n": {"N": str(number)}} for number in numbers],
        "ConsumedCapacity": {"TableName": "shop", "CapacityUnits": 1.5},
    }
    return answer | ({"NextToken": token} if token else {})


async def answered(store: Any, text: str, most: int = 100) -> Answer:
    parameters = [{"S": "x"}]
    return await run(
        store, parse(text), ("k", "s"), parameters, most=most, report=lambda _line: None
    )


async def test_pages_are_read_until_there_are_no_more() -> None:
    store = client(execute_statement=[page(1, 2, token="t1"), page(token="t2"), page(3)])

    answer = await answered(store, FILTERED)

    assert [row["n"]["N"] for row in answer.rows] == ["1", "2", "3"]
    assert (answer.units, answer.requests, answer.is_all) == (4.5, 3, True)
    asked = store.asked("execute_statement")
    assert [each.get("NextToken") for each in asked] == [None, "t1", "t2"]
    assert asked[0]["Parameters"] == [{"S": "x"}]
    assert asked[0]["ReturnConsumedCapacity"] == "TOTAL"


async def test_no_more_is_asked_for_than_is_to_be_shown() -> None:
    store = client(execute_statement=[page(1, 2, token="t"), page(3, token="u")])

    answer = await answered(store, KEYED, most=3)

    assert [each["Limit"] for each in store.asked("execute_statement")] == [3, 1]
    assert (len(answer.rows), answer.is_all) == (3, False)


async def test_behind_a_filter_pages_are_as_large_as_they_come() -> None:
    store = client(execute_statement=[page(token="t"), page(1, 2, 3)])

    answer = await answered(store, FILTERED, most=2)

    assert all("Limit" not in each for each in store.asked("execute_statement"))
    assert (len(answer.rows), answer.is_all) == (2, False)


async def test_what_takes_long_tells_what_it_has_cost() -> None:
    told: list[str] = []
    store = client(execute_statement=[*[page(token="t")] * 40, page()])

    await run(store, parse(FILTERED), ("k",), [{"S": "x"}], most=1, report=told.append)

    assert told == ["20 requests, 30 units so far", "40 requests, 60 units so far"]


async def test_the_keys_are_those_of_the_table_or_of_the_index() -> None:
    store = client(describe_table=TABLE)

    assert await keys_of(store, parse("SELECT * FROM shop")) == ("k", "s")
    assert await keys_of(store, parse('SELECT * FROM "shop"."by"')) == ("b",)
    with pytest.raises(ConfigurationError, match="no index other"):
        await keys_of(store, parse('SELECT * FROM "shop"."other"'))


async def test_a_table_that_is_not_there_is_said_so() -> None:
    store = client(describe_table=ResourceNotFoundException({}, "DescribeTable"))

    with pytest.raises(ConfigurationError, match="no table shop"):
        await keys_of(store, parse("SELECT * FROM shop"))


def test_a_scan_is_refused_with_what_would_be_none() -> None:
    check_lookup(parse("SELECT * FROM shop WHERE k = 1"), ("k", "s"))

    for text in ("SELECT * FROM shop", "SELECT * FROM shop WHERE s = 1"):
        with pytest.raises(ConfigurationError, match=r"all of table shop: .* k = a value"):
            check_lookup(parse(text), ("k", "s"))
    with pytest.raises(ConfigurationError, match="all of index by"):
        check_lookup(parse('SELECT * FROM "shop"."by" WHERE k = 1'), ("b",))


async def test_what_the_store_refuses_is_told_in_one_line() -> None:
    store = client(execute_statement=failed("AccessDeniedException", "not\nauthorized"))

    with pytest.raises(CartographError, match="AccessDeniedException: not authorized; ask who"):
        await answered(store, KEYED)
