"""The items of the shop as the table holds them: frozen, validated once, where they are read.

An attribute of a row is the camelCase name of the field. Amounts are integers of minor units
in the store's one currency, times are UTC with milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta, Struct

from datasources.errors import StoreError
from datasources.keys import timestamp
from datasources.rows import StoredRow

Row = Mapping[str, Any]
Minor = Annotated[int, Meta(ge=0)]
Histogram = tuple[int, int, int, int, int]

_PLACE = re.compile(r"`\$\.(\w+)|field `(\w+)`")


class UserStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


class ProductStatus(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class OrderStatus(StrEnum):
    PENDING = "PENDING"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


class Part(Struct, frozen=True, rename="camel", gc=False):
    """What stands inside an item; unknown attributes (keys, newer fields) are passed over."""

    def to_attributes(self) -> dict[str, Any]:
        """The attributes of the row; what is None is left out."""
        names = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        values = ((name, getattr(self, field)) for name, field in names)
        return {name: _plain(value) for name, value in values if value is not None}

    def changed(self, **changes: Any) -> Self:
        """The same with other values in some of its fields."""
        return msgspec.structs.replace(self, **changes)


class Item(Part, frozen=True):
    """One row that the shop knows by name; `entity` tells which."""

    entities: ClassVar[dict[str, type[Item]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Item.entities[cls.__name__] = cls

    @classmethod
    def of(cls, row: Row) -> Self:
        """The item that a row of this kind holds; StoreError, which tells none of it, for a row
        that does not."""
        try:
            return row.read(cls) if isinstance(row, StoredRow) else msgspec.convert(row, cls)
        except msgspec.ValidationError as error:
            # The last, for a wrong value is named before its place.
            places = _PLACE.findall(str(error))
            wrong = "".join(places[-1]) if places else "its form"
            raise StoreError(f"A row holds no {cls.__name__}: {wrong}.") from None

    def to_attributes(self) -> dict[str, Any]:
        return {"entity": type(self).__name__, **super().to_attributes()}


class User(Item, frozen=True, kw_only=True):
    """A profile; `email` is None in the stub that erasing leaves."""

    id: str
    username: str
    email: str | None = None
    email_verified: bool = False
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    profile_image_url: str | None = None
    status: UserStatus = UserStatus.ACTIVE
    version: int = 1
    created_at: datetime
    updated_at: datetime


class Category(Item, frozen=True, kw_only=True):
    """`product_count` counts ACTIVE products."""

    slug: str
    name: str
    description: str | None = None
    product_count: int = 0
    created_at: datetime
    updated_at: datetime


class Product(Item, frozen=True, kw_only=True):
    """`histogram` is the number of reviews with 1, 2, 3, 4 and 5 stars.

    `version` counts edits: neither stock that is sold nor a rating raises it, or whoever edits
    a popular product would never have the latest.
    """

    id: str
    name: str
    description: str | None = None
    price: Minor
    category: str | None = None
    status: ProductStatus = ProductStatus.ACTIVE
    inventory: int = 0
    image_url: str | None = None
    histogram: Histogram = (0, 0, 0, 0, 0)
    version: int = 1
    created_at: datetime
    updated_at: datetime


class OrderLine(Part, frozen=True, kw_only=True):
    """Name and price as they were when the order was placed."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Minor


class StatusChange(Part, frozen=True, kw_only=True):
    status: OrderStatus
    at: datetime
    note: str | None = None


class Address(Part, frozen=True, kw_only=True):
    recipient: str
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postal_code: str
    country_code: str


class Order(Item, frozen=True, kw_only=True):
    """An order with its lines, at most 50, inside."""

    id: str
    user_id: str
    number: str
    status: OrderStatus
    items: tuple[OrderLine, ...]
    total: Minor
    shipping_address: Address | None = None
    history: tuple[StatusChange, ...]
    placed_at: datetime
    updated_at: datetime
    version: int = 1


class Review(Item, frozen=True, kw_only=True):
    id: str
    product_id: str
    user_id: str
    rating: int
    title: str | None = None
    comment: str | None = None
    verified_purchase: bool = False
    created_at: datetime
    updated_at: datetime


class Reviewed(Item, frozen=True, kw_only=True):
    """That a user has reviewed a product, and with which review."""

    user_id: str
    product_id: str
    review_id: str


class Unique(Item, frozen=True, kw_only=True):
    """That an email address or a username is taken, and by whom."""

    user_id: str


class Purchased(Item, frozen=True, kw_only=True):
    """That a user has had a product delivered."""

    user_id: str
    product_id: str
    at: datetime


class Idempotency(Item, frozen=True, kw_only=True):
    """What an operation came to the first time its key was used.

    `fingerprint` is the SHA-256 of the canonical input, `result` the ID of what was made, and
    `ttl`, in epoch seconds, the end of the record's life.
    """

    fingerprint: str
    result: str
    ttl: int


class Audit(Item, frozen=True, kw_only=True):
    """That something was done to somebody's data, by whom and why; never the data itself."""

    subject: str
    action: str
    actor: str
    reason: str | None = None
    at: datetime


def from_row(row: Row) -> Item:
    """The item of a row of any kind; StoreError as `Item.of`."""
    kind = Item.entities.get(row.get("entity", ""))
    if kind is None:
        raise StoreError(f"A row holds no item of the shop: entity {row.get('entity')!r}.")
    return kind.of(row)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return timestamp(value)
        case StrEnum():
            return value.value
        case Part():
            return value.to_attributes()
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value
