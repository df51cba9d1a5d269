"""Every user error that there is: its code, its path into the input, and that nothing changed."""

from __future__ import annotations

from typing import Any

import pytest

from datasources.items import ProductStatus
from resolvers import global_ids
from resolvers.errors import UserErrorCode
from tests.support import items
from tests.support.mutations import mutate, rows
from tests.support.shop import TestShop

PRODUCT, ARCHIVED = items.product(0), items.product(1, status=ProductStatus.ARCHIVED)
ORDER, REVIEW = items.order(1), items.review(1, PRODUCT.id)
ID = global_ids.of(PRODUCT)
STAFF: dict[str, Any] = {"user": "user-0", "staff": True}
USED = {"productId": ID, "delta": 0, "idempotencyKey": "12345678"}


def order(**line: Any) -> dict[str, Any]:
    given = {"productId": ID, "quantity": 1, **line}
    return {"items": [given], "idempotencyKey": "12345678"}


CASES: dict[UserErrorCode, tuple[str, dict[str, Any], list[str] | None]] = {
    UserErrorCode.INVALID: (
        "createProduct",
        {"name": "x", "price": {"amount": "0.5", "currencyCode": "JPY"}},
        ["price", "amount"],
    ),
    UserErrorCode.NOT_FOUND: ("updateProduct", {"id": global_ids.of(items.product(9))}, ["id"]),
    UserErrorCode.ALREADY_EXISTS: (
        "createUser",
        {"email": "new@example.com", "username": "newcomer", "subject": "user-0"},
        None,
    ),
    UserErrorCode.EMAIL_TAKEN: (
        "createUser",
        {"email": "USER0@example.com", "username": "newcomer"},
        ["email"],
    ),
    UserErrorCode.USERNAME_TAKEN: (
        "createUser",
        {"email": "new@example.com", "username": "USER0"},
        ["username"],
    ),
    UserErrorCode.SLUG_TAKEN: ("createCategory", {"slug": "books", "name": "x"}, ["slug"]),
    UserErrorCode.ALREADY_REVIEWED: ("addReview", {"productId": ID, "rating": 5}, ["productId"]),
    UserErrorCode.OUT_OF_STOCK: (
        "placeOrder",
        order(quantity=6),
        ["items", "0", "quantity"],
    ),
    UserErrorCode.PRODUCT_UNAVAILABLE: (
        "placeOrder",
        order(productId=global_ids.of(ARCHIVED)),
        ["items", "0", "productId"],
    ),
    UserErrorCode.PRICE_CHANGED: (
        "placeOrder",
        order(expectedUnitPrice={"amount": "999", "currencyCode": "JPY"}),
        ["items", "0", "expectedUnitPrice"],
    ),
    UserErrorCode.INVALID_TRANSITION: (
        "advanceOrder",
        {"id": global_ids.of(ORDER), "to": "DELIVERED"},
        ["to"],
    ),
    UserErrorCode.IDEMPOTENCY_KEY_REUSED: (
        "adjustInventory",
        {**USED, "delta": 2},
        ["idempotencyKey"],
    ),
    UserErrorCode.VERSION_CONFLICT: (
        "updateProduct",
        {"id": ID, "name": "x", "expectedVersion": 2},
        ["expectedVersion"],
    ),
}


def test_every_code_has_its_case() -> None:
    assert set(CASES) == set(UserErrorCode)


@pytest.mark.parametrize("code", CASES)
async def test_an_error_says_where_and_nothing_is_changed(
    shop: TestShop, code: UserErrorCode
) -> None:
    mutation, given, path = CASES[code]
    await shop.put(items.user(0), items.category("books"), PRODUCT, ARCHIVED, ORDER, REVIEW)
    await mutate(shop, "adjustInventory", USED, **STAFF)
    before = await rows(shop)

    written = await mutate(shop, mutation, given, **STAFF)

    assert written.codes == [code]
    assert written.fields == [None if path is None else ["input", *path]]
    assert written.errors[0]["message"]
    assert await rows(shop) == before
