"""The items of the shop as the table holds them: frozen, validated once, where they are read.

An attribute of a row is the camelCase name of the field. Amounts are integers of minor units
in the store's one currency, times are UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic.alias_generators import to_camel

from datasources.errors import StoreError
from datasources.keys import timestamp

Row = Mapping[str, Any]
Moment = Annotated[datetime, PlainSerializer(timestamp, return_type=str)]
Minor = Annotated[int, Field(ge=0)]


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


class Part(BaseModel):
    """What stands inside an item; unknown attributes (keys, newer fields) are passed over."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )

    def to_attributes(self) -> dict[str, Any]:
        """The attributes of the row; what is None is left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Item(Part):
    """One row that the shop knows by name; `entity` tells which."""

    entities: ClassVar[dict[str, type[Item]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Item.entities[cls.__name__] = cls

    def to_attributes(self) -> dict[str, Any]:
        return {"entity": type(self).__name__, **super().to_attributes()}


class User(Item):
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
    created_at: Moment
    updated_at: Moment


class Category(Item):
    """`product_count` counts ACTIVE products."""

    slug: str
    name: str
    description: str | None = None
    product_count: int = 0
    created_at: Moment
    updated_at: Moment


class Product(Item):
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
    histogram: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    version: int = 1
    created_at: Moment
    updated_at: Moment


class OrderLine(Part):
    """Name and price as they were when the order was placed."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Minor


class StatusChange(Part):
    status: OrderStatus
    at: Moment
    note: str | None = None


class Address(Part):
    recipient: str
    line1: str
    line2: str | None = None
    city: str
    region: str | None = None
    postal_code: str
    country_code: str


class Order(Item):
    """An order with its lines, at most 50, inside."""

    id: str
    user_id: str
    number: str
    status: OrderStatus
    items: tuple[OrderLine, ...]
    total: Minor
    shipping_address: Address | None = None
    history: tuple[StatusChange, ...]
    placed_at: Moment
    updated_at: Moment
    version: int = 1


class Review(Item):
    id: str
    product_id: str
    user_id: str
    rating: int
    title: str | None = None
    comment: str | None = None
    verified_purchase: bool = False
    created_at: Moment
    updated_at: Moment


class Reviewed(Item):
    """That a user has reviewed a product, and with which review."""

    user_id: str
    product_id: str
    review_id: str


class Unique(Item):
    """That an email address or a username is taken, and by whom."""

    user_id: str


class Purchased(Item):
    """That a user has had a product delivered."""

    user_id: str
    product_id: str
    at: Moment


class Idempotency(Item):
    """What an operation came to the first time its key was used.

    `fingerprint` is the SHA-256 of the canonical input, `result` the ID of what was made, and
    `ttl`, in epoch seconds, the end of the record's life.
    """

    fingerprint: str
    result: str
    ttl: int


class Audit(Item):
    """That something was done to somebody's data, by whom and why; never the data itself."""

    subject: str
    action: str
    actor: str
    reason: str | None = None
    at: Moment


def from_row(row: Row) -> Item:
    """The item that a row holds; StoreError, which tells none of it, for a row that does not."""
    kind = Item.entities.get(row.get("entity", ""))
    if kind is None:
        raise StoreError(f"A row holds no item of the shop: entity {row.get('entity')!r}.")
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        wrong = ", ".join(str(each["loc"][0]) for each in error.errors() if each["loc"])
        raise StoreError(f"A row holds no {kind.__name__}: {wrong}.") from None
