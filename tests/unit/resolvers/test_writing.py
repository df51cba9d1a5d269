"""What every write does beside writing: the cache hears of it before its caller has an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from datasources.cache import MemoryCache
from datasources.errors import StoreError
from datasources.items import Product
from datasources.keys import Key, Keys
from datasources.writes import Delete
from resolvers.context import Context
from resolvers.principal import Principal
from resolvers.writing import commit
from tests.support import items
from tests.support.memory import MemoryClient
from tests.unit.resolvers.test_context import SHOP

KEYS = Keys("t", 4)
PRODUCT, OTHER = items.product(0), items.product(1)
KEY, OTHER_KEY = KEYS.product(PRODUCT.id), KEYS.product(OTHER.id)


async def taken() -> None:
    pass


async def refused() -> None:
    raise ClientError({"Error": {"Code": "ValidationException", "Message": ""}}, "")


async def unanswered() -> None:
    await asyncio.Event().wait()


@dataclass
class Store(MemoryClient):
    """Whose transactions end as they are told to."""

    ends: Callable[[], Awaitable[None]] = taken

    async def transact_write_items(self, **_: Any) -> dict[str, Any]:
        await self.ends()
        return {}


async def found(context: Context) -> dict[Key, Product]:
    assert context.cached
    return dict(await context.cached.find([KEY, OTHER_KEY]))  # type: ignore[arg-type]


@pytest.mark.parametrize("ends", [taken, refused, unanswered])
async def test_the_cache_hears_of_a_write_whatever_it_came_to(
    ends: Callable[[], Awaitable[None]],
) -> None:
    cache = MemoryCache(lambda: 1_000.0, most=10)
    cache.keep({KEY: PRODUCT, OTHER_KEY: OTHER})
    shop = replace(SHOP, client=Store(ends=ends).as_client(), cache=cache, write_deadline=0.05)
    mine, others = (
        shop.operation(Principal(name, "t", False, None), "r", writes=True)
        for name in ("me", "you")
    )
    assert len(await found(mine)) == 2
    try:
        await commit(mine, [Delete(KEY)])
    except StoreError:
        assert ends is not taken

    assert await found(mine) == {}
    assert await found(others) == {OTHER_KEY: OTHER}
