"""Rows by their JSON: as items and as mappings they are what their attributes say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from datasources.attributes import encode_row
from datasources.errors import StoreError
from datasources.items import Item, ProductStatus, from_row
from datasources.rows import StoredRow, stored
from tests.support import items
from tests.unit.datasources.test_items import EVERY


def raw(row: Any) -> StoredRow:
    return StoredRow(Raw(orjson.dumps(row)))


def row(item: Item, **more: Any) -> dict[str, Any]:
    """The row of an item as DynamoDB has it, with attributes in the place of its own."""
    return {**encode_row(item.to_attributes()), **more}


@pytest.mark.parametrize("item", EVERY, ids=lambda item: type(item).__name__)
def test_an_item_is_read_from_the_json_of_its_row(item: Item) -> None:
    found = from_row(raw(row(item, PK={"S": "p"}, newer={"SS": ["a"]})))
    assert found == item
    assert type(found) is type(item)


@pytest.mark.parametrize("item", EVERY, ids=lambda item: type(item).__name__)
def test_what_is_left_out_is_what_it_is_by_default(item: Item) -> None:
    attributes = row(item)
    for name in list(attributes):
        less = {key: value for key, value in attributes.items() if key != name}
        if name == "entity":
            continue
        assert _outcome(raw(less)) == _outcome(stored(less))


@given(
    name=st.sampled_from(sorted(row(items.order(1, shipping_address=None)))),
    value=st.sampled_from(
        [
            {"NULL": True},
            {"S": "x"},
            {"S": "2026-11-20T11:59:00Z"},
            {"N": "1"},
            {"N": "-1"},
            {"BOOL": True},
            {"L": []},
            {"L": [{"S": "x"}]},
            {"L": [{"N": "1"}] * 5},
            {"M": {}},
            {"M": {"S": {"S": "x"}}},
        ]
    ),
)
def test_a_row_is_refused_by_its_json_as_it_is_by_its_values(name: str, value: Any) -> None:
    for item in (items.order(1), items.product(1), items.user(1)):
        torn = row(item, **{name: value})
        if name != "entity":
            assert _outcome(raw(torn)) == _outcome(stored(torn))


def _outcome(found: Any) -> Item | str:
    try:
        return from_row(found)
    except StoreError as error:
        return error.message


def test_a_refusal_tells_none_of_the_row() -> None:
    with pytest.raises(StoreError) as refused:
        from_row(raw(row(items.product(1), status={"S": "`$.secret` field `secret`"})))
    assert refused.value.message == "A row holds no Product: status."


def test_a_number_that_is_no_integer_is_refused() -> None:
    with pytest.raises(StoreError, match="price"):
        from_row(raw(row(items.product(1), price={"N": "1.5"})))


@pytest.mark.parametrize("entity", [{}, {"entity": {"S": "Part"}}, {"entity": {"S": "Gadget"}}])
def test_a_row_of_no_kind_is_refused(entity: Any) -> None:
    with pytest.raises(StoreError, match="holds no item"):
        from_row(raw({"PK": {"S": "p"}, **entity}))


def test_a_row_is_a_mapping_of_its_attributes() -> None:
    found = raw(
        {
            "PK": {"S": "p"},
            "SK": {"S": "s"},
            "GSI2SK": {"S": "made"},
            "entity": {"S": "Lease"},
            "counter": {"N": "3"},
            "parts": {"L": [{"M": {"a": {"NULL": True}}}]},
        }
    )
    assert (found["PK"], found["SK"], found["GSI2SK"], found["counter"]) == ("p", "s", "made", 3)
    assert found == {
        "PK": "p",
        "SK": "s",
        "GSI2SK": "made",
        "entity": "Lease",
        "counter": 3,
        "parts": [{"a": None}],
    }
    assert "GSI1SK" not in found
    assert found.get("ttl") is None
    with pytest.raises(KeyError):
        found["GSI1SK"]


def test_rows_are_read_whether_their_answer_was_parsed_or_not() -> None:
    product = items.product(1, status=ProductStatus.ARCHIVED)
    parsed = row(product)
    assert from_row(stored(parsed)) == from_row(stored(Raw(orjson.dumps(parsed)))) == product
    assert dict(stored(parsed)) == dict(stored(Raw(orjson.dumps(parsed))))
