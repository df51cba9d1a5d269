"""Every list of the schema, walked page by page in both directions over the real store."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from datasources.client import Endpoint, open_client
from datasources.items import (
    Category,
    Item,
    Order,
    OrderStatus,
    Product,
    ProductStatus,
    Review,
    User,
    UserStatus,
)
from datasources.keys import timestamp
from resolvers import global_ids
from tests.support import items
from tests.support.items import NOW, new_id
from tests.support.shop import TestShop

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TABLE = "cartograph"

PAGE = "first: $first, after: $after, last: $last, before: $before"
VARIABLES = "$first: Int, $after: String, $last: Int, $before: String"
CONNECTION = """{
  edges { cursor node { id } } nodes { id }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
}"""
MONTH = timedelta(days=31)

USER = global_ids.encode("User", "user-0")
ELECTRONICS = global_ids.encode("Category", "electronics")
PRODUCT = global_ids.encode("Product", new_id(0, "product"))
FROM, TO = (timestamp(NOW - n * MONTH) for n in (7, 1))


def made_shop() -> list[Item]:
    """Some dozens of rows, in every list several pages of them."""
    return [
        *(items.user(n, status=list(UserStatus)[n % 7 == 3]) for n in range(16)),
        *(items.category(slug) for slug in "electronics books toys garden music".split()),
        items.category("garden-tools", name="Garden tools"),
        *(
            items.product(
                n,
                price=100 * (n * 7 % 5),  # the same price often
                category=("electronics", "electronics", "books")[n % 3],
                status=list(ProductStatus)[n % 8 != 5],
            )
            for n in range(26)
        ),
        *(
            items.order(
                n,
                f"user-{n % 2}",
                status=list(OrderStatus)[n % 3],
                # Months without any order between others, some orders at one moment.
                placed_at=NOW - n % 5 * 2 * MONTH - timedelta(hours=n // 10),
            )
            for n in range(28)
        ),
        *(items.review(n, new_id(0, "product"), f"user-{n}") for n in range(11)),
        *(items.review(20 + n, new_id(n, "product"), "user-0") for n in range(1, 9)),
    ]


MADE = made_shop()


async def fill(endpoint: Endpoint, tenant: str) -> None:
    async with open_client(endpoint) as client:
        await TestShop(client, TABLE, tenant).put(*MADE)


@pytest.fixture(scope="module")
def tenant(endpoint: Endpoint) -> str:
    """The tenant of a shop that is filled once, for the tests that only read."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    asyncio.run(fill(endpoint, name))
    return name


@pytest.fixture
def filled(client: DynamoDBClient, tenant: str) -> TestShop:
    return TestShop(client, TABLE, tenant)


def chance_of(name: str) -> random.Random:
    return random.Random(name)  # noqa: S311 - sizes of pages, no secrets


@dataclass(frozen=True)
class List:
    """A list of the schema: where it is asked for, what it holds, and in which order."""

    field: str
    kind: type[Item]
    holds: Callable[[Any], bool]
    key: Callable[[Any], Any]
    descending: bool = True
    parent: str = ""

    @property
    def document(self) -> str:
        inside = f"{self.field} {CONNECTION}"
        return f"query({VARIABLES}) {{ {self.parent + ' {' if self.parent else ''} {inside} }}" + (
            "}" if self.parent else ""
        )

    def of(self, every: Sequence[Item]) -> list[str]:
        found = [each for each in every if isinstance(each, self.kind) and self.holds(each)]
        return [
            global_ids.of(each) for each in sorted(found, key=self.key, reverse=self.descending)
        ]


def by_creation(item: Any) -> tuple[str, str]:
    return timestamp(item.created_at), item.id


def by_placing(order: Order) -> tuple[str, str]:
    return timestamp(order.placed_at), order.id


def by_price(product: Product) -> tuple[int, str]:
    return product.price, product.id


def active(product: Product) -> bool:
    return product.status is ProductStatus.ACTIVE


def in_electronics(product: Product) -> bool:
    return active(product) and product.category == "electronics"


def mine(order: Order) -> bool:
    return order.user_id == "user-0"


def ranged(order: Order) -> bool:
    return NOW - 7 * MONTH <= order.placed_at < NOW - MONTH


def paid(order: Order) -> bool:
    return order.status is OrderStatus.PAID


IN_CATEGORY = f'products(categoryId: "{ELECTRONICS}", %s, {PAGE})'
CATEGORY = 'categoryBySlug(slug: "electronics")'
CHEAPEST = "orderBy: {field: PRICE, direction: ASC}"
PLACED = f'placed: {{from: "{FROM}", to: "{TO}"}}'

LISTS = {
    "users": List(f"users({PAGE})", User, lambda u: u.status is UserStatus.ACTIVE, by_creation),
    "suspended": List(
        f"users(status: SUSPENDED, {PAGE})",
        User,
        lambda u: u.status is UserStatus.SUSPENDED,
        by_creation,
    ),
    "products": List(f"products({PAGE})", Product, active, by_creation),
    "drafts": List(
        f"products(status: DRAFT, {PAGE})", Product, lambda p: not active(p), by_creation
    ),
    "oldest": List(
        f"products(orderBy: {{direction: ASC}}, {PAGE})", Product, active, by_creation, False
    ),
    "by date": List(
        IN_CATEGORY % "orderBy: {field: CREATED_AT}", Product, in_electronics, by_creation
    ),
    "by price": List(IN_CATEGORY % CHEAPEST, Product, in_electronics, by_price, False),
    "dearest": List(IN_CATEGORY % "orderBy: {field: PRICE}", Product, in_electronics, by_price),
    "in a price range": List(
        IN_CATEGORY % 'price: {min: "100", max: "300"}',
        Product,
        lambda p: in_electronics(p) and 100 <= p.price <= 300,
        by_price,
        False,
    ),
    "of a category": List(
        f"products({PAGE})", Product, in_electronics, by_creation, parent=CATEGORY
    ),
    "of a category by price": List(
        f"products({CHEAPEST}, {PAGE})", Product, in_electronics, by_price, False, CATEGORY
    ),
    "categories": List(
        f"categories({PAGE})", Category, lambda _: True, lambda c: c.name.casefold(), False
    ),
    "all orders": List(f"orders({PAGE})", Order, lambda _: True, by_placing),
    "paid orders": List(f"orders(status: PAID, {PAGE})", Order, paid, by_placing),
    "in a range": List(f"orders({PLACED}, {PAGE})", Order, ranged, by_placing),
    "paid in a range": List(
        f"orders({PLACED}, status: PAID, {PAGE})",
        Order,
        lambda o: ranged(o) and paid(o),
        by_placing,
    ),
    "my orders": List(f"orders({PAGE})", Order, mine, lambda o: o.id, parent="viewer"),
    "my paid orders": List(
        f"orders(status: PAID, {PAGE})",
        Order,
        lambda o: mine(o) and paid(o),
        lambda o: o.id,
        parent="viewer",
    ),
    "reviews of a product": List(
        f"reviews({PAGE})",
        Review,
        lambda r: r.product_id == new_id(0, "product"),
        lambda r: r.id,
        parent=f'product(id: "{PRODUCT}")',
    ),
    "reviews of a user": List(
        f"reviews({PAGE})",
        Review,
        lambda r: r.user_id == "user-0",
        lambda r: r.id,
        parent=f'user(id: "{USER}")',
    ),
}


async def page_of(shop: TestShop, wanted: List, **window: Any) -> dict[str, Any]:
    result = await shop.ask(wanted.document, user="user-0", staff=True, **window)
    assert result.errors == []
    found: dict[str, Any] = result.data
    while "pageInfo" not in found:
        [found] = found.values()
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    return found


def ids(page: dict[str, Any]) -> list[str]:
    return [node["id"] for node in page["nodes"]]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_walked_forward_is_the_list(filled: TestShop, name: str) -> None:
    wanted, sizes = LISTS[name], chance_of(name)
    expected = wanted.of(MADE)
    assert len(expected) > 1
    done, cursor = 0, None
    while done < len(expected):
        size = sizes.randint(1, 9)
        page = await page_of(filled, wanted, first=size, after=cursor)
        assert ids(page) == expected[done : done + size]
        info = page["pageInfo"]
        assert info["hasPreviousPage"] == (done > 0)
        assert info["hasNextPage"] == (done + size < len(expected))
        assert info["startCursor"] == page["edges"][0]["cursor"]
        assert info["endCursor"] == page["edges"][-1]["cursor"]
        done, cursor = done + size, info["endCursor"]
    page = await page_of(filled, wanted, first=5, after=cursor)
    assert ids(page) == []
    assert page["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_walked_backward_is_the_list(filled: TestShop, name: str) -> None:
    wanted, sizes = LISTS[name], chance_of(name)
    expected = wanted.of(MADE)
    left, cursor = len(expected), None
    while left > 0:
        size = sizes.randint(1, 9)
        page = await page_of(filled, wanted, last=size, before=cursor)
        assert ids(page) == expected[max(0, left - size) : left]
        info = page["pageInfo"]
        assert info["hasPreviousPage"] == (left > size)
        assert info["hasNextPage"] == (left < len(expected))
        left, cursor = left - size, info["startCursor"]


def newcomer(kind: type[Item], number: int, chance: random.Random) -> Item:
    """An item that another client adds somewhere in the list meanwhile."""
    at = chance.randint(0, 60)
    match kind.__name__:
        case "User":
            return items.user(at, id=f"new-{number}", username=f"new{number}")
        case "Product":
            changes = {"id": new_id(at, f"new{number}"), "price": chance.randint(0, 500)}
            return items.product(at, **changes)
        case "Order":
            placed = NOW - timedelta(days=chance.randint(0, 300))
            return items.order(
                100 + number, placed_at=placed, status=OrderStatus.PAID, id=new_id(at, f"o{number}")
            )
        case _:
            return items.review(at, new_id(0, "product"), f"new-{number}", id=new_id(at, "new"))


@pytest.mark.parametrize(
    "name",
    ["users", "products", "by price", "all orders", "my paid orders", "reviews of a product"],
)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
async def test_what_was_there_is_seen_once_while_others_insert(
    shop: TestShop, name: str, backward: bool
) -> None:
    made, wanted, chance = MADE, LISTS[name], chance_of(name)
    await shop.put(*(each for each in made if isinstance(each, wanted.kind | Product | User)))
    seen: list[str] = []
    cursor, number = None, 0
    while True:
        size = chance.randint(1, 6)
        window = {"last": size, "before": cursor} if backward else {"first": size, "after": cursor}
        page = await page_of(shop, wanted, **window)
        seen = [*ids(page), *seen] if backward else [*seen, *ids(page)]
        info = page["pageInfo"]
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            break
        cursor = info["startCursor" if backward else "endCursor"]
        if number < 12:
            more = [newcomer(wanted.kind, number + n, chance) for n in range(2)]
            await shop.put(*more)
            made = [*made, *more]
            number += 2
    assert len(seen) == len(set(seen))
    assert set(wanted.of(MADE)) <= set(seen)
    in_order = [each for each in wanted.of(made) if each in set(seen)]
    assert seen == in_order


async def test_a_cursor_goes_both_ways_and_with_every_size(filled: TestShop) -> None:
    wanted = LISTS["products"]
    expected = wanted.of(MADE)
    middle = (await page_of(filled, wanted, first=8))["pageInfo"]["endCursor"]
    assert ids(await page_of(filled, wanted, before=middle)) == expected[:7]
    assert ids(await page_of(filled, wanted, after=middle)) == expected[8:28]
    assert ids(await page_of(filled, wanted, last=3, before=middle)) == expected[4:7]
    assert ids(await page_of(filled, wanted, first=100, after=middle)) == expected[8:]


async def test_a_cursor_of_another_list_or_tenant_is_refused(filled: TestShop) -> None:
    for of, others in {
        "products": ["drafts", "oldest", "by date", "of a category", "users"],
        "by price": ["dearest", "in a price range", "by date", "of a category by price"],
        "all orders": ["paid orders", "in a range", "my orders"],
        "my paid orders": ["my orders", "paid orders"],
    }.items():
        cursor = (await page_of(filled, LISTS[of], first=1))["pageInfo"]["endCursor"]
        for other in others:
            for window in ({"after": cursor}, {"before": cursor}):
                result = await filled.ask(
                    LISTS[other].document, user="user-0", staff=True, **window
                )
                assert result.codes == ["INVALID_CURSOR"], (of, other)
                [name] = window
                assert result.errors[0]["extensions"]["argument"] == name
                assert "Query" not in result.names()

    tenant = TestShop(filled.client, TABLE, f"{filled.tenant}x")
    cursor = (await page_of(filled, LISTS["products"], first=1))["pageInfo"]["endCursor"]
    theirs = await tenant.ask(LISTS["products"].document, user="user-0", staff=True, after=cursor)
    assert theirs.codes == ["INVALID_CURSOR"]


async def test_the_other_direction_is_looked_up_only_when_asked(filled: TestShop) -> None:
    wanted = LISTS["reviews of a product"]
    end = (await page_of(filled, wanted, first=3))["pageInfo"]["endCursor"]
    for asked, queries in (("hasNextPage", 1), ("hasPreviousPage", 2), ("endCursor", 1)):
        document = wanted.document.replace(
            CONNECTION, f"{{ nodes {{ id }} pageInfo {{ {asked} }} }}"
        )
        result = await filled.ask(document, user="user-0", first=3, after=end)
        assert result.errors == []
        assert result.names().count("Query") == queries
