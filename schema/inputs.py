"""The inputs of the mutations, as GraphQL has them: what may be given, and what may be null.

How long, how large and of which form a value may be is the business of `resolvers.inputs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import strawberry
from strawberry import ID, UNSET
from strawberry.types.arguments import InputContext

from schema.enums import OrderStatus, ProductStatus, UserStatus

_PARTIAL = "A field left out stays as it is; an explicit null clears it."


Kind = TypeVar("Kind")


def _input(*, description: str) -> Callable[[type[Kind]], type[Kind]]:
    """A class that says what may be given. The value that comes to a resolver is what was given,
    under the names of GraphQL and without what was left out: a mapping, which `resolvers.inputs`
    reads. To make an object of the class first would cost more than all that the resolver does."""

    def define(kind: type[Kind]) -> type[Kind]:
        defined = strawberry.input(kind, description=description)
        defined.__strawberry_definition__.from_input = _as_given  # type: ignore[attr-defined]
        return defined

    return define


def _as_given(_kind: type, value: Mapping[str, Any], _context: InputContext) -> Any:
    return value


@_input(description="An amount in the currency of the shop.")
class MoneyInput:
    amount: Decimal
    currency_code: str


@_input(description="`subject`: staff only, the identity provider's ID of the user.")
class CreateUserInput:
    subject: str | None = UNSET
    email: str
    username: str
    first_name: str | None = UNSET
    last_name: str | None = UNSET
    phone_number: str | None = UNSET
    profile_image_url: str | None = UNSET


@_input(description=_PARTIAL)
class UpdateUserInput:
    id: ID | None = UNSET
    email: str | None = UNSET
    username: str | None = UNSET
    first_name: str | None = UNSET
    last_name: str | None = UNSET
    phone_number: str | None = UNSET
    profile_image_url: str | None = UNSET


@_input(description="ACTIVE or SUSPENDED.")
class SetUserStatusInput:
    id: ID
    status: UserStatus


@_input(description="`id`: the caller where it is left out.")
class DeleteUserInput:
    id: ID | None = UNSET
    reason: str | None = UNSET


@_input(description="A new shelf.")
class CreateCategoryInput:
    slug: str
    name: str
    description: str | None = UNSET


@_input(description=_PARTIAL)
class UpdateCategoryInput:
    id: ID
    name: str | None = UNSET
    description: str | None = UNSET


@_input(description="A new product.")
class CreateProductInput:
    name: str
    description: str | None = UNSET
    price: MoneyInput
    category_id: ID | None = UNSET
    inventory: int = 0
    image_url: str | None = UNSET
    status: ProductStatus = ProductStatus.ACTIVE


@_input(description=f"{_PARTIAL} `expectedVersion`, when given, must be the stored version.")
class UpdateProductInput:
    id: ID
    name: str | None = UNSET
    description: str | None = UNSET
    price: MoneyInput | None = UNSET
    category_id: ID | None = UNSET
    image_url: str | None = UNSET
    status: ProductStatus | None = UNSET
    expected_version: int | None = UNSET


@_input(description="With an `idempotencyKey` the change is made once, however often sent.")
class AdjustInventoryInput:
    product_id: ID
    delta: int
    reason: str | None = UNSET
    idempotency_key: str | None = UNSET


@_input(description="Where an order goes.")
class AddressInput:
    recipient: str
    line1: str
    line2: str | None = UNSET
    city: str
    region: str | None = UNSET
    postal_code: str
    country_code: str


@_input(description="`expectedUnitPrice`, when given, must be the price now.")
class OrderItemInput:
    product_id: ID
    quantity: int
    expected_unit_price: MoneyInput | None = UNSET


@_input(
    description="At most 50 different products. `idempotencyKey`: 8 to 128 printable characters, "
    "new for each order and the same for each attempt at it."
)
class PlaceOrderInput:
    items: list[OrderItemInput]
    shipping_address: AddressInput | None = UNSET
    idempotency_key: str


@_input(description="Which order, and why.")
class CancelOrderInput:
    id: ID
    reason: str | None = UNSET


@_input(description="`expectedVersion`, when given, must be the stored version.")
class AdvanceOrderInput:
    id: ID
    to: OrderStatus
    note: str | None = UNSET
    expected_version: int | None = UNSET


@_input(description="One a user and product.")
class AddReviewInput:
    product_id: ID
    rating: int
    title: str | None = UNSET
    comment: str | None = UNSET


@_input(description=_PARTIAL)
class UpdateReviewInput:
    id: ID
    rating: int | None = UNSET
    title: str | None = UNSET
    comment: str | None = UNSET


@_input(description="Which review.")
class DeleteReviewInput:
    id: ID
