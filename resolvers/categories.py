"""Categories, and the products in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from datasources import categories
from datasources.errors import TransactionCancelled
from datasources.ids import is_slug
from datasources.items import Category
from resolvers import global_ids, inputs
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.errors import UserErrorCode, rejected
from resolvers.permissions import authorize
from resolvers.writing import Raced, again, commit


async def category(context: Context, slug: str) -> Category | None:
    return await context.loaders.category(slug)


async def category_by_global_id(context: Context, global_id: str) -> Category | None:
    return await category(context, *global_ids.expect("id", global_id, "Category"))


async def category_by_slug(context: Context, slug: str) -> Category | None:
    return await category(context, slug) if is_slug(slug) else None


def all_categories(context: Context, window: Window) -> Awaitable[Connection]:
    return connect(context, categories.by_name(context.keys, "categories"), window)


# --- writing --------------------------------------------------------------------------------


async def create_category(context: Context, wanted: inputs.CreateCategory) -> Category:
    await authorize(context, "createCategory")
    now = context.now()
    made = Category(**wanted.model_dump(), created_at=now, updated_at=now)
    try:
        await commit(context, [categories.create(context.keys, made)])
    except TransactionCancelled:
        raise rejected(UserErrorCode.SLUG_TAKEN, "this slug is taken", "slug") from None
    return made


async def update_category(context: Context, wanted: inputs.UpdateCategory) -> Category:
    async def attempt() -> Category:
        _, before = await asyncio.gather(
            authorize(context, "updateCategory"), context.loaders.category(*wanted.id)
        )
        if before is None:
            raise rejected(UserErrorCode.NOT_FOUND, "there is no such category", "id")
        after = before.changed(**wanted.changes(), updated_at=context.now())
        try:
            await commit(context, [categories.update(context.keys, before, after)])
        except TransactionCancelled:
            raise Raced from None
        return after

    return await again(context, attempt)
