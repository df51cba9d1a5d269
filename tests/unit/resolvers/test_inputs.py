"""Inputs: everything that is wrong is said at once, and where."""

from __future__ import annotations

import dataclasses
import types
import typing
from decimal import Decimal
from typing import Any

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from datasources.items import OrderStatus, ProductStatus, UserStatus
from resolvers import global_ids, inputs
from resolvers.errors import Rejected, UserErrorCode
from resolvers.money import Currency
from schema import inputs as schema_inputs
from tests.support import items

JPY, USD = Currency("JPY", 0), Currency("USD", 2)

USER = global_ids.of(items.user(1))
CATEGORY = global_ids.of(items.category("books"))
PRODUCT = global_ids.of(items.product(1))
ORDER = global_ids.of(items.order(1))
REVIEW = global_ids.of(items.review(1, items.product(1).id))
YEN = {"amount": Decimal(120), "currencyCode": "JPY"}

# For each input, one that is right in every field.
FULL: dict[type[inputs.Input], dict[str, Any]] = {
    inputs.CreateUser: {
        "subject": "auth|1",
        "email": "taro@example.com",
        "username": "taro",
        "firstName": "太郎",
        "lastName": "山田",
        "phoneNumber": "+81-3-1234-5678",
        "profileImageUrl": "https://example.com/x.png",
    },
    inputs.UpdateUser: {
        "id": USER,
        "email": "taro@example.com",
        "username": "taro",
        "firstName": "太郎",
        "lastName": "山田",
        "phoneNumber": "+81-3-1234-5678",
        "profileImageUrl": "https://example.com/x.png",
    },
    inputs.SetUserStatus: {"id": USER, "status": UserStatus.SUSPENDED},
    inputs.DeleteUser: {"id": USER, "reason": "asked to"},
    inputs.CreateCategory: {"slug": "books", "name": "Books", "description": "To read"},
    inputs.UpdateCategory: {"id": CATEGORY, "name": "Books", "description": "To read"},
    inputs.CreateProduct: {
        "name": "Book",
        "description": "To read",
        "price": YEN,
        "categoryId": CATEGORY,
        "inventory": 3,
        "imageUrl": "https://example.com/x.png",
        "status": ProductStatus.DRAFT,
    },
    inputs.UpdateProduct: {
        "id": PRODUCT,
        "name": "Book",
        "description": "To read",
        "price": YEN,
        "categoryId": CATEGORY,
        "imageUrl": "https://example.com/x.png",
        "status": ProductStatus.DRAFT,
        "expectedVersion": 1,
    },
    inputs.AdjustInventory: {
        "productId": PRODUCT,
        "delta": -1,
        "reason": "broken",
        "idempotencyKey": "12345678",
    },
    inputs.PlaceOrder: {
        "items": [{"productId": PRODUCT, "quantity": 1, "expectedUnitPrice": YEN}],
        "shippingAddress": {
            "recipient": "山田太郎",
            "line1": "1-1",
            "line2": "203",
            "city": "千代田区",
            "region": "東京都",
            "postalCode": "100-0001",
            "countryCode": "JP",
        },
        "idempotencyKey": "12345678",
    },
    inputs.CancelOrder: {"id": ORDER, "reason": "changed my mind"},
    inputs.AdvanceOrder: {
        "id": ORDER,
        "to": OrderStatus.PAID,
        "note": "by card",
        "expectedVersion": 1,
    },
    inputs.AddReview: {"productId": PRODUCT, "rating": 5, "title": "Good", "comment": "Very."},
    inputs.UpdateReview: {"id": REVIEW, "rating": 5, "title": "Good", "comment": "Very."},
    inputs.DeleteReview: {"id": REVIEW},
}
MODELS = list(FULL)


def name_of(model: type[inputs.Input]) -> str:
    return model.__name__


def schema_input(model: type[inputs.Input]) -> type:
    """The GraphQL input that a model checks."""
    found: type = getattr(schema_inputs, f"{model.__name__.removesuffix('Input')}Input")
    return found


def paths(of: type, value: Any, above: tuple[str, ...] = ("input",)) -> set[tuple[str, ...]]:
    """Every path that a value of a GraphQL input has, those of fields left out included."""
    found = {above}
    if isinstance(value, list):
        for position, inner in enumerate(value):
            found |= paths(of, inner, (*above, str(position)))
    elif dataclasses.is_dataclass(of):
        hints = typing.get_type_hints(of, vars(schema_inputs))
        for field in dataclasses.fields(of):
            name = to_camel(field.name)
            inner = value.get(name) if isinstance(value, dict) else None
            found |= paths(_bare(hints[field.name]), inner, (*above, name))
    return found


def _bare(hint: Any) -> Any:
    """The type itself, of an optional one or of a list."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) in (typing.Union, list):
        return _bare(typing.get_args(hint)[0])
    return hint


def refused(
    model: type[inputs.Input], value: dict[str, Any], currency: Currency = JPY
) -> list[tuple[str, ...] | None]:
    """Where the input is wrong."""
    with pytest.raises(Rejected) as refusal:
        inputs.parse(model, value, currency)
    errors = refusal.value.errors
    assert {error.code for error in errors} == {UserErrorCode.INVALID}
    assert all(error.message for error in errors)
    return [error.field for error in errors]


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_every_field_of_the_schema_is_checked(model: type[inputs.Input]) -> None:
    fields = {to_camel(field.name) for field in dataclasses.fields(schema_input(model))}

    assert set(FULL[model]) == fields
    assert {info.alias for info in model.model_fields.values()} == fields
    inputs.parse(model, FULL[model], JPY)


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_what_may_be_left_out_may_be_left_out(model: type[inputs.Input]) -> None:
    required = {
        to_camel(field.name)
        for field in dataclasses.fields(schema_input(model))
        if field.default is dataclasses.MISSING
    }
    least = {name: value for name, value in FULL[model].items() if name in required}

    inputs.parse(model, least, JPY)
    for name in least:
        rest = {other: value for other, value in least.items() if other != name}
        assert refused(model, rest) == [("input", name)]


PARTIAL = {
    inputs.UpdateUser: {"email", "username"},
    inputs.UpdateCategory: {"name"},
    inputs.UpdateProduct: {"name", "price", "status"},
    inputs.UpdateReview: {"rating"},
}


@pytest.mark.parametrize("model", PARTIAL, ids=name_of)
def test_in_an_update_null_clears_what_can_be_empty_and_is_refused_elsewhere(
    model: type[inputs.Input],
) -> None:
    names = set(FULL[model]) - {"id", "expectedVersion"}
    for name in names:
        given = {"id": FULL[model]["id"], name: None}
        if name in PARTIAL[model]:
            assert refused(model, given) == [("input", name)]
        else:
            assert list(inputs.parse(model, given, JPY).changes().values()) == [None]


@pytest.mark.parametrize("model", PARTIAL, ids=name_of)
def test_what_is_left_out_is_no_change(model: type[inputs.Input]) -> None:
    assert inputs.parse(model, {"id": FULL[model]["id"]}, JPY).changes() == {}


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {
        "items": [
            {"productId": PRODUCT, "quantity": 0},
            {
                "productId": USER,
                "quantity": 1_000,
                "expectedUnitPrice": {"amount": Decimal("1.5"), "currencyCode": "USD"},
            },
        ],
        "shippingAddress": {
            "recipient": "",
            "line1": "x" * 201,
            "city": "a\x00",
            "postalCode": "1" * 21,
            "countryCode": "Japan",
        },
        "idempotencyKey": "short",
    }

    assert refused(inputs.PlaceOrder, wrong) == [
        ("input", "items", "0", "quantity"),
        ("input", "items", "1", "productId"),
        ("input", "items", "1", "quantity"),
        ("input", "items", "1", "expectedUnitPrice", "amount"),
        ("input", "items", "1", "expectedUnitPrice", "currencyCode"),
        ("input", "shippingAddress", "recipient"),
        ("input", "shippingAddress", "line1"),
        ("input", "shippingAddress", "city"),
        ("input", "shippingAddress", "postalCode"),
        ("input", "shippingAddress", "countryCode"),
        ("input", "idempotencyKey"),
    ]


def test_an_order_has_1_to_500_lines() -> None:
    line = {"productId": PRODUCT, "quantity": 1}
    order = {"idempotencyKey": "12345678"}

    assert refused(inputs.PlaceOrder, {**order, "items": []}) == [("input", "items")]
    assert refused(inputs.PlaceOrder, {**order, "items": [line] * 501}) == [("input", "items")]
    assert len(inputs.parse(inputs.PlaceOrder, {**order, "items": [line] * 500}, JPY).items) == 500


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        (JPY, "0", 0),
        (JPY, "120", 120),
        (JPY, "999999999999", 999_999_999_999),
        (USD, "12.5", 1_250),
        (USD, "0.01", 1),
        (USD, "9999999999.99", 999_999_999_999),
    ],
)
def test_an_amount_is_kept_in_minor_units(currency: Currency, amount: str, minor: int) -> None:
    price = {"amount": Decimal(amount), "currencyCode": currency.code}
    parsed = inputs.parse(inputs.CreateProduct, {"name": "Book", "price": price}, currency)

    assert parsed.price.minor == minor


@pytest.mark.parametrize(
    ("currency", "amount", "code", "wrong"),
    [
        (JPY, "0.5", "JPY", ["amount"]),
        (JPY, "1000000000000", "JPY", ["amount"]),
        (USD, "0.001", "USD", ["amount"]),
        (USD, "99999999999.99", "USD", ["amount"]),
        (JPY, "120", "USD", ["currencyCode"]),
        (JPY, "120", "jpy", ["currencyCode"]),
        (JPY, "0.5", "", ["amount", "currencyCode"]),
    ],
)
def test_an_amount_has_the_currency_and_the_digits_of_the_shop(
    currency: Currency, amount: str, code: str, wrong: list[str]
) -> None:
    given = {"name": "Book", "price": {"amount": Decimal(amount), "currencyCode": code}}

    assert refused(inputs.CreateProduct, given, currency) == [
        ("input", "price", name) for name in wrong
    ]


def test_the_canonical_form_is_of_the_meaning_and_leaves_out_the_key() -> None:
    def canonical(**changes: Any) -> str:
        return inputs.parse(inputs.PlaceOrder, {**order, **changes}, USD).canonical()

    def line(amount: str, **more: Any) -> dict[str, Any]:
        price = {"amount": Decimal(amount), "currencyCode": "USD"}
        return {"productId": PRODUCT, "quantity": 1, "expectedUnitPrice": price, **more}

    order = {"items": [line("12.5")], "idempotencyKey": "12345678"}

    same = [
        canonical(),
        canonical(idempotencyKey="another key"),
        canonical(shippingAddress=None),
        canonical(items=[line("12.50")]),
    ]
    other = [
        canonical(items=[line("12.51")]),
        canonical(items=[line("12.5", quantity=2)]),
        canonical(items=[line("12.5", productId=global_ids.of(items.product(2)))]),
        canonical(items=[line("12.5", expectedUnitPrice=None)]),
        canonical(items=[line("12.5")] * 2),
        canonical(shippingAddress=FULL[inputs.PlaceOrder]["shippingAddress"]),
    ]
    assert len(set(same)) == 1
    assert len({*same, *other}) == 1 + len(other)


def test_the_canonical_form_of_a_change_of_stock_leaves_out_the_key_alone() -> None:
    def canonical(**changes: Any) -> str:
        full = FULL[inputs.AdjustInventory]
        return inputs.parse(inputs.AdjustInventory, {**full, **changes}, JPY).canonical()

    assert canonical() == canonical(idempotencyKey="another key")
    assert len({canonical(), canonical(delta=1), canonical(reason="found")}) == 3


TEXTS = st.text(st.characters(), max_size=300) | st.sampled_from(
    [USER, CATEGORY, PRODUCT, ORDER, REVIEW, "taro@example.com", "a@b", "https://[", "JPY", "JP"]
)
NUMBERS = st.integers(-(2**31), 2**31 - 1)
AMOUNTS = st.decimals(
    min_value=0, allow_nan=False, allow_infinity=False, places=4
) | st.sampled_from(
    [Decimal("9" * 32 + "." + "9" * 32), Decimal("0." + "0" * 31 + "1"), Decimal("00")]
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """What GraphQL lets through where an input has a type."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return st.none() | values(_bare(hint))
    if typing.get_origin(hint) is list:
        return st.lists(values(_bare(hint)), max_size=3)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, vars(schema_inputs))
        required: dict[str, st.SearchStrategy[Any]] = {}
        optional: dict[str, st.SearchStrategy[Any]] = {}
        for field in dataclasses.fields(hint):
            where = required if field.default is dataclasses.MISSING else optional
            where[to_camel(field.name)] = values(hints[field.name])
        return st.fixed_dictionaries(required, optional=optional)
    if hint is int:
        return NUMBERS
    if hint is Decimal:
        return AMOUNTS
    if hint in (str, strawberry.ID):
        return TEXTS
    return st.sampled_from(list(hint))


@pytest.mark.parametrize("model", MODELS, ids=name_of)
@given(data=st.data(), currency=st.sampled_from([JPY, USD]))
def test_whatever_is_given_is_accepted_or_refused_with_paths_that_exist(
    model: type[inputs.Input], data: st.DataObject, currency: Currency
) -> None:
    of = schema_input(model)
    given = data.draw(values(of))
    wrong: list[tuple[str, ...] | None] = []
    try:
        inputs.parse(model, given, currency)
    except Rejected as refusal:
        wrong = [error.field for error in refusal.errors] or [None]
    assert set(wrong) <= paths(of, given)
