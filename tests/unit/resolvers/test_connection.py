"""Connections: windows that cannot be meant, pages both ways, and cursors that are this list's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources import orders, products, reviews, users
from datasources.cursor import CursorCodec
from datasources.errors import BadUserInput, InvalidCursor
from datasources.items import OrderStatus, ProductStatus, Review, UserStatus
from datasources.keys import Keys
from datasources.listing import Listing
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context, Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from streams.journal import MemoryJournal
from tests.support import items
from tests.support.items import NOW, new_id
from tests.support.memory import MemoryClient

PRODUCT = new_id(0, "product")
CURSORS = CursorCodec(["a key of sixteen or more"])


def context(client: MemoryClient, *, tenant: str = "t", read_budget: int = 2_000) -> Context:
    """A fresh operation over the rows of the client."""
    shop = Shop(
        journal=MemoryJournal(lambda: NOW),
        client=client.as_client(),
        table="shop",
        shards=2,
        currency=Currency("JPY", 0),
        cursors=CURSORS,
        deadline=60,
        read_budget=read_budget,
        now=lambda: NOW,
    )
    return shop.operation(Principal("user-0", tenant, False, None), "request-1", writes=False)


def reviewed(count: int) -> MemoryClient:
    """A product with so many reviews, number 0 the newest."""
    client = MemoryClient()
    client.put(reviews.row(Keys("t", 2), items.review(n, PRODUCT)) for n in range(count))
    return client


LISTING = reviews.of_product(Keys("t", 2), "Product.reviews", PRODUCT)
IDS = [new_id(n, "review") for n in range(50)]


async def page_of(client: MemoryClient, window: Window, **changes: Any) -> Connection:
    return await connect(context(client, **changes), LISTING, window)


def ids(page: Connection) -> list[str]:
    return [node.id for node in page.nodes if isinstance(node, Review)]


# --- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "argument"),
    [
        (Window(first=1, last=1), "first"),
        (Window(first=1, before="c"), "first"),
        (Window(after="c", last=1), "after"),
        (Window(after="c", before="c"), "before"),
        (Window(first=1, after="c", before="c"), "first"),
        (Window(first=1, after="c", last=1, before="c"), "first"),
        (Window(first=0), "first"),
        (Window(first=101), "first"),
        (Window(first=-1), "first"),
        (Window(first=0, after="c"), "first"),
        (Window(last=0), "last"),
        (Window(last=101), "last"),
        (Window(last=101, before="c"), "last"),
    ],
    ids=str,
)
async def test_a_window_that_cannot_be_meant_names_its_argument(
    window: Window, argument: str
) -> None:
    client = reviewed(1)
    with pytest.raises(BadUserInput, match=f"^{argument}: ") as refused:
        await page_of(client, window)
    assert refused.value.details == {"argument": argument}
    assert client.calls == []


@pytest.mark.parametrize(
    ("window", "size"),
    [
        (Window(), 20),
        (Window(after="c"), 20),
        (Window(before="c"), 20),
        (Window(first=1), 1),
        (Window(last=1), 1),
        (Window(first=100, after="c"), 100),
        (Window(last=100, before="c"), 100),
    ],
    ids=str,
)
def test_a_window_has_twenty_entries_or_as_many_as_it_says(window: Window, size: int) -> None:
    assert window.size() == size
    assert window.backward == (window.last is not None or window.before is not None)


async def test_without_arguments_the_first_twenty_come() -> None:
    assert ids(await page_of(reviewed(25), Window())) == IDS[:20]


async def test_with_before_alone_the_twenty_before_it_come() -> None:
    client = reviewed(30)
    end = (await page_of(client, Window(last=1))).start_cursor
    assert ids(await page_of(client, Window(before=end))) == IDS[9:29]


# --- pages -----------------------------------------------------------------------------------


async def facts(page: Connection) -> tuple[list[str], bool, bool]:
    return ids(page), await page.has_previous_page(), await page.has_next_page()


@given(
    st.integers(0, 25),
    st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=6),
    st.data(),
)
async def test_every_page_says_exactly_what_is_before_and_behind_it(
    count: int, steps: list[tuple[bool, int]], data: st.DataObject
) -> None:
    """Walks to and fro with cursors of whichever edge, under other sizes each time."""
    client, every = reviewed(count), IDS[:count]
    cursor, place = None, 0
    for backward, size in steps:
        if cursor is None:
            low = max(0, count - size) if backward else 0
            high = count if backward else min(count, size)
        else:
            low = max(0, place - size) if backward else place + 1
            high = place if backward else min(count, place + 1 + size)
        window = Window(last=size, before=cursor) if backward else Window(size, cursor)
        page = await page_of(client, window)
        assert await facts(page) == (
            every[low:high],
            low > 0 if backward or cursor is not None else False,
            high < count if not backward or cursor is not None else False,
        )
        assert [edge.node for edge in page.edges] == page.nodes
        if not page.edges:
            assert page.start_cursor is page.end_cursor is None
            continue
        assert page.start_cursor == page.edges[0].cursor
        assert page.end_cursor == page.edges[-1].cursor
        at = data.draw(st.integers(0, len(page.edges) - 1))
        cursor, place = page.edges[at].cursor, low + at


async def test_behind_the_last_entry_there_is_an_empty_page_with_one_before_it() -> None:
    client = reviewed(3)
    end = (await page_of(client, Window(first=3))).end_cursor
    assert await facts(await page_of(client, Window(first=3, after=end))) == ([], True, False)
    start = (await page_of(client, Window(first=3))).start_cursor
    assert await facts(await page_of(client, Window(last=3, before=start))) == ([], False, True)


async def test_an_empty_list_has_no_page_before_or_behind() -> None:
    for window in (Window(first=3), Window(last=3)):
        page = await page_of(reviewed(0), window)
        assert await facts(page) == ([], False, False)
        assert page.page_info.start_cursor is page.page_info.end_cursor is None


async def test_when_all_before_the_cursor_is_deleted_there_is_no_page_before() -> None:
    client = reviewed(4)
    cursor = (await page_of(client, Window(first=2))).end_cursor
    for n in (0, 1):
        del client.rows[Keys("t", 2).review(PRODUCT, IDS[n])]
    page = await page_of(client, Window(first=2, after=cursor))
    assert await facts(page) == (IDS[2:4], False, False)


async def test_the_way_back_is_looked_up_only_when_asked_and_once() -> None:
    client = reviewed(10)
    first = await page_of(client, Window(first=3))
    assert len(client.calls) == 1
    assert await first.has_next_page()
    assert not await first.has_previous_page()
    assert len(client.calls) == 1  # it began at the beginning

    second = await page_of(client, Window(first=3, after=first.end_cursor))
    assert await second.has_next_page()
    assert len(client.calls) == 2
    assert await second.has_previous_page()
    assert await second.has_previous_page()
    assert len(client.calls) == 3
    assert client.calls[-1][1]["Limit"] == 1


async def test_the_same_page_twice_in_an_operation_is_one_call() -> None:
    client = reviewed(5)
    one = context(client)
    pages = [await connect(one, LISTING, Window(first=2)) for _ in range(2)]
    assert ids(pages[0]) == ids(pages[1])
    assert len(client.calls) == 1


async def test_a_page_cut_short_by_the_budget_has_a_cursor_to_go_on_from() -> None:
    keys, client = Keys("t", 2), MemoryClient()
    client.put(
        orders.row(
            keys, items.order(n, status=OrderStatus.PAID if n == 90 else OrderStatus.PENDING)
        )
        for n in range(100)
    )
    listing = orders.of_user(keys, "User.orders", "user-0", OrderStatus.PAID)
    for backward in (False, True):
        found: list[Any] = []
        cursor, empty = None, 0
        for _ in range(20):
            window = Window(last=5, before=cursor) if backward else Window(5, cursor)
            page = await connect(context(client, read_budget=20), listing, window)
            found += page.nodes
            empty += not page.nodes
            more = await (page.has_previous_page() if backward else page.has_next_page())
            if not more:
                break
            cursor = page.start_cursor if backward else page.end_cursor
            assert cursor is not None
        assert [order.number for order in found] == ["NO-90"]
        assert empty > 0


# --- cursors ---------------------------------------------------------------------------------

KEYS = Keys("t", 2)
MONTH = (NOW - timedelta(days=30), NOW)
ELECTRONICS = ("products", "electronics", ProductStatus.ACTIVE)

LISTINGS: dict[str, Listing] = {
    "reviews of a product": LISTING,
    "of another product": reviews.of_product(KEYS, "Product.reviews", new_id(1, "product")),
    "of another tenant": reviews.of_product(Keys("u", 2), "Product.reviews", PRODUCT),
    "reviews by a user": reviews.by_user(KEYS, "User.reviews", "user-0"),
    "reviews by another": reviews.by_user(KEYS, "User.reviews", "user-1"),
    "orders of a user": orders.of_user(KEYS, "User.orders", "user-0", None),
    "orders of another": orders.of_user(KEYS, "User.orders", "user-1", None),
    "with a status": orders.of_user(KEYS, "User.orders", "user-0", OrderStatus.PAID),
    "with another status": orders.of_user(KEYS, "User.orders", "user-0", OrderStatus.SHIPPED),
    "all orders": orders.placed(KEYS, "orders", None, None, None, NOW),
    "from a time": orders.placed(KEYS, "orders", NOW, None, None, NOW),
    "to a time": orders.placed(KEYS, "orders", None, NOW, None, NOW),
    "in a range": orders.placed(KEYS, "orders", *MONTH, None, NOW),
    "paid in a range": orders.placed(KEYS, "orders", *MONTH, OrderStatus.PAID, NOW),
    "active users": users.with_status(KEYS, "users", UserStatus.ACTIVE),
    "suspended users": users.with_status(KEYS, "users", UserStatus.SUSPENDED),
    "products": products.with_status(KEYS, "products", ProductStatus.ACTIVE, descending=True),
    "oldest first": products.with_status(KEYS, "products", ProductStatus.ACTIVE, descending=False),
    "drafts": products.with_status(KEYS, "products", ProductStatus.DRAFT, descending=True),
    "of a category": products.of_category(KEYS, *ELECTRONICS, descending=True),
    "under a category": products.of_category(
        KEYS, "Category.products", *ELECTRONICS[1:], descending=True
    ),
    "by price": products.of_category_by_price(KEYS, *ELECTRONICS, (None, None), descending=True),
    "cheapest first": products.of_category_by_price(
        KEYS, *ELECTRONICS, (None, None), descending=False
    ),
    "from a price": products.of_category_by_price(KEYS, *ELECTRONICS, (5, None), descending=True),
    "to a price": products.of_category_by_price(KEYS, *ELECTRONICS, (None, 5), descending=True),
}


@pytest.mark.parametrize("backward", [False, True])
async def test_a_cursor_is_refused_by_every_list_but_its_own(backward: bool) -> None:
    client = MemoryClient()
    for made_for, listing in LISTINGS.items():
        cursor = CURSORS.seal("2026-11-20T12:00:00.000Z#x", listing.binding)
        window = Window(before=cursor) if backward else Window(after=cursor)
        for name, other in LISTINGS.items():
            if name == made_for:
                continue
            with pytest.raises(InvalidCursor) as refused:
                await connect(context(client), other, window)
            assert refused.value.details == {"argument": "before" if backward else "after"}
    assert client.calls == []


@pytest.mark.parametrize("cursor", ["", "x", "太郎", "A" * 60, "user-1"])
async def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor, match=r"^after: "):
        await page_of(reviewed(1), Window(after=cursor))
    with pytest.raises(InvalidCursor, match=r"^before: "):
        await page_of(reviewed(1), Window(before=cursor))


async def test_a_cursor_is_sealed_only_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed: list[str] = []
    seal = CursorCodec.seal

    def count(self: CursorCodec, position: str, binding: Any) -> str:
        sealed.append(position)
        return seal(self, position, binding)

    monkeypatch.setattr(CursorCodec, "seal", count)
    page = await page_of(reviewed(5), Window(first=5))
    assert len(page.nodes) == 5
    assert sealed == []
    assert page.end_cursor
    assert len(sealed) == 1
