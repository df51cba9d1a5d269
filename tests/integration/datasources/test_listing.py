"""Lists over the real store: four shards are one list, and the store in memory tells the truth."""

from __future__ import annotations

import random
from typing import Any

import pytest

from datasources import orders, products, users
from datasources.items import ProductStatus, UserStatus
from datasources.keys import Keys, timestamp
from datasources.listing import Bound, Listing
from tests.support import engines, items
from tests.support.items import NOW, moment
from tests.support.memory import MemoryClient
from tests.support.shop import TestShop


async def positions(
    shop: TestShop, listing: Listing, sizes: list[int], *, backward: bool = False
) -> list[str]:
    """The positions of all pages together; every page but the last is full."""
    table, seen, start = shop.table(), [], None
    for turn in range(100):
        size = sizes[turn % len(sizes)]
        page = await engines.page_of(table, listing, size, backward=backward, start=start)
        seen += [entry.position for entry in page.entries]
        if not page.more:
            return seen
        assert len(page.entries) == size
        assert page.end is not None
        start = Bound(page.end)
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("seed", range(3))
async def test_a_list_over_four_shards_is_one_list_in_both_directions(
    shop: TestShop, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - made-up pages, no secrets
    made = [items.product(n) for n in chance.sample(range(1_000), 35)]
    await shop.put(*made)
    partitions = shop.keys.products(ProductStatus.ACTIVE)
    assert {products.row(shop.keys, each)["GSI2PK"] for each in made} == set(partitions)
    oldest_first = sorted(f"{timestamp(each.created_at)}#{each.id}" for each in made)
    sizes = [chance.randint(1, 11) for _ in range(4)]
    for descending in (False, True):
        listing = products.with_status(
            shop.keys, "products", ProductStatus.ACTIVE, descending=descending
        )
        for backward in (False, True):
            expected = oldest_first[::-1] if descending != backward else oldest_first
            assert await positions(shop, listing, sizes, backward=backward) == expected


async def test_rows_of_a_smaller_number_of_shards_stay_in_the_list(shop: TestShop) -> None:
    fewer = TestShop(shop.client, shop.table_name, shop.tenant, shards=2)
    await fewer.put(*(items.user(n) for n in range(8)))
    await shop.put(*(items.user(n) for n in range(8, 16)))
    listing = users.with_status(shop.keys, "users", UserStatus.ACTIVE)
    assert await positions(shop, listing, [5]) == [
        f"{timestamp(moment(n))}#user-{n}" for n in range(16)
    ]


async def test_a_merged_page_reads_each_shard_once_or_twice(shop: TestShop) -> None:
    await shop.put(*(items.product(n) for n in range(60)))
    listing = products.with_status(shop.keys, "products", ProductStatus.ACTIVE, descending=True)
    shop.calls.clear()
    page = await engines.page_of(shop.table(), listing, 20, backward=False, start=None)
    assert len(page.entries) == 20
    assert 4 <= len(shop.calls) <= 8


async def test_a_year_of_orders_in_months_of_their_own_is_one_list(shop: TestShop) -> None:
    chance = random.Random(7)  # noqa: S311 - made-up times, no secrets
    minutes = sorted(chance.sample(range(60 * 24 * 365), 30))
    made = [items.order(n) for n in minutes]
    await shop.put(*made)
    expected = [f"{timestamp(each.placed_at)}#{each.id}" for each in made]
    listing = orders.placed(shop.keys, "orders", None, None, None, NOW)
    assert await positions(shop, listing, [7, 2]) == expected
    assert await positions(shop, listing, [4], backward=True) == expected[::-1]


async def test_the_store_in_memory_answers_as_the_real_one_does(shop: TestShop) -> None:
    keys: Keys = shop.keys
    memory = MemoryClient()
    memory.put(engines.rows(keys))
    await shop.put_rows(engines.rows(keys))
    answers: list[Any] = [
        await engines.everything(table, keys) for table in (memory.table(), shop.table())
    ]
    assert answers[0] == answers[1]
