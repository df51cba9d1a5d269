"""Items with believable values, each a function of a number: the same number, the same item.

Numbers are minutes before `NOW`, so a list that is newest first is in order of number.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from datasources.ids import uuid7
from datasources.items import (
    Category,
    Order,
    OrderLine,
    OrderStatus,
    Product,
    Review,
    StatusChange,
    User,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def moment(number: int) -> datetime:
    return NOW - timedelta(minutes=number)


def new_id(number: int, kind: str = "") -> str:
    chance = random.Random(f"{kind}{number}")  # noqa: S311 - made-up IDs, no secrets
    return uuid7(int(moment(number).timestamp() * 1000), chance.getrandbits)


def user(number: int, **changes: Any) -> User:
    values: dict[str, Any] = {
        "id": f"user-{number}",
        "username": f"user{number}",
        "email": f"user{number}@example.com",
        "phone_number": "+81-3-0000-0000",
        "created_at": moment(number),
        "updated_at": moment(number),
    }
    return User(**{**values, **changes})


def category(slug: str, **changes: Any) -> Category:
    values = {"slug": slug, "name": slug.title(), "created_at": NOW, "updated_at": NOW}
    return Category(**{**values, **changes})


def product(number: int, **changes: Any) -> Product:
    values: dict[str, Any] = {
        "id": new_id(number, "product"),
        "name": f"Product {number}",
        "price": 1_000 + number,
        "category": "electronics",
        "inventory": 5,
        "created_at": moment(number),
        "updated_at": moment(number),
    }
    return Product(**{**values, **changes})


def order(number: int, customer: str = "user-0", **changes: Any) -> Order:
    status = changes.get("status", OrderStatus.PENDING)
    placed = changes.get("placed_at", moment(number))
    lines = changes.pop("lines", None) or (
        OrderLine(product_id=new_id(1, "product"), product_name="P", quantity=2, unit_price=500),
    )
    values: dict[str, Any] = {
        "id": new_id(number, "order"),
        "user_id": customer,
        "number": f"NO-{number}",
        "status": status,
        "items": lines,
        "total": sum(line.quantity * line.unit_price for line in lines),
        "history": (StatusChange(status=status, at=placed),),
        "placed_at": placed,
        "updated_at": placed,
    }
    return Order(**{**values, **changes})


def review(number: int, product_id: str, author: str = "user-0", **changes: Any) -> Review:
    values: dict[str, Any] = {
        "id": new_id(number, "review"),
        "product_id": product_id,
        "user_id": author,
        "rating": 1 + number % 5,
        "title": f"Review {number}",
        "created_at": moment(number),
        "updated_at": moment(number),
    }
    return Review(**{**values, **changes})
