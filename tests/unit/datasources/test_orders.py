"""Orders by time: months in partitions of their own are one list, gaps and ends included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources import orders
from datasources.items import Item, Order, OrderStatus, from_row
from datasources.keys import Key, Keys, timestamp
from datasources.listing import Bound, Listing, Page, read_page
from tests.support import items
from tests.support.items import NOW
from tests.support.memory import MemoryClient

KEYS = Keys("t", 2)


def at(text: str) -> datetime:
    """A moment in UTC: `2026-11`, `2026-11-20` or more."""
    return datetime.fromisoformat(text if text.count("-") > 1 else f"{text}-01").replace(tzinfo=UTC)


def order_at(number: int, placed: datetime, **changes: Any) -> Order:
    return items.order(number, f"user-{number % 3}", placed_at=placed, **changes)


def shop_of(*made: Order) -> MemoryClient:
    client = MemoryClient()
    client.put(orders.row(KEYS, each) for each in made)
    return client


def whole(
    start: datetime | None = None, end: datetime | None = None, now: datetime = NOW
) -> Listing:
    return orders.placed(KEYS, "orders", start, end, None, now)


async def page_of(
    client: MemoryClient,
    listing: Listing,
    size: int,
    start: Bound | None = None,
    *,
    backward: bool = False,
) -> Page:
    table = client.table()

    async def hydrate(keys: Sequence[Key]) -> Sequence[Item | None]:
        found = await table.batch_get(keys)
        return [from_row(found[key]) if key in found else None for key in keys]

    return await read_page(
        table, listing, size, backward=backward, start=start, hydrate=hydrate, budget=10_000
    )


def ids(page: Page) -> list[str]:
    return [entry.item.id for entry in page.entries if isinstance(entry.item, Order)]


def months_read(client: MemoryClient) -> list[str]:
    """The months whose partitions were queried, each once, in order."""
    asked = (
        call["ExpressionAttributeValues"][":pk"]["S"].split("#")[2]
        for call in client.named("query")
        if call["IndexName"] == "GSI3"
    )
    return list(dict.fromkeys(asked))


def lookups(client: MemoryClient) -> int:
    """How often the next busy month was looked up: one query a status and shard."""
    count = len([call for call in client.named("query") if call["IndexName"] == "GSI2"])
    times, rest = divmod(count, len(OrderStatus) * KEYS.shards)
    assert rest == 0
    return times


# --- rows ------------------------------------------------------------------------------------


def test_an_order_is_in_the_indexes_by_number_by_status_and_by_month() -> None:
    placed = at("2026-10-31T23:59:59.999")
    row = orders.row(Keys("t", 1), order_at(1, placed, status=OrderStatus.PAID))
    assert row["GSI1PK"] == "t#ORDERNO#NO-1"
    assert row["GSI2PK"] == "t#ORDERS#PAID#0"
    assert row["GSI3PK"] == "t#ORDERS#2026-10#0"
    assert row["GSI2SK"] == row["GSI3SK"] == f"{timestamp(placed)}#{row['id']}"


def test_a_delivered_product_is_marked_once_however_many_lines_it_has() -> None:
    line = items.order(1).items[0]
    order = items.order(1, lines=(line, line))
    [row] = orders.purchased_rows(KEYS, order, NOW)
    assert (row["PK"], row["SK"]) == KEYS.purchased("user-0", line.product_id)
    assert from_row(row).to_attributes()["at"] == timestamp(NOW)


async def test_an_order_is_found_by_its_number_with_one_query() -> None:
    client = shop_of(order_at(1, NOW), order_at(2, NOW))
    row = await orders.by_number(client.table(), KEYS, "NO-2")
    assert row is not None
    assert from_row(row) == order_at(2, NOW)
    assert len(client.calls) == 1
    assert await orders.by_number(client.table(), KEYS, "NO-3") is None


# --- months ----------------------------------------------------------------------------------

_HOURS = 24 * 31 * 30  # two and a half years
moments = st.integers(0, _HOURS).map(lambda hours: NOW - timedelta(hours=hours))
bounds = st.none() | moments | moments.map(lambda m: m.replace(day=1, hour=0))


@given(
    st.lists(moments, max_size=25),
    bounds,
    bounds,
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, OrderStatus.PAID]),
)
async def test_pages_together_are_all_orders_of_the_range(
    placed: list[datetime],
    start: datetime | None,
    end: datetime | None,
    sizes: list[int],
    backward: bool,
    status: OrderStatus | None,
) -> None:
    if start and end and end < start:
        start, end = end, start
    made = [order_at(n, moment, status=list(OrderStatus)[n % 3]) for n, moment in enumerate(placed)]
    client = shop_of(*made)
    listing = orders.placed(KEYS, "orders", start, end, status, NOW)
    wanted = [
        each
        for each in made
        if (start is None or start <= each.placed_at)
        and (end is None or each.placed_at < end)
        and (status is None or each.status is status)
    ]
    wanted.sort(key=lambda each: (timestamp(each.placed_at), each.id), reverse=not backward)
    left = [each.id for each in wanted]

    bound, turn = None, 0
    while True:
        size = sizes[turn % len(sizes)]
        page = await page_of(client, listing, size, bound, backward=backward)
        assert ids(page) == left[:size]
        left = left[size:]
        assert page.more == bool(left)
        if not page.more:
            break
        assert page.end is not None
        bound, turn = Bound(page.end), turn + 1


@given(st.lists(moments, min_size=1, max_size=12), bounds, bounds, st.data())
async def test_whether_anything_is_behind_a_cursor_is_exact(
    placed: list[datetime], start: datetime | None, end: datetime | None, data: st.DataObject
) -> None:
    if start and end and end < start:
        start, end = end, start
    made = [order_at(n, moment) for n, moment in enumerate(placed)]
    client, listing = shop_of(*made), whole(start, end)
    every = ids(await page_of(client, listing, 100))
    if not every:
        return
    page = await page_of(client, listing, data.draw(st.integers(1, len(every))))
    assert page.end is not None
    del client.rows[page.entries[-1].key]
    probe = await page_of(client, listing, 0, Bound(page.end, inclusive=True), backward=True)
    assert probe.more == (len(page.entries) > 1)


async def test_the_newest_months_are_read_and_no_more() -> None:
    client = shop_of(*(order_at(n, NOW - timedelta(days=n)) for n in range(60)))
    page = await page_of(client, whole(), 10)
    assert len(page.entries) == 10
    assert months_read(client) == ["2026-11"]
    assert lookups(client) == 0


async def test_a_gap_of_a_year_costs_one_look_up() -> None:
    client = shop_of(order_at(1, at("2026-11-10")), order_at(2, at("2025-03-10")))
    page = await page_of(client, whole(), 10)
    assert ids(page) == [order_at(n, NOW).id for n in (1, 2)]
    # One from the empty October to March, one from the empty February to the end.
    assert months_read(client) == ["2026-11", "2026-10", "2025-03", "2025-02"]
    assert lookups(client) == 2


async def test_a_gap_is_jumped_in_the_other_direction_as_well() -> None:
    client = shop_of(order_at(1, at("2026-11-10")), order_at(2, at("2025-03-10")))
    page = await page_of(client, whole(), 10, backward=True)
    assert ids(page) == [order_at(n, NOW).id for n in (2, 1)]
    assert months_read(client) == ["2025-03", "2025-04", "2026-11"]


async def test_a_jump_stays_within_the_range() -> None:
    made = [order_at(1, at("2026-09-15")), order_at(2, at("2026-02-15"))]
    client = shop_of(*made)
    listing = whole(at("2026-03"), at("2026-09"))
    for backward in (False, True):
        assert await page_of(client, listing, 5, backward=backward) == Page([], False, None)


async def test_a_shop_without_orders_is_an_empty_list() -> None:
    for backward in (False, True):
        client = shop_of()
        assert await page_of(client, whole(), 5, backward=backward) == Page([], False, None)
        assert lookups(client) == 1


async def test_bounds_inside_a_month_cut_it() -> None:
    made = [order_at(day, at(f"2026-10-{day:02d}")) for day in range(1, 31)]
    page = await page_of(shop_of(*made), whole(at("2026-10-10"), at("2026-10-15")), 100)
    assert ids(page) == [made[day - 1].id for day in (14, 13, 12, 11, 10)]


async def test_a_range_of_whole_months_reads_no_other_month() -> None:
    made = [order_at(n, at(f"2026-{month:02d}-10")) for n, month in enumerate((7, 8, 9, 10))]
    client = shop_of(*made)
    page = await page_of(client, whole(at("2026-08"), at("2026-10")), 10)
    assert ids(page) == [made[2].id, made[1].id]
    assert months_read(client) == ["2026-09", "2026-08"]


async def test_nothing_beyond_this_month_is_read() -> None:
    client = shop_of(order_at(1, at("2026-12-01")), order_at(2, at("2026-11-01")))
    assert ids(await page_of(client, whole(None, at("2030-01")), 10)) == [order_at(2, NOW).id]
    assert months_read(client)[0] == "2026-11"


async def test_an_end_just_after_midnight_of_the_first_has_the_orders_of_that_moment() -> None:
    first = order_at(1, at("2026-11-01"))
    end = at("2026-11-01") + timedelta(microseconds=500)
    client = shop_of(first, order_at(2, at("2026-10-01")))
    assert ids(await page_of(client, whole(None, end), 10)) == [first.id, order_at(2, NOW).id]
    assert ids(await page_of(client, whole(end, None), 10)) == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, datetime.min.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), None),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        (NOW, NOW),
    ],
)
async def test_the_ends_of_time_are_a_range(start: datetime | None, end: datetime | None) -> None:
    client = shop_of(order_at(1, at("2026-11-10")))
    found = ids(await page_of(client, whole(start, end), 10))
    assert found == ([order_at(1, NOW).id] if start and end and start < end else [])


async def test_orders_that_are_gone_from_the_table_are_left_out_of_their_month() -> None:
    made = [order_at(n, NOW - timedelta(days=n)) for n in range(10)]
    client = shop_of(*made)
    for gone in made[:4]:
        client.ghosts.append(client.rows.pop(KEYS.order(gone.user_id, gone.id)))
    page = await page_of(client, whole(), 3)
    assert ids(page) == [each.id for each in made[4:7]]


def test_ranges_that_hold_the_same_orders_have_the_same_cursors_and_others_have_not() -> None:
    tokyo = timezone(timedelta(hours=9))
    start = at("2026-11-01")
    assert whole(start).binding == whole(start.astimezone(tokyo)).binding
    finer = start + timedelta(microseconds=500)
    different = [
        whole(),
        whole(start),
        whole(finer),
        whole(None, start),
        whole(None, finer),
        whole(start, start),
        orders.placed(KEYS, "orders", start, None, OrderStatus.PAID, NOW),
        orders.placed(KEYS, "others", start, None, None, NOW),
        orders.placed(Keys("u", 2), "orders", start, None, None, NOW),
    ]
    assert len({listing.binding for listing in different}) == len(different)


def test_a_cursor_of_a_list_outlives_the_month() -> None:
    assert whole(now=at("2026-11-30")).binding == whole(now=at("2026-12-01")).binding


async def test_a_customers_orders_are_their_own_and_those_of_a_status_alone() -> None:
    made = [
        order_at(n, NOW - timedelta(minutes=n), status=list(OrderStatus)[n % 2]) for n in range(9)
    ]
    client = shop_of(*made)
    client.put([{"PK": "t#USER#user-0", "SK": "PROFILE", **items.user(0).to_attributes()}])
    mine = [each for each in made if each.user_id == "user-0"]
    page = await page_of(client, orders.of_user(KEYS, "User.orders", "user-0", None), 10)
    assert ids(page) == [each.id for each in mine]
    paid = orders.of_user(KEYS, "User.orders", "user-0", OrderStatus.PAID)
    assert ids(await page_of(client, paid, 10)) == [
        each.id for each in mine if each.status is OrderStatus.PAID
    ]
