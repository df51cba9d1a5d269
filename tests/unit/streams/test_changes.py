from datetime import UTC, datetime, timedelta, timezone

import pytest
from graphql import GraphQLObjectType

from datasources import products, reviews, users
from datasources.errors import StoreError
from datasources.items import Item, OrderStatus, Purchased
from datasources.keys import LOADED, PK, SK
from schema.build import build_schema
from streams.changes import Change, ChangeKind, read_change
from tests.support.changes import change
from tests.support.items import category, new_id, order, product, review, user
from tests.unit.streams.scripted import KEYS, NOW, record, row

ITEMS = [user(1), category("books"), product(1), order(1), review(1, new_id(1, "product"))]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_an_insert_is_the_creation_of_its_item(item: Item) -> None:
    assert read_change(record(7, new=item)) == Change(
        entity=type(item),
        kind=ChangeKind.CREATED,
        old=None,
        new=item,
        event_id="event-7",
        sequence_number="7",
        occurred_at=NOW,
        tenant="t",
    )


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_a_removal_has_the_item_as_it_was(item: Item) -> None:
    change = read_change(record(1, old=item))
    assert change is not None
    assert (change.kind, change.old, change.new) == (ChangeKind.DELETED, item, None)
    assert change.entity is type(item)


def test_a_modification_has_both() -> None:
    old, new = product(1, price=5), product(1, price=6)
    change = read_change(record(1, old, new))
    assert change is not None
    assert (change.kind, change.old, change.new) == (ChangeKind.UPDATED, old, new)


def test_the_time_is_in_utc() -> None:
    made = dict(record(1, new=user(1)))
    tokyo = timezone(timedelta(hours=9))
    made["dynamodb"] = {
        **made["dynamodb"],
        "ApproximateCreationDateTime": datetime(2026, 1, 2, 8, tzinfo=tokyo),
    }
    change = read_change(made)
    assert change is not None
    assert change.occurred_at == datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert change.occurred_at.tzinfo is UTC


def test_rows_that_are_nobodys_business_make_no_change() -> None:
    pk, sk = KEYS.purchased("user-1", "p")
    bought = Purchased(user_id="user-1", product_id="p", at=NOW)
    for image in (
        users.unique_row(KEYS.username("taro"), "user-1"),
        reviews.reviewed_row(KEYS, review(1, "p")),
        {PK: pk, SK: sk, **bought.to_attributes()},
        {PK: "t#IDEMPOTENCY#x", SK: "RESULT", "entity": "Idempotency"},
        {PK: "t#OTHER", SK: "X", "entity": "SomethingElse"},
        {PK: "t#OTHER", SK: "X"},
    ):
        assert read_change(record(1, new=image)) is None
        assert read_change(record(1, old=image)) is None


def test_rows_of_other_programs_are_not_even_decoded() -> None:
    made = record(1, new={PK: "t#OTHER", SK: "X"})
    made["dynamodb"]["NewImage"]["weight"] = {"N": "1.5"}
    made["dynamodb"]["NewImage"]["photo"] = {"B": b"\x00"}
    assert read_change(made) is None


def test_a_row_that_breaks_its_form_is_an_error() -> None:
    with pytest.raises(StoreError, match="price"):
        read_change(record(1, new={**row(product(1)), "price": -1}))


def test_only_the_insert_of_a_loaded_row_is_loaded() -> None:
    old, new = ({**products.row(KEYS, product(1, price=n)), LOADED: True} for n in (1, 2))
    changes = [read_change(record(1, *images)) for images in ((None, old), (old, new), (old, None))]
    assert [change and change.loaded for change in changes] == [True, False, False]


PRODUCT, ORDER = product(1), order(1)
REVIEW = review(1, PRODUCT.id)


@pytest.mark.parametrize(
    ("old", "update", "fields"),
    [
        (PRODUCT, {"name": "Other", "price": 7}, ("name", "price")),
        (PRODUCT, {"inventory": 4}, ("inventory",)),
        (PRODUCT, {"inventory": 0}, ("inventory", "inStock")),
        (PRODUCT, {"image_url": "https://x.jp/1.png"}, ("imageUrl",)),
        (PRODUCT, {"histogram": (0, 0, 0, 0, 1)}, ("ratingSummary",)),
        (PRODUCT, {"version": 2, "updated_at": NOW}, ("version", "updatedAt")),
        (ORDER, {"status": OrderStatus.PAID}, ("status", "nextStatuses")),
        (ORDER, {"shipping_address": None}, ()),
        (ORDER, {"items": ()}, ("items", "itemCount")),
        (REVIEW, {"rating": 5, "verified_purchase": True}, ("rating", "verifiedPurchase")),
        (user(1), {"version": 9}, ()),
        (category("books"), {"product_count": 3}, ("productCount",)),
    ],
    ids=str,
)
def test_the_fields_that_changed_have_the_names_of_the_api(
    old: Item, update: dict[str, object], fields: tuple[str, ...]
) -> None:
    made = change(old, old.changed(**update))
    assert made.fields == fields
    assert made.is_seen is bool(fields)


def test_what_came_or_went_has_no_changed_fields_and_is_seen() -> None:
    for made in (change(None, PRODUCT), change(PRODUCT, None)):
        assert made.fields == ()
        assert made.is_seen


def test_every_field_that_can_change_is_one_of_the_api() -> None:
    schema = build_schema()._schema
    for item in ITEMS:
        shown = schema.get_type(type(item).__name__)
        assert isinstance(shown, GraphQLObjectType)
        for name in type(item).__struct_fields__:
            other = item.changed(**{name: object()})
            if name != "inventory":  # which is compared with zero
                assert set(change(item, other).fields) <= set(shown.fields), name
