"""Everything that can be written. Each mutation is one transaction, and safe to repeat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import strawberry

from resolvers import categories, inputs, orders, placing, products, reviews, users
from resolvers.context import Context
from resolvers.errors import Rejected
from resolvers.permissions import admit
from schema import inputs as given
from schema import payloads
from schema.node import Info

Model = TypeVar("Model", bound=inputs.Input)


async def _answer(
    info: Info,
    model: type[Model],
    input: Any,
    write: Callable[[Context, Model], Awaitable[object]],
    result: str,
) -> SimpleNamespace:
    """The payload: what was written under the name `result`, or the user errors."""
    context = info.context
    admit(context.principal, info.field_name)
    # The mutations of one operation run one after another, each on what is there by then.
    context.loaders.forget()
    try:
        checked = inputs.parse(model, input, context.shop.currency)
        written = await write(context, checked)
    except Rejected as refused:
        return SimpleNamespace(**{result: None}, user_errors=refused.errors)
    context.loaders.forget()
    return SimpleNamespace(**{result: written}, user_errors=())


def _create_user(info: Info, input: given.CreateUserInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.CreateUser, input, users.create_user, "user")


def _update_user(info: Info, input: given.UpdateUserInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.UpdateUser, input, users.update_user, "user")


def _set_user_status(info: Info, input: given.SetUserStatusInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.SetUserStatus, input, users.set_user_status, "user")


def _delete_user(info: Info, input: given.DeleteUserInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.DeleteUser, input, users.delete_user, "deleted_user_id")


def _create_category(info: Info, input: given.CreateCategoryInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.CreateCategory, input, categories.create_category, "category")


def _update_category(info: Info, input: given.UpdateCategoryInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.UpdateCategory, input, categories.update_category, "category")


def _create_product(info: Info, input: given.CreateProductInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.CreateProduct, input, products.create_product, "product")


def _update_product(info: Info, input: given.UpdateProductInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.UpdateProduct, input, products.update_product, "product")


def _adjust_inventory(info: Info, input: given.AdjustInventoryInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.AdjustInventory, input, products.adjust_inventory, "product")


async def _place_order(info: Info, input: given.PlaceOrderInput) -> SimpleNamespace:
    payload = await _answer(info, inputs.PlaceOrder, input, placing.place_order, "placed")
    placed: placing.Placed | None = payload.placed
    return SimpleNamespace(
        order=placed and placed.order,
        replayed=placed is not None and placed.replayed,
        user_errors=payload.user_errors,
    )


def _cancel_order(info: Info, input: given.CancelOrderInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.CancelOrder, input, orders.cancel_order, "order")


def _advance_order(info: Info, input: given.AdvanceOrderInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.AdvanceOrder, input, orders.advance_order, "order")


def _add_review(info: Info, input: given.AddReviewInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.AddReview, input, reviews.add_review, "review")


def _update_review(info: Info, input: given.UpdateReviewInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.UpdateReview, input, reviews.update_review, "review")


def _delete_review(info: Info, input: given.DeleteReviewInput) -> Awaitable[SimpleNamespace]:
    return _answer(info, inputs.DeleteReview, input, reviews.delete_review, "deleted_review_id")


@strawberry.type(description="Everything that can be written.")
class Mutation:
    create_user = strawberry.field(
        resolver=_create_user,
        graphql_type=payloads.CreateUserPayload,
        description="A caller without a profile makes their own; staff make any.",
    )
    update_user = strawberry.field(
        resolver=_update_user,
        graphql_type=payloads.UpdateUserPayload,
        description="Own profile; staff may name another user's.",
    )
    set_user_status = strawberry.field(
        resolver=_set_user_status,
        graphql_type=payloads.SetUserStatusPayload,
        description="For staff.",
    )
    delete_user = strawberry.field(
        resolver=_delete_user,
        graphql_type=payloads.DeleteUserPayload,
        description="Erases the personal data and records that it was erased, both or neither. "
        "Self or staff.",
    )
    create_category = strawberry.field(
        resolver=_create_category,
        graphql_type=payloads.CreateCategoryPayload,
        description="For staff.",
    )
    update_category = strawberry.field(
        resolver=_update_category,
        graphql_type=payloads.UpdateCategoryPayload,
        description="For staff.",
    )
    create_product = strawberry.field(
        resolver=_create_product,
        graphql_type=payloads.CreateProductPayload,
        description="For staff.",
    )
    update_product = strawberry.field(
        resolver=_update_product,
        graphql_type=payloads.UpdateProductPayload,
        description="For staff.",
    )
    adjust_inventory = strawberry.field(
        resolver=_adjust_inventory,
        graphql_type=payloads.AdjustInventoryPayload,
        description="For staff. Never below zero.",
    )
    place_order = strawberry.field(
        resolver=_place_order,
        graphql_type=payloads.PlaceOrderPayload,
        description="Takes the stock and makes the order, both or neither; safe to repeat with "
        "the same key.",
    )
    cancel_order = strawberry.field(
        resolver=_cancel_order,
        graphql_type=payloads.CancelOrderPayload,
        description="The customer while PENDING, staff while PENDING or PAID. Puts the stock "
        "back, once; of a cancelled order it changes nothing.",
    )
    advance_order = strawberry.field(
        resolver=_advance_order,
        graphql_type=payloads.AdvanceOrderPayload,
        description="For staff. PENDING to PAID to SHIPPED to DELIVERED; PAID or DELIVERED to "
        "REFUNDED.",
    )
    add_review = strawberry.field(
        resolver=_add_review,
        graphql_type=payloads.AddReviewPayload,
        description="One a user and product.",
    )
    update_review = strawberry.field(
        resolver=_update_review,
        graphql_type=payloads.UpdateReviewPayload,
        description="For the author.",
    )
    delete_review = strawberry.field(
        resolver=_delete_review,
        graphql_type=payloads.DeleteReviewPayload,
        description="For the author and staff.",
    )
