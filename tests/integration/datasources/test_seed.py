import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from datasources import orders
from datasources.client import Endpoint, open_client
from datasources.embedded import embedded_store
from datasources.items import (
    Category,
    Item,
    Order,
    OrderStatus,
    Product,
    ProductStatus,
    Review,
    Row,
    User,
    UserStatus,
    from_row,
)
from datasources.keys import EVERYTHING, GSI1, GSI2, GSI3, PK, SK, Key, Keys, SortRange
from datasources.operating.provision import provision
from datasources.queries import Query
from datasources.seed.demo import LAPTOP_ID, TARO, load_demo
from datasources.seed.generate import generate
from datasources.seed.load import load
from datasources.table import Table

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
REGION = "ap-northeast-1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartograph"
NOW = datetime.now(UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store_url() -> AsyncIterator[str]:
    async with embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _: None
    ) as url:
        async with open_client(Endpoint(REGION, url, local=True)) as client:
            await provision(client, "cartograph", TEMPLATE)
        yield url


@pytest_asyncio.fixture(loop_scope="function")
async def table(store_url: str) -> AsyncIterator[Table]:
    deadline = asyncio.get_running_loop().time() + 60
    async with open_client(Endpoint(REGION, store_url, local=True)) as client:
        yield Table(client, "cartograph", deadline)


@pytest.fixture
def keys() -> Keys:
    """A tenant of the test's own."""
    return Keys(uuid4().hex, 4)


async def queried(
    table: Table, pk: str, index: str | None = None, within: SortRange = EVERYTHING
) -> list[Item]:
    """All of a partition; where the index holds keys alone, the rows that they name."""
    rows: list[Row] = []
    start = None
    while True:
        page = await table.query(Query(pk, within, index), limit=200, start=start)
        rows += page.rows
        start = page.start
        if not start:
            break
    if index == GSI3:
        wanted = [Key(row[PK], row[SK]) for row in rows]
        found = await table.batch_get(wanted)
        rows = [found[key] for key in wanted]
    return [from_row(row) for row in rows]


async def over(table: Table, partitions: tuple[str, ...], index: str) -> list[Item]:
    return [item for pk in partitions for item in await queried(table, pk, index)]


async def categories(table: Table, keys: Keys) -> list[Category]:
    found = await queried(table, keys.categories(), GSI1)
    return [item for item in found if isinstance(item, Category)]


async def assert_categories_count_right(table: Table, keys: Keys) -> None:
    for category in await categories(table, keys):
        pk = keys.category_products(category.slug, ProductStatus.ACTIVE)
        for index in (GSI1, GSI3):
            listed = await queried(table, pk, index)
            assert len(listed) == category.product_count
            assert {item.category for item in listed if isinstance(item, Product)} <= {
                category.slug
            }


async def test_what_is_counted_in_the_table_is_what_the_rows_say(table: Table, keys: Keys) -> None:
    shop = generate(keys, users=150, products=120, orders=300, reviews=400, seed=1, now=NOW)
    assert await load(table, shop, total=len(shop)) == len(shop) > 1_900

    users = [u for status in UserStatus for u in await over(table, keys.users(status), GSI2)]
    assert len([user for user in users if isinstance(user, User)]) == 150

    await assert_categories_count_right(table, keys)

    products = [
        product
        for status in ProductStatus
        for product in await over(table, keys.products(status), GSI2)
        if isinstance(product, Product)
    ]
    assert len(products) == 120
    seen = 0
    for product in products:
        pk, whole = keys.reviews_of(product.id)
        reviews = await queried(table, pk, within=whole)
        stars = Counter(review.rating for review in reviews if isinstance(review, Review))
        assert list(product.histogram) == [stars[n] for n in range(1, 6)]
        seen += len(reviews)
    assert seen == 400


async def test_orders_are_found_by_status_month_customer_and_number(
    table: Table, keys: Keys
) -> None:
    shop = generate(keys, users=20, products=20, orders=120, reviews=0, seed=2, now=NOW)
    made = {item.id: item for item in map(from_row, shop) if isinstance(item, Order)}
    await load(table, shop)

    by_status = [o for status in OrderStatus for o in await over(table, keys.orders(status), GSI2)]
    assert {order.id: order for order in by_status if isinstance(order, Order)} == made

    months = {order.placed_at.strftime("%Y-%m") for order in made.values()}
    by_month = [o for month in months for o in await over(table, keys.orders_in(month), GSI3)]
    assert {order.id: order for order in by_month if isinstance(order, Order)} == made

    one = next(iter(made.values()))
    pk, whole = keys.orders_of(one.user_id)
    assert one in await queried(table, pk, within=whole)
    found = await orders.by_number(table, keys, one.number)
    assert found is not None
    assert from_row(found) == one


async def test_the_demo_data_is_loaded_once(table: Table, keys: Keys) -> None:
    assert await load_demo(table, keys, NOW) > 300
    assert await load_demo(table, keys, NOW) == 0

    found = await table.batch_get([keys.user(TARO), keys.product(LAPTOP_ID)])
    assert len(found) == 2
    await assert_categories_count_right(table, keys)


async def test_categories_count_right_when_a_seeded_shop_is_seeded_again(
    table: Table, keys: Keys
) -> None:
    await load_demo(table, keys, NOW)
    before = sum(category.product_count for category in await categories(table, keys))
    for _ in range(2):
        now = datetime.now(UTC)
        await load(
            table, generate(keys, users=5, products=60, orders=0, reviews=5, seed=1, now=now)
        )
    assert sum(category.product_count for category in await categories(table, keys)) > before + 90
    await assert_categories_count_right(table, keys)


async def test_tenants_have_shops_of_their_own(table: Table, keys: Keys) -> None:
    other = Keys(f"{keys.tenant}-other", keys.shards)
    await load_demo(table, keys, NOW)
    assert await categories(table, other) == []
    assert await load_demo(table, other, NOW) > 300
    await assert_categories_count_right(table, keys)
