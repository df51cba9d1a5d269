"""The inputs of the mutations, as GraphQL has them: what may be given, and what may be null.

How long, how large and of which form a value may be is the business of `resolvers.inputs`.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import strawberry
from pydantic.alias_generators import to_camel
from strawberry import ID, UNSET

from schema.enums import OrderStatus, ProductStatus, UserStatus

_PARTIAL = "A field left out stays as it is; an explicit null clears it."


def given(value: Any) -> Any:
    """An input as plain values under their GraphQL names; what was left out is not there."""
    if isinstance(value, list):
        return [given(each) for each in value]
    if not dataclasses.is_dataclass(value):
        return value
    pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {to_camel(name): given(inner) for name, inner in pairs if inner is not UNSET}


@strawberry.input(description="An amount in the currency of the shop.")
class MoneyInput:
    amount: Decimal
    currency_code: str


@strawberry.input(description="`subject`: staff only, the identity provider's ID of the user.")
class CreateUserInput:
    subject: str | None = UNSET
    email: str
    username: str
    first_name: str | None = UNSET
    last_name: str | None = UNSET
    phone_number: str | None = UNSET
    profile_image_url: str | None = UNSET


@strawberry.input(description=_PARTIAL)
class UpdateUserInput:
    id: ID | None = UNSET
    email: str | None = UNSET
    username: str | None = UNSET
    first_name: str | None = UNSET
    last_name: str | None = UNSET
    phone_number: str | None = UNSET
    profile_image_url: str | None = UNSET


@strawberry.input(description="ACTIVE or SUSPENDED.")
class SetUserStatusInput:
    id: ID
    status: UserStatus


@strawberry.input(description="`id`: the caller where it is left out.")
class DeleteUserInput:
    id: ID | None = UNSET
    reason: str | None = UNSET


@strawberry.input(description="A new shelf.")
class CreateCategoryInput:
    slug: str
    name: str
    description: str | None = UNSET


@strawberry.input(description=_PARTIAL)
class UpdateCategoryInput:
    id: ID
    name: str | None = UNSET
    description: str | None = UNSET


@strawberry.input(description="A new product.")
class CreateProductInput:
    name: str
    description: str | None = UNSET
    price: MoneyInput
    category_id: ID | None = UNSET
    inventory: int = 0
    image_url: str | None = UNSET
    status: ProductStatus = ProductStatus.ACTIVE


@strawberry.input(
    description=f"{_PARTIAL} `expectedVersion`, when given, must be the stored version."
)
class UpdateProductInput:
    id: ID
    name: str | None = UNSET
    description: str | None = UNSET
    price: MoneyInput | None = UNSET
    category_id: ID | None = UNSET
    image_url: str | None = UNSET
    status: ProductStatus | None = UNSET
    expected_version: int | None = UNSET


@strawberry.input(
    description="With an `idempotencyKey` the change is made once, however often sent."
)
class AdjustInventoryInput:
    product_id: ID
    delta: int
    reason: str | None = UNSET
    idempotency_key: str | None = UNSET


@strawberry.input(description="Where an order goes.")
class AddressInput:
    recipient: str
    line1: str
    line2: str | None = UNSET
    city: str
    region: str | None = UNSET
    postal_code: str
    country_code: str


@strawberry.input(description="`expectedUnitPrice`, when given, must be the price now.")
class OrderItemInput:
    product_id: ID
    quantity: int
    expected_unit_price: MoneyInput | None = UNSET


@strawberry.input(
    description="At most 50 different products. `idempotencyKey`: 8 to 128 printable characters, "
    "new for each order and the same for each attempt at it."
)
class PlaceOrderInput:
    items: list[OrderItemInput]
    shipping_address: AddressInput | None = UNSET
    idempotency_key: str


@strawberry.input(description="Which order, and why.")
class CancelOrderInput:
    id: ID
    reason: str | None = UNSET


@strawberry.input(description="`expectedVersion`, when given, must be the stored version.")
class AdvanceOrderInput:
    id: ID
    to: OrderStatus
    note: str | None = UNSET
    expected_version: int | None = UNSET


@strawberry.input(description="One a user and product.")
class AddReviewInput:
    product_id: ID
    rating: int
    title: str | None = UNSET
    comment: str | None = UNSET


@strawberry.input(description=_PARTIAL)
class UpdateReviewInput:
    id: ID
    rating: int | None = UNSET
    title: str | None = UNSET
    comment: str | None = UNSET


@strawberry.input(description="Which review.")
class DeleteReviewInput:
    id: ID
