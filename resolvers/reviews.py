"""Reviews, their authors and their products."""

from __future__ import annotations

import asyncio

from datasources import reviews
from datasources.errors import TransactionCancelled
from datasources.items import Product, Review, User, UserStatus
from resolvers import global_ids, inputs
from resolvers.context import Context
from resolvers.errors import Forbidden, UserErrorCode, rejected
from resolvers.permissions import authorize, visible_product
from resolvers.writing import Raced, again, commit


async def review(context: Context, product_id: str, review_id: str) -> Review | None:
    return await context.loaders.review(product_id, review_id)


async def review_by_global_id(context: Context, global_id: str) -> Review | None:
    return await review(context, *global_ids.expect("id", global_id, "Review"))


async def author(context: Context, review: Review) -> User | None:
    """The author; None once the account is erased, for staff as well."""
    user = await context.loaders.user(review.user_id)
    return None if user is None or user.status is UserStatus.DELETED else user


async def product_of(context: Context, review: Review) -> Product | None:
    return visible_product(context.principal, await context.loaders.product(review.product_id))


# --- writing --------------------------------------------------------------------------------


async def add_review(context: Context, wanted: inputs.AddReview) -> Review:
    """One a user and product; of a product that the caller may see."""
    caller, (product_id,) = context.principal.user_id or "", wanted.product_id
    _, found, bought = await asyncio.gather(
        authorize(context, "addReview"),
        context.loaders.product(product_id),
        context.loaders.items.load(context.keys.purchased(caller, product_id)),
    )
    if visible_product(context.principal, found) is None:
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such product", "productId")
    now = context.now()
    made = Review(
        id=context.new_id(now),
        product_id=product_id,
        user_id=caller,
        verified_purchase=bought is not None,
        created_at=now,
        updated_at=now,
        **wanted.model_dump(exclude={"product_id"}),
    )
    try:
        await commit(context, reviews.create(context.keys, made))
    except TransactionCancelled as cancelled:
        if cancelled.failed(0):
            raise rejected(
                UserErrorCode.ALREADY_REVIEWED,
                "you have reviewed this product: change that review",
                "productId",
            ) from None
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such product", "productId") from None
    return made


async def update_review(context: Context, wanted: inputs.UpdateReview) -> Review:
    async def attempt() -> Review:
        before = await _named(context, "updateReview", wanted.id)
        if before.user_id != context.principal.user_id:
            raise Forbidden("Only its author may change a review.")
        after = before.changed(**wanted.changes(), updated_at=context.now())
        try:
            await commit(context, [reviews.update(context.keys, before, after)])
        except TransactionCancelled:
            raise Raced from None
        return after

    return await again(context, attempt)


async def delete_review(context: Context, wanted: inputs.DeleteReview) -> str:
    """The ID of the review that is gone."""

    async def attempt() -> str:
        before = await _named(context, "deleteReview", wanted.id)
        if before.user_id != context.principal.user_id and not context.principal.is_staff:
            raise Forbidden("Only its author and staff may delete a review.")
        try:
            await commit(context, reviews.delete(context.keys, before))
        except TransactionCancelled:
            raise Raced from None
        return global_ids.of(before)

    return await again(context, attempt)


async def _named(context: Context, mutation: str, review_id: tuple[str, ...]) -> Review:
    _, review = await asyncio.gather(
        authorize(context, mutation), context.loaders.review(*review_id)
    )
    if review is None:
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such review", "id")
    return review
