"""Categories, and the products in them."""

from __future__ import annotations

from collections.abc import Awaitable

from datasources import categories
from datasources.ids import is_slug
from datasources.items import Category
from resolvers import global_ids
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context


async def category(context: Context, slug: str) -> Category | None:
    return await context.loaders.category(slug)


async def category_by_global_id(context: Context, global_id: str) -> Category | None:
    return await category(context, *global_ids.expect("id", global_id, "Category"))


async def category_by_slug(context: Context, slug: str) -> Category | None:
    return await category(context, slug) if is_slug(slug) else None


def all_categories(context: Context, window: Window) -> Awaitable[Connection]:
    return connect(context, categories.by_name(context.keys, "categories"), window)
