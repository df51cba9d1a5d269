"""Counts that have gone wrong are found and mended in the real store, a tenant at a time."""

from __future__ import annotations

import asyncio

from datasources.items import Category, Item, Product, ProductStatus, from_row
from datasources.keys import Key
from datasources.operating.recount import Recounted, recount
from tests.support.items import category, new_id, product, review
from tests.support.shop import TestShop

ACTIVE, DRAFT = ProductStatus.ACTIVE, ProductStatus.DRAFT


async def count_again(shop: TestShop, *, mend: bool = False) -> tuple[Recounted, list[str]]:
    lines: list[str] = []

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    result = await recount(shop.table, shop.keys, mend=mend, report=lines.append, sleep=at_once)
    return result, lines


async def item_at(shop: TestShop, key: Key) -> Item:
    return from_row((await shop.table().batch_get([key], consistent=True))[key])


async def test_counts_that_have_gone_wrong_are_found_and_mended(shop: TestShop) -> None:
    goods = [product(n, category="toys", histogram=(0, 0, 0, 0, 9)) for n in range(40)]
    draft = product(50, category="toys", status=DRAFT)
    opinions = [review(n, goods[n % 40].id, f"user-{n}", rating=1 + n % 5) for n in range(400)]
    await shop.put(category("books"), category("toys", product_count=3), *goods, draft, *opinions)

    found, lines = await count_again(shop)
    assert found == Recounted(products=41, categories=2, different=41)
    assert lines[0] == f"{shop.tenant}: category toys: stored 3, counted 40"
    assert f"{shop.tenant}: product {goods[0].id}: stored 0 0 0 0 9, counted 10 0 0 0 0" in lines

    mended, _ = await count_again(shop, mend=True)
    assert mended == Recounted(products=41, categories=2, different=41, mended=41)
    assert await count_again(shop) == (Recounted(products=41, categories=2), [])

    toys = await item_at(shop, shop.keys.category("toys"))
    assert isinstance(toys, Category)
    assert toys.product_count == 40
    first = await item_at(shop, shop.keys.product(goods[0].id))
    assert first == goods[0].changed(histogram=(10, 0, 0, 0, 0))


async def test_the_other_tenants_are_left_alone(shop: TestShop) -> None:
    other = TestShop(shop.client, shop.table_name, tenant=f"{shop.tenant}-other")
    wrong = product(1, category=None, histogram=(5, 0, 0, 0, 0))
    await other.put(wrong)
    assert (await count_again(shop, mend=True))[0] == Recounted()
    assert await item_at(other, other.keys.product(wrong.id)) == wrong


async def test_rows_without_their_count_get_it(shop: TestShop) -> None:
    await shop.put(category("toys"), product(1, category="toys"), review(1, new_id(1, "product")))
    for key, attribute in (
        (shop.keys.product(new_id(1, "product")), "histogram"),
        (shop.keys.category("toys"), "productCount"),
    ):
        row = (await shop.table().batch_get([key]))[key]
        await shop.put_rows([{name: row[name] for name in row if name != attribute}])

    result, _ = await count_again(shop, mend=True)
    assert (result.different, result.mended) == (2, 2)
    mended = await item_at(shop, shop.keys.product(new_id(1, "product")))
    assert isinstance(mended, Product)
    assert mended.histogram == (0, 1, 0, 0, 0)
