"""Items: rows are read into them once, and written from them as they were."""

from __future__ import annotations

from typing import Any, cast

import pytest

from datasources.attributes import decode_row, encode_row
from datasources.errors import StoreError
from datasources.items import (
    Address,
    Item,
    OrderStatus,
    Purchased,
    Reviewed,
    StatusChange,
    Unique,
    from_row,
)
from tests.support import items
from tests.support.items import NOW, moment, new_id

EVERY = [
    items.user(1, first_name="太郎", status="SUSPENDED"),
    items.category("books", description="To read", product_count=3),
    items.product(1, histogram=(1, 2, 3, 4, 5), image_url="https://example.com/a.png"),
    items.product(2, category=None),
    items.order(
        1,
        status=OrderStatus.PAID,
        shipping_address=Address(
            recipient="A", line1="B", city="C", postal_code="1", country_code="JP"
        ),
        history=(
            StatusChange(status=OrderStatus.PENDING, at=moment(2)),
            StatusChange(status=OrderStatus.PAID, at=moment(1), note="by card"),
        ),
    ),
    items.review(1, new_id(1, "product"), comment="good", verified_purchase=True),
    Reviewed(user_id="u", product_id="p", review_id="r"),
    Unique(user_id="u"),
    Purchased(user_id="u", product_id="p", at=NOW),
]


@pytest.mark.parametrize("item", EVERY, ids=lambda item: type(item).__name__)
def test_an_item_comes_back_from_its_row_as_it_was(item: Item) -> None:
    row = decode_row(cast(Any, encode_row(item.to_attributes())))
    assert from_row(row) == item
    assert type(from_row(row)) is type(item)


def test_attributes_are_named_in_camel_case_and_nothing_is_left_out_but_none() -> None:
    attributes = items.user(1, phone_number=None).to_attributes()
    assert attributes["entity"] == "User"
    assert attributes["createdAt"] == "2026-11-20T11:59:00.000Z"
    assert attributes["emailVerified"] is False
    assert "phoneNumber" not in attributes
    assert "firstName" not in attributes


def test_attributes_inside_an_item_are_named_alike() -> None:
    [line] = items.order(1).to_attributes()["items"]
    assert line == {
        "productId": new_id(1, "product"),
        "productName": "P",
        "quantity": 2,
        "unitPrice": 500,
    }


def test_keys_and_newer_attributes_of_a_row_are_passed_over() -> None:
    row = {**items.user(1).to_attributes(), "PK": "t#USER#user-1", "SK": "PROFILE", "newer": 1}
    assert from_row(row) == items.user(1)


def test_an_item_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        items.user(1).username = "other"  # type: ignore[misc]


@pytest.mark.parametrize("row", [{}, {"entity": "Part"}, {"entity": "Item"}, {"entity": "Gadget"}])
def test_a_row_of_no_kind_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(StoreError, match="holds no item"):
        from_row(row)


def test_a_row_that_is_not_as_its_kind_is_refused() -> None:
    with pytest.raises(StoreError, match="price"):
        from_row({**items.product(1).to_attributes(), "price": -1})
