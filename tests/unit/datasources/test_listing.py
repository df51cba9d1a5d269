"""Lists read page by page: nothing lost, nothing twice, whatever the pages and whatever happens
between them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources import products
from datasources.items import Item, Product, ProductStatus, Row, Unique, from_row
from datasources.keys import GSI2, Key, Keys, SortRange
from datasources.listing import Bound, Listing, Page, read_page
from tests.support import items
from tests.support.memory import MemoryClient

ENOUGH = 1_000_000
FILTER = ("status", "PAID")


def row(partition: int, number: int, status: str = "PAID") -> Row:
    """A row of one partition of the table, and of one of GSI2, under the same sort key."""
    sk = f"{number:04d}"
    return {
        "PK": f"p{partition}",
        "SK": sk,
        "GSI2PK": f"p{partition}",
        "GSI2SK": sk,
        "entity": "Unique",
        "userId": sk,
        "status": status,
    }


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Rows of up to four partitions, of which some pass the filter."""
    numbers = draw(st.lists(st.integers(0, 60), unique=True, max_size=40))
    partitions = draw(st.integers(1, 4))
    return [
        row(draw(st.integers(0, partitions - 1)), n, draw(st.sampled_from(["PAID", "PENDING"])))
        for n in numbers
    ]


listings = st.builds(
    Listing,
    binding=st.just(("t", "list")),
    kind=st.just(Unique),
    partitions=st.just(("p0", "p1", "p2", "p3")),
    index=st.sampled_from([None, GSI2]),
    range=st.sampled_from(
        [SortRange(), SortRange("0010", "0050"), SortRange(low="0020"), SortRange(high="0030")]
    ),
    descending=st.booleans(),
    equals=st.sampled_from([None, FILTER]),
)
sizes = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def expected(rows: Sequence[Row], listing: Listing, *, backward: bool = False) -> list[str]:
    """The sort keys that the list holds, in the order of reading."""
    low, high = listing.range.low or "", listing.range.high or "~"
    found = sorted(
        str(row["SK"])
        for row in rows
        if low <= row["SK"] <= high and (not listing.equals or row["status"] == listing.equals[1])
    )
    return found[::-1] if listing.descending != backward else found


async def hydrate_nothing(keys: Sequence[Key]) -> Sequence[Item | None]:
    raise AssertionError("an index that projects all needs no second read")


async def page_of(
    client: MemoryClient,
    listing: Listing,
    size: int,
    start: Bound | None = None,
    *,
    backward: bool = False,
    budget: int = ENOUGH,
) -> Page:
    return await read_page(
        client.table(),
        listing,
        size,
        backward=backward,
        start=start,
        hydrate=hydrate_nothing,
        budget=budget,
    )


def positions(page: Page) -> list[str]:
    return [entry.position for entry in page.entries]


@given(tables(), listings, sizes, st.booleans(), st.sampled_from([1, 2, 3, ENOUGH]))
async def test_pages_together_are_the_list_and_say_exactly_whether_there_are_more(
    rows: list[Row], listing: Listing, sizes: list[int], backward: bool, page_rows: int
) -> None:
    client = MemoryClient(page_rows)
    client.put(rows)
    left = expected(rows, listing, backward=backward)
    start, turn = None, 0
    while True:
        size = sizes[turn % len(sizes)]
        page = await page_of(client, listing, size, start, backward=backward)
        assert positions(page) == left[:size]
        left = left[size:]
        assert page.more == bool(left)
        if not page.more:
            break
        assert page.end == page.entries[-1].position
        start, turn = Bound(page.end), turn + 1


@given(tables(), listings, st.integers(0, 60), st.booleans(), st.integers(0, 5))
async def test_a_page_starts_at_any_position_or_behind_it(
    rows: list[Row], listing: Listing, number: int, inclusive: bool, size: int
) -> None:
    client = MemoryClient()
    client.put(rows)
    position = f"{number:04d}"
    low, high = listing.range.low or "", listing.range.high or "~"
    if not low <= position <= high:
        return  # no page of this list has ended there

    def behind(key: str) -> bool:
        if key == position:
            return inclusive
        return key < position if listing.descending else key > position

    page = await page_of(client, listing, size, Bound(position, inclusive))
    wanted = [key for key in expected(rows, listing) if behind(key)]
    assert positions(page) == wanted[:size]
    assert page.more == (len(wanted) > size)


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    return draw(
        st.lists(
            st.tuples(st.sampled_from(["put", "delete"]), st.integers(0, 3), st.integers(0, 60)),
            max_size=4,
        )
    )


@given(
    tables(),
    listings,
    st.integers(1, 6),
    st.booleans(),
    st.lists(changes(), min_size=30, max_size=30),
    st.sampled_from([2, ENOUGH]),
)
async def test_what_was_there_throughout_is_seen_once_while_others_write(
    rows: list[Row],
    listing: Listing,
    size: int,
    backward: bool,
    between: list[list[tuple[str, int, int]]],
    page_rows: int,
) -> None:
    client = MemoryClient(page_rows)
    client.put(rows)
    throughout = {row["SK"]: row for row in rows}
    ever = set(throughout)
    seen: list[str] = []
    start = None
    for turn in range(200):
        page = await page_of(client, listing, size, start, backward=backward)
        seen += positions(page)
        if not page.more:
            break
        assert page.end is not None
        start = Bound(page.end)
        for what, partition, number in between[turn] if turn < len(between) else []:
            sk = f"{number:04d}"
            there = [key for key in client.rows if key.sk == sk]
            if what == "delete":
                for key in there:
                    del client.rows[key]
                throughout.pop(sk, None)
            elif not there:
                client.put([row(partition, number)])
                ever.add(sk)

    assert not page.more
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=listing.descending != backward)
    assert set(expected(list(throughout.values()), listing)) <= set(seen) <= ever


async def test_the_position_of_a_deleted_row_still_works() -> None:
    client = MemoryClient()
    client.put(row(n % 2, n) for n in range(6))
    listing = Listing(("t", "list"), Unique, ("p0", "p1"), descending=False)
    page = await page_of(client, listing, 2)
    assert page.end == "0001"
    del client.rows[Key("p1", "0001")]
    assert positions(await page_of(client, listing, 2, Bound("0001"))) == ["0002", "0003"]
    assert positions(await page_of(client, listing, 2, Bound("0001"), backward=True)) == ["0000"]


async def test_a_list_without_rows_is_an_empty_page() -> None:
    page = await page_of(MemoryClient(), Listing(("t", "list"), Unique, ("p0", "p1")), 5)
    assert page == Page([], False, None)


# --- how much is read ------------------------------------------------------------------------


async def test_a_page_of_one_partition_is_one_query_of_its_size_and_one_more() -> None:
    client = MemoryClient()
    client.put(row(0, n) for n in range(50))
    page = await page_of(client, Listing(("t", "list"), Unique, ("p0",)), 10)
    assert len(page.entries) == 10
    assert [call["Limit"] for call in client.named("query")] == [11]


async def test_a_merged_page_asks_each_partition_once_for_its_share() -> None:
    client = MemoryClient()
    client.put(row(n % 4, n) for n in range(200))
    page = await page_of(client, Listing(("t", "list"), Unique, ("p0", "p1", "p2", "p3")), 40)
    assert len(page.entries) == 40
    calls = client.named("query")
    assert len(calls) == 4
    assert all(call["Limit"] < 41 for call in calls)


async def test_a_merged_page_asks_again_only_the_partitions_that_have_run_dry() -> None:
    client = MemoryClient()
    client.put([*(row(0, n) for n in range(40)), *(row(1, n) for n in range(40, 90))])
    listing = Listing(("t", "list"), Unique, ("p0", "p1"), descending=False)
    page = await page_of(client, listing, 30)
    assert positions(page) == [f"{n:04d}" for n in range(30)]
    asked = [call["ExpressionAttributeValues"][":pk"]["S"] for call in client.named("query")]
    assert asked.count("p1") == 1
    assert asked.count("p0") == 2


async def test_a_rare_row_is_found_in_ever_larger_reads() -> None:
    client = MemoryClient()
    client.put(row(0, n, "PENDING" if n else "PAID") for n in range(1_000))
    page = await page_of(client, Listing(("t", "list"), Unique, ("p0",), equals=FILTER), 1)
    assert positions(page) == ["0000"]
    limits = [call["Limit"] for call in client.named("query")]
    assert limits == sorted(limits)
    assert limits[-1] == 250
    assert len(limits) < 15


@given(tables(), listings, st.integers(1, 5), st.booleans(), st.integers(1, 8))
async def test_a_page_cut_short_by_the_budget_can_be_gone_on_from(
    rows: list[Row], listing: Listing, size: int, backward: bool, budget: int
) -> None:
    client = MemoryClient()
    client.put(rows)
    seen: list[str] = []
    start = None
    for _ in range(200):
        page = await page_of(client, listing, size, start, backward=backward, budget=budget)
        seen += positions(page)
        assert len(page.entries) <= size
        if not page.more:
            break
        assert page.end is not None
        start = Bound(page.end)
    assert not page.more
    assert seen == expected(rows, listing, backward=backward)


async def test_a_budget_that_is_hit_is_logged_with_its_list_and_without_keys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = MemoryClient()
    client.put(row(0, n, "PENDING") for n in range(100))
    listing = Listing(("t", "User.orders", "user-1"), Unique, ("p0",), equals=FILTER)
    with caplog.at_level(logging.WARNING, "datasources.listing"):
        page = await page_of(client, listing, 5, budget=20)
    assert page.entries == []
    assert page.more
    [record] = caplog.records
    assert "User.orders" in record.getMessage()
    assert "user-1" not in record.getMessage()
    assert 20 <= sum(call["Limit"] for call in client.named("query")) < 100


async def test_a_list_that_ends_within_the_budget_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = MemoryClient()
    client.put(row(0, n, "PENDING") for n in range(20))
    listing = Listing(("t", "User.orders", "user-1"), Unique, ("p0",), equals=FILTER)
    page = await page_of(client, listing, 30, budget=20)
    assert page == Page([], False, None)
    assert caplog.records == []


# --- the index by price, which holds keys alone and lags --------------------------------------

KEYS = Keys("t", 4)
BY_PRICE = products.of_category_by_price(
    KEYS, "products", "electronics", ProductStatus.ACTIVE, (None, None), descending=False
)


def goods(*prices: int, **changes: Any) -> list[Product]:
    return [items.product(n, price=price, **changes) for n, price in enumerate(prices)]


async def priced(client: MemoryClient, size: int, start: Bound | None = None) -> Page:
    """A page by price, the items behind the keys read as the loaders do."""
    table = client.table()

    async def hydrate(keys: Sequence[Key]) -> Sequence[Item | None]:
        found = await table.batch_get(keys)
        return [from_row(found[key]) if key in found else None for key in keys]

    return await read_page(
        table, BY_PRICE, size, backward=False, start=start, hydrate=hydrate, budget=ENOUGH
    )


def prices(page: Page) -> list[int]:
    return [entry.item.price for entry in page.entries if isinstance(entry.item, Product)]


async def test_products_come_by_price_with_all_that_the_index_lacks() -> None:
    client = MemoryClient()
    client.put(products.row(KEYS, each) for each in goods(30, 10, 20))
    page = await priced(client, 2)
    assert prices(page) == [10, 20]
    assert all(isinstance(entry.item, Product) and entry.item.name for entry in page.entries)
    assert len(client.named("batch_get_item")) == 1


@pytest.mark.parametrize(
    "since",
    [
        {"price": 99},
        {"category": "books"},
        {"category": None},
        {"status": ProductStatus.ARCHIVED},
        None,
    ],
    ids=["dearer", "moved", "uncategorised", "archived", "deleted"],
)
async def test_stale_entries_of_the_index_are_left_out_and_the_page_is_filled(
    since: dict[str, Any] | None,
) -> None:
    client = MemoryClient()
    before = goods(*range(1, 31))
    client.put(products.row(KEYS, each) for each in before)
    for stale in before[:20]:  # the cheapest, which the index puts first
        there = products.row(KEYS, stale)
        del client.rows[KEYS.product(stale.id)]
        client.ghosts.append(there)
        if since is not None:
            now = products.row(KEYS, stale.changed(**since))
            # Not in the index yet where it is now: only the table has it.
            client.put([{n: v for n, v in now.items() if not n.startswith("GSI3")}])

    page = await priced(client, 5)
    assert prices(page) == [21, 22, 23, 24, 25]
    assert page.more
    assert page.end is not None
    rest = await priced(client, 5, Bound(page.end))
    assert prices(rest) == [26, 27, 28, 29, 30]
    assert not rest.more


async def test_a_product_whose_price_has_changed_is_listed_once() -> None:
    client = MemoryClient()
    [product, *others] = goods(10, 20, 30)
    client.put(products.row(KEYS, each) for each in others)
    client.ghosts.append(products.row(KEYS, product))  # at 10 still
    client.put([products.row(KEYS, product.changed(price=25))])
    assert prices(await priced(client, 10)) == [20, 25, 30]


async def test_prices_have_both_ends_of_their_range() -> None:
    client = MemoryClient()
    client.put(products.row(KEYS, each) for each in goods(9, 10, 15, 20, 21))
    listing = products.of_category_by_price(
        KEYS, "products", "electronics", ProductStatus.ACTIVE, (10, 20), descending=True
    )
    [batch] = [
        batch
        async for batch in listing.batches(client.table(), backward=False, start=None, limit=10)
    ]
    assert [int(place.position.split("#")[1]) for place in batch.places] == [20, 15, 10]
