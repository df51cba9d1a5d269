"""Reviews, their authors and their products."""

from __future__ import annotations

from datasources.items import Product, Review, User, UserStatus
from resolvers import global_ids
from resolvers.context import Context
from resolvers.permissions import visible_product


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
