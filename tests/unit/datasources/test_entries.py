"""Rows as entries of lists and items of batches, decoded with their answer or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from msgspec import Raw

from datasources.attributes import encode_row
from datasources.entries import Entry, by_key, places, reading, whole
from datasources.errors import StoreError
from datasources.fast.codec import decode
from datasources.fast.connections import Answer
from datasources.items import Item, Product, from_row
from datasources.keys import GSI3, PK, SK, Key, sort_attribute
from tests.support import items
from tests.unit.datasources.test_items import EVERY

API = ServiceModel(Loader().load_service_model("dynamodb", "service-2"))
SORT_KEYS = (SK, "GSI1SK", "GSI2SK")


def row(item: Item, number: int, **more: Any) -> dict[str, Any]:
    """A row of an item as DynamoDB has it, with a key of its own in the table and its indexes."""
    keys = {PK: f"p{number}", **{name: f"{name} {number}" for name in SORT_KEYS}}
    return {**encode_row({**keys, **item.to_attributes()}), **more}


def answered(operation: str, answer: Any, kind: type[Item], sort_key: str = SK) -> dict[str, Any]:
    """An answer of DynamoDB as it is read for rows of one kind."""
    model: OperationModel = API.operation_model(operation)
    http = Answer(200, {}, orjson.dumps(answer))
    return decode(http, model, reading(kind, sort_key).form)


def query(rows: Sequence[Any], kind: type[Item], sort_key: str = SK) -> Any:
    return answered("Query", {"Items": rows, "ScannedCount": 9}, kind, sort_key)["Items"]


@pytest.mark.parametrize("sort_key", SORT_KEYS)
@pytest.mark.parametrize("item", EVERY, ids=lambda item: type(item).__name__)
def test_rows_of_one_kind_are_entries_however_they_come(item: Item, sort_key: str) -> None:
    kind = type(item)
    how = reading(kind, sort_key)
    rows = [row(item, number, newer={"SS": ["a"]}) for number in range(3)]
    found = query(rows, kind, sort_key)
    assert all(isinstance(each, how.form) for each in found)
    expected = [Entry(f"{sort_key} {n}", f"p{n}", f"SK {n}", item) for n in range(3)]
    for given in (found, rows, [Raw(orjson.dumps(each)) for each in rows]):
        entries = whole(how.places(given))
        assert entries == expected
        assert {type(entry.item) for entry in entries} == {kind}
        assert entries[1].key == Key("p1", "SK 1")


def test_no_rows_are_no_entries() -> None:
    assert whole(reading(Product, SK).places(query([], Product))) == []


@pytest.mark.parametrize(
    ("torn", "wrong"),
    [
        ({"price": {"N": "-1"}}, "Product: price"),
        ({"entity": {"S": "User"}}, "Product: entity 'User'"),
        ({"entity": {"N": "1"}}, "Product: entity 1"),
        ({"createdAt": {"S": "yesterday"}}, "Product: createdAt"),
    ],
)
def test_one_row_that_is_none_of_the_kind_is_refused_and_named(torn: Any, wrong: str) -> None:
    rows = [row(items.product(1), 1), row(items.product(2), 2, **torn)]
    found = query(rows, Product)
    assert all(isinstance(each, Raw) for each in found)
    for given in (found, rows):
        first, second = reading(Product, SK).places(given)
        assert whole([first])[0].item == items.product(1)
        assert second.key == Key("p2", "SK 2")
        with pytest.raises(StoreError, match=wrong):
            whole([second])


def test_a_row_without_its_key_is_left_to_be_read_as_it_is() -> None:
    keyless = {key: value for key, value in row(items.product(1), 1).items() if key != PK}
    [found] = query([keyless], Product)
    assert isinstance(found, Raw)


def test_what_else_an_answer_says_is_the_same_in_any_form() -> None:
    start = {PK: {"S": "p"}, SK: {"S": "s"}}
    whole = {
        "Items": [row(items.product(1), 1)],
        "Count": 1,
        "ScannedCount": 7,
        "LastEvaluatedKey": start,
        "ConsumedCapacity": {"TableName": "shop", "CapacityUnits": 0.5},
    }
    typed = answered("Query", whole, Product)
    plain = decode(Answer(200, {}, orjson.dumps(whole)), API.operation_model("Query"))
    assert {**typed, "Items": None} == {**plain, "Items": None}
    assert typed["LastEvaluatedKey"] == start


def test_a_batch_of_one_kind_comes_as_items_and_any_other_as_rows() -> None:
    product, user = items.product(1), items.user(1)
    alike = [row(product, 1), row(product, 2)]
    mixed = [row(product, 1), row(user, 2)]

    def batch(rows: Sequence[Any]) -> dict[Key, Any]:
        whole = {"Responses": {"shop": rows}, "UnprocessedKeys": {}}
        answer = answered("BatchGetItem", whole, Product)
        return reading(Product, SK).by_key(answer["Responses"]["shop"])

    first, second = Key("p1", "SK 1"), Key("p2", "SK 2")
    assert batch(alike) == {first: product, second: product}
    found = batch(mixed)
    assert not any(isinstance(each, Item) for each in found.values())
    assert {key: from_row(each) for key, each in found.items()} == {first: product, second: user}
    assert {**by_key(mixed)}.keys() == found.keys()
    assert reading(Product, SK).by_key([]) == {}


def test_places_are_of_rows_that_have_their_keys_alone() -> None:
    position = sort_attribute(GSI3)
    whole, bare = {position: "PRICE#1", PK: "p", SK: "s"}, {position: "PRICE#2"}
    first, second = places([whole, bare], position)
    assert (first.position, first.key) == ("PRICE#1", Key("p", "s"))
    assert second.position == "PRICE#2"
