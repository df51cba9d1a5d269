"""The stub of the comparison answers as DynamoDB does what the measured servers ask."""

from __future__ import annotations

import zlib
from typing import Any

import orjson
import pytest

from bench.shelf import CUSTOMER, PAGE, TABLE, Shelf, stock
from bench.stub import Refused, Store

USER = f"default#USER#{CUSTOMER}"


@pytest.fixture(scope="module")
def store(shelf: Shelf) -> Store:
    return Store(shelf)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return stock()


def ask(store: Store, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(raw(store, operation, body).partition(b"\r\n\r\n")[2])
    return answer


def raw(store: Store, operation: str, body: dict[str, Any]) -> bytes:
    return store.answer(operation, orjson.dumps(body))


def query(condition: str, limit: int, **values: str) -> dict[str, Any]:
    return {
        "TableName": TABLE,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": {"#pk": "PK", "#sk": "SK"},
        "ExpressionAttributeValues": {f":{name}": {"S": text} for name, text in values.items()},
        "ScanIndexForward": False,
        "Limit": limit,
    }


def test_a_query_gives_the_newest_first_and_where_to_go_on(store: Store) -> None:
    asked = query("#pk = :pk AND begins_with(#sk, :sk)", 3, pk=USER, sk="ORDER#")
    answer = ask(store, "Query", asked)
    keys = [row["SK"]["S"] for row in answer["Items"]]
    assert len(keys) == 3
    assert keys == sorted(keys, reverse=True)
    assert answer["LastEvaluatedKey"]["SK"]["S"] == keys[-1]


def test_a_query_that_gives_all_does_not_go_on(store: Store) -> None:
    between = "#pk = :pk AND #sk BETWEEN :low AND :high"
    answer = ask(store, "Query", query(between, 100, pk=USER, low="ORDER#", high="ORDER#~"))
    assert len(answer["Items"]) == 10
    assert "LastEvaluatedKey" not in answer


def test_a_condition_that_is_not_foreseen_is_refused(store: Store) -> None:
    with pytest.raises(Refused):
        ask(store, "Query", query("#pk = :pk AND #sk > :sk", 3, pk=USER, sk="ORDER#"))


def test_an_operation_that_is_not_foreseen_is_refused(store: Store) -> None:
    with pytest.raises(Refused):
        ask(store, "Scan", {"TableName": TABLE})


def test_a_batch_leaves_out_what_is_not_there(store: Store) -> None:
    keys = [{"PK": {"S": pk}, "SK": {"S": "PROFILE"}} for pk in (USER, "default#USER#nobody")]
    asked = {"RequestItems": {TABLE: {"Keys": keys}}, "ReturnConsumedCapacity": "TOTAL"}
    answer = ask(store, "BatchGetItem", asked)
    assert [row["id"]["S"] for row in answer["Responses"][TABLE]] == [CUSTOMER]
    assert answer["ConsumedCapacity"] == [{"TableName": TABLE, "CapacityUnits": 0.5}]


def test_an_answer_carries_its_checksum(store: Store) -> None:
    head, _, body = raw(store, "DescribeTable", {"TableName": TABLE}).partition(b"\r\n\r\n")
    assert b"x-amz-crc32: %d\r\n" % zlib.crc32(body) in head


def test_what_is_sold_comes_once_in_the_stream(shelf: Shelf) -> None:
    store = Store(shelf)
    store.sell()
    first = ask(store, "GetRecords", {"ShardIterator": "0"})
    [record] = first["Records"]
    old, new = (record["dynamodb"][f"{which}Image"]["inventory"]["N"] for which in ("Old", "New"))
    assert int(new) == int(old) - 1
    again = ask(store, "GetRecords", {"ShardIterator": first["NextShardIterator"]})
    assert again["Records"] == []


def test_the_nested_query_comes_to_590_fields(shelf: Shelf) -> None:
    reviews = sum(min(3, sum(product.histogram)) for product in shelf.bought)
    lines, orders = len(shelf.bought), 10
    assert (3 + 2 * orders) + 6 * lines + 3 * reviews == 590


def test_the_listed_category_has_more_than_a_page(shelf: Shelf) -> None:
    assert shelf.category.product_count > PAGE


def test_two_processes_make_the_same_shop(shelf: Shelf) -> None:
    assert orjson.dumps(stock().rows) == orjson.dumps(shelf.rows)
