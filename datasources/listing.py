"""Lists: one or several partitions read in one order, a page at a time, in either direction.

A position in a list is the sort key of a row. It names the row for every partition of a merged
list at once, since each sort key ends in an ID and so is the only one of its kind.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, isqrt
from typing import Any, NamedTuple

from datasources.items import Item, Row, from_rows
from datasources.keys import EVERYTHING, GSI3, PK, SK, Key, SortRange, sort_attribute
from datasources.table import Query, Table, gather

log = logging.getLogger(__name__)

_MOST_ROWS_A_CALL = 250

Hydrate = Callable[[Sequence[Key]], Awaitable[Sequence[Item | None]]]


class Bound(NamedTuple):
    """Where reading starts: at a position (`inclusive`) or just after it."""

    position: str
    inclusive: bool = False


class Batch(NamedTuple):
    """Rows in order, how many were read for them, and the sort key up to which all is read."""

    rows: Sequence[Row]
    read: int
    reached: str | None


class Entry(NamedTuple):
    """An item of a list, where it stands in it, and the primary key of its row."""

    position: str
    key: Key
    item: Item


class Page(NamedTuple):
    """Entries in the order they were read, and whether there are more behind the last.

    `end` is the position to go on from; where the read budget cut the page short it lies
    behind its last entry.
    """

    entries: Sequence[Entry]
    more: bool
    end: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A list over partitions of one index (None: the table), hashable: equal lists read alike.

    `binding` says what list this is, for cursors: tenant, field, parent, filters, order.
    """

    binding: tuple[str, ...]
    partitions: tuple[str, ...]
    index: str | None = None
    range: SortRange = EVERYTHING
    descending: bool = True
    equals: tuple[str, str] | None = None
    keys_only: bool = False

    def batches(
        self, table: Table, *, backward: bool, start: Bound | None, limit: int
    ) -> AsyncIterator[Batch]:
        """All rows from `start` on; `backward` is against the list's own order."""
        return self.merge(table, self.partitions, backward=backward, start=start, limit=limit)

    def merge(
        self,
        table: Table,
        partitions: Sequence[str],
        *,
        backward: bool,
        start: Bound | None,
        limit: int,
    ) -> AsyncIterator[Batch]:
        descending = self.descending != backward
        part = _from(self.range, start, descending)
        queries = [
            Query(pk, part, self.index, descending, self.equals, self.keys_only)
            for pk in partitions
        ]
        if len(queries) == 1:
            return follow(table, queries[0], limit)
        return merge(table, queries, limit)

    def holds(self, item: Item, position: str) -> bool:
        """Whether an item still stands where a keys-only index, which lags, said it does."""
        return True


@dataclass(slots=True)
class _Stream:
    """One partition of a merge: rows read and not yet given, and how far it has been read."""

    query: Query
    sort_key: str
    start: dict[str, object] | None = None
    rows: list[Row] = field(default_factory=list)
    reached: str | None = None
    ended: bool = False

    async def read(self, table: Table, limit: int) -> int:
        page = await table.query(self.query, limit=limit, start=self.start)
        self.rows.extend(page.rows)
        self.start = dict(page.start) if page.start else None
        self.ended = page.start is None
        self.reached = page.start[self.sort_key]["S"] if page.start else None
        return page.read

    def take(self, frontier: str | None) -> list[Row]:
        """The rows up to the frontier; None: all."""
        if frontier is None:
            taken, self.rows = self.rows, []
            return taken
        descending = self.query.descending
        keys = [row[self.sort_key] for row in self.rows]
        count = sum(key >= frontier if descending else key <= frontier for key in keys)
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


async def follow(table: Table, query: Query, limit: int) -> AsyncIterator[Batch]:
    """The rows of one partition, read lazily, as `merge` reads several."""
    sort_key = sort_attribute(query.index)
    start: Mapping[str, Any] | None = None
    while True:
        page = await table.query(query, limit=limit, start=start)
        start = page.start
        yield Batch(page.rows, page.read, start[sort_key]["S"] if start else None)
        if start is None:
            return
        if query.equals:
            limit = min(_MOST_ROWS_A_CALL, limit * 2)


async def merge(table: Table, queries: Sequence[Query], limit: int) -> AsyncIterator[Batch]:
    """The rows of several partitions in one order, read lazily and side by side.

    `limit` is how many rows are wanted: each partition is asked for its share and a little
    more, and again only when it has run dry.
    """
    descending = queries[0].descending
    sort_key = sort_attribute(queries[0].index)
    streams = [_Stream(query, sort_key) for query in queries]
    share = _share(limit, len(streams))
    while dry := [s for s in streams if not s.ended and not s.rows]:
        read = sum(await gather(*(stream.read(table, share) for stream in dry)))
        reached = [s.reached for s in streams if s.reached is not None]
        frontier = (max(reached) if descending else min(reached)) if reached else None
        rows = [row for stream in streams for row in stream.take(frontier)]
        rows.sort(key=lambda row: str(row[sort_key]), reverse=descending)
        yield Batch(rows, read, frontier)
        if queries[0].equals:
            share = min(_MOST_ROWS_A_CALL, share * 2)


async def read_page(
    table: Table,
    listing: Listing,
    size: int,
    *,
    backward: bool,
    start: Bound | None,
    hydrate: Hydrate,
    budget: int,
) -> Page:
    """At most `size` entries from `start` on; short only at the list's end or at the budget.

    A `size` of 0 asks whether there is anything, and reads no more of it than its key.
    `budget` is the number of rows that may be read for one page of a filtered list.
    """
    if size == 0 and listing.index != GSI3:
        listing = replace(listing, keys_only=True)
    sort_key = sort_attribute(listing.index)
    skipped = start.position if start and not start.inclusive else None
    limit = min(_MOST_ROWS_A_CALL, size + 1 + (skipped is not None))
    entries: list[Entry] = []
    read = 0
    async for batch in listing.batches(table, backward=backward, start=start, limit=limit):
        read += batch.read
        rows = batch.rows
        if skipped is not None:
            rows = [row for row in rows if row[sort_key] != skipped]
        if listing.keys_only and rows:
            return Page([], True, None)
        if listing.index == GSI3:
            items = await hydrate([Key(row[PK], row[SK]) for row in rows])
        else:
            items = from_rows(rows)
        entries += [
            Entry(position, Key(row[PK], row[SK]), item)
            for row, item in zip(rows, items, strict=True)
            if item is not None and listing.holds(item, position := row[sort_key])
        ]
        if len(entries) > size:
            return Page(entries[:size], True, entries[size - 1].position if size else None)
        if read >= budget and batch.reached is not None:
            log.warning("read budget hit: list=%s rows=%d", listing.binding[1], read)
            return Page(entries, True, batch.reached)
    return Page(entries, False, entries[-1].position if entries else None)


def _from(whole: SortRange, start: Bound | None, descending: bool) -> SortRange:
    """The part of a range from `start` on; its own row included, since DynamoDB takes one
    condition on a sort key and BETWEEN includes both ends."""
    if start is None:
        return whole
    position = start.position
    return SortRange(whole.low, position) if descending else SortRange(position, whole.high)


def _share(limit: int, partitions: int) -> int:
    """Rows to ask each partition for: its even share and twice the spread of chance."""
    even = ceil(limit / partitions)
    return min(limit, even + 2 * isqrt(even) + 1)
