"""Any object by its global ID, through the loaders and under the rules of its own kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from datasources.errors import BadUserInput
from datasources.items import Item
from resolvers import global_ids
from resolvers.categories import category
from resolvers.context import Context
from resolvers.orders import order
from resolvers.products import product
from resolvers.reviews import review
from resolvers.users import user

MOST_IDS = 100

_RESOLVERS: dict[str, Callable[..., Awaitable[Any]]] = {
    "User": user,
    "Category": category,
    "Product": product,
    "Order": order,
    "Review": review,
}


async def node(context: Context, global_id: str, argument: str = "id") -> Item | None:
    kind, parts = global_ids.decode(argument, global_id)
    item: Item | None = await _RESOLVERS[kind](context, *parts)
    return item


async def nodes(context: Context, ids: Sequence[str]) -> list[Item | None]:
    """In the order asked, None for what is missing or may not be seen; at most 100."""
    if len(ids) > MOST_IDS:
        raise BadUserInput("ids", f"at most {MOST_IDS} at once, not {len(ids)}.")
    return await asyncio.gather(*(node(context, each, "ids") for each in ids))
