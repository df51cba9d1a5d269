"""What a mutation answers: what it made, or everything that its caller can correct."""

from __future__ import annotations

import strawberry
from strawberry import ID

from resolvers.errors import UserErrorCode
from schema.categories import Category
from schema.orders import Order
from schema.products import Product
from schema.reviews import Review
from schema.users import User

strawberry.enum(UserErrorCode, description="What the caller of a mutation can correct.")


@strawberry.type(description="Something that the caller can correct.")
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None = strawberry.field(
        description='Path into the input, such as ["input", "items", "0", "quantity"].'
    )


@strawberry.type
class CreateUserPayload:
    user: User | None
    user_errors: list[UserError]


@strawberry.type
class UpdateUserPayload:
    user: User | None
    user_errors: list[UserError]


@strawberry.type
class SetUserStatusPayload:
    user: User | None
    user_errors: list[UserError]


@strawberry.type
class DeleteUserPayload:
    deleted_user_id: ID | None
    user_errors: list[UserError]


@strawberry.type
class CreateCategoryPayload:
    category: Category | None
    user_errors: list[UserError]


@strawberry.type
class UpdateCategoryPayload:
    category: Category | None
    user_errors: list[UserError]


@strawberry.type
class CreateProductPayload:
    product: Product | None
    user_errors: list[UserError]


@strawberry.type
class UpdateProductPayload:
    product: Product | None
    user_errors: list[UserError]


@strawberry.type
class AdjustInventoryPayload:
    product: Product | None
    user_errors: list[UserError]


@strawberry.type
class PlaceOrderPayload:
    order: Order | None
    replayed: bool = strawberry.field(description="Whether this key had already placed this order.")
    user_errors: list[UserError]


@strawberry.type
class CancelOrderPayload:
    order: Order | None
    user_errors: list[UserError]


@strawberry.type
class AdvanceOrderPayload:
    order: Order | None
    user_errors: list[UserError]


@strawberry.type
class AddReviewPayload:
    review: Review | None
    user_errors: list[UserError]


@strawberry.type
class UpdateReviewPayload:
    review: Review | None
    user_errors: list[UserError]


@strawberry.type
class DeleteReviewPayload:
    deleted_review_id: ID | None
    user_errors: list[UserError]
