"""What every engine must answer alike: rows to write, and all that is read of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from datasources import orders, products, users
from datasources.items import Item, OrderStatus, ProductStatus, UserStatus, from_row
from datasources.keys import GSI1, GSI2, GSI3, Key, Keys, SortRange
from datasources.listing import Bound, Listing, Page, read_page
from datasources.queries import Query
from datasources.table import Table
from tests.support import items
from tests.support.items import NOW
from tests.support.shop import rows_of


def rows(keys: Keys) -> list[dict[str, Any]]:
    made: list[Item] = [
        *(items.user(n) for n in range(7)),
        *(items.product(n, price=100 * (n % 3), category="books") for n in range(9)),
        *(items.order(n, f"user-{n % 2}", status=list(OrderStatus)[n % 2]) for n in range(11)),
    ]
    return [row for item in made for row in rows_of(keys, item)]


def listings(keys: Keys) -> list[Listing]:
    active = ProductStatus.ACTIVE
    return [
        users.with_status(keys, "users", UserStatus.ACTIVE),
        products.with_status(keys, "products", active, descending=False),
        products.of_category(keys, "products", "books", active, descending=True),
        products.of_category_by_price(
            keys, "products", "books", active, (100, None), descending=False
        ),
        orders.of_user(keys, "User.orders", "user-0", OrderStatus.PENDING),
        orders.placed(keys, "orders", None, None, None, NOW),
        orders.placed(keys, "orders", None, NOW, OrderStatus.PAID, NOW),
    ]


async def page_of(
    table: Table, listing: Listing, size: int, *, backward: bool, start: Bound | None
) -> Page:
    async def hydrate(keys: Sequence[Key]) -> Sequence[Item | None]:
        found = await table.batch_get(keys)
        return [from_row(found[key]) if key in found else None for key in keys]

    return await read_page(
        table, listing, size, backward=backward, start=start, hydrate=hydrate, budget=1_000
    )


async def everything(table: Table, keys: Keys) -> list[Any]:
    """What batches, queries and lists answer, in a form that can be compared."""
    wanted = [Key(row["PK"], row["SK"]) for row in rows(keys)]
    missing = keys.user("nobody")
    answers: list[Any] = [
        await table.batch_get([*wanted, missing, wanted[0]]),
        *[await _query(table, query) for query in _queries(keys)],
    ]
    for listing, backward in itertools.product(listings(keys), (False, True)):
        answers.append(await _walk(table, listing, backward=backward))
    return answers


def _queries(keys: Keys) -> list[Query]:
    customer, own_orders = keys.orders_of("user-0")
    shelf = keys.category_products("books", ProductStatus.ACTIVE)
    number = SortRange.beginning_with("PRICE#0000000000000100")
    return [
        Query(pk, bounds, index, descending, equals)
        for pk, bounds, index, equals in [
            (customer, own_orders, None, None),
            (customer, own_orders, None, ("status", "PAID")),
            (shelf, SortRange(), GSI1, None),
            (shelf, number, GSI3, None),
            (keys.order_number("NO-3"), SortRange(), GSI1, None),
            *((pk, SortRange(high="2026-11-20T11:55"), GSI2, None) for pk in keys.users("ACTIVE")),
            ("nothing", SortRange(low="a"), None, None),
        ]
        for descending in (False, True)
    ]


async def _query(table: Table, query: Query) -> list[Any]:
    """All pages of two rows: what each had, and how many rows were read for it."""
    pages, start = [], None
    while True:
        page = await table.query(query, limit=2, start=start)
        if page.read:  # whether an end is known before it is reached, engines differ
            pages.append((page.rows, page.read))
        start = page.start
        if start is None:
            return pages


async def _walk(table: Table, listing: Listing, *, backward: bool) -> list[Any]:
    pages, start = [], None
    while True:
        page = await page_of(table, listing, 3, backward=backward, start=start)
        pages.append([(entry.position, entry.key, entry.item) for entry in page.entries])
        if not page.more:
            return pages
        assert page.end is not None
        start = Bound(page.end)
