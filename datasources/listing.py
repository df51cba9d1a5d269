"""Lists: one or several partitions read in one order, a page at a time, in either direction.

A position in a list is the sort key of a row. It names the row for every partition of a merged
list at once, since each sort key ends in an ID and so is the only one of its kind.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil, isqrt
from operator import attrgetter
from typing import Any, NamedTuple

from datasources.entries import Entry, Place, places, whole
from datasources.items import Item
from datasources.keys import EVERYTHING, GSI3, Key, SortRange, sort_attribute
from datasources.queries import Query, QueryPage
from datasources.table import Table, gather

log = logging.getLogger(__name__)

_MOST_ROWS_A_CALL = 250

# One call, of so many rows at most from where another has ended.
Ask = Callable[..., Awaitable[QueryPage[Place]]]
Hydrate = Callable[[Sequence[Key]], Awaitable[Sequence[Item | None]]]


class Bound(NamedTuple):
    """Where reading starts: at a position (`inclusive`) or just after it."""

    position: str
    inclusive: bool = False


class Batch(NamedTuple):
    """Places in order, those of rows that were read whole as entries; how many rows were read for
    them, and the sort key up to which all is read."""

    places: Sequence[Place]
    read: int
    reached: str | None


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

    `binding` says what list this is, for cursors: tenant, field, parent, filters, order. `kind`
    is what its rows are.
    """

    binding: tuple[str, ...]
    kind: type[Item]
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
        ask = partial(self._ask, table)
        if len(queries) == 1:
            return follow(ask, queries[0], limit)
        return merge(ask, queries, limit)

    async def _ask(
        self, table: Table, query: Query, *, limit: int, start: Mapping[str, Any] | None
    ) -> QueryPage[Place]:
        """One call, of rows as far as they are read of this index."""
        if query.keys_only or query.index == GSI3:
            page = await table.query(query, limit=limit, start=start)
            return QueryPage(places(page.rows, sort_attribute(query.index)), page.read, page.start)
        return await table.places(query, self.kind, limit=limit, start=start)

    def holds(self, item: Item, position: str) -> bool:
        """Whether an item still stands where a keys-only index, which lags, said it does."""
        return True


@dataclass(slots=True)
class _Stream:
    """One partition of a merge: what was read and not yet given, and how far it has been read."""

    query: Query
    sort_key: str
    start: dict[str, object] | None = None
    places: list[Place] = field(default_factory=list)
    reached: str | None = None
    ended: bool = False

    async def read(self, ask: Ask, limit: int) -> int:
        page = await ask(self.query, limit=limit, start=self.start)
        self.places.extend(page.rows)
        self.start = dict(page.start) if page.start else None
        self.ended = page.start is None
        self.reached = page.start[self.sort_key]["S"] if page.start else None
        return page.read

    def take(self, frontier: str | None) -> list[Place]:
        """What stands up to the frontier; None: all."""
        if frontier is None:
            taken, self.places = self.places, []
            return taken
        descending = self.query.descending
        count = sum(
            each.position >= frontier if descending else each.position <= frontier
            for each in self.places
        )
        taken, self.places = self.places[:count], self.places[count:]
        return taken


async def follow(ask: Ask, query: Query, limit: int) -> AsyncIterator[Batch]:
    """One partition, read lazily, as `merge` reads several."""
    sort_key = sort_attribute(query.index)
    start: Mapping[str, Any] | None = None
    while True:
        page = await ask(query, limit=limit, start=start)
        start = page.start
        yield Batch(page.rows, page.read, start[sort_key]["S"] if start else None)
        if start is None:
            return
        if query.equals:
            limit = min(_MOST_ROWS_A_CALL, limit * 2)


async def merge(ask: Ask, queries: Sequence[Query], limit: int) -> AsyncIterator[Batch]:
    """Several partitions in one order, read lazily and side by side.

    `limit` is how many rows are wanted: each partition is asked for its share and a little
    more, and again only when it has run dry.
    """
    descending = queries[0].descending
    sort_key = sort_attribute(queries[0].index)
    streams = [_Stream(query, sort_key) for query in queries]
    share = _share(limit, len(streams))
    while dry := [s for s in streams if not s.ended and not s.places]:
        read = sum(await gather(*(stream.read(ask, share) for stream in dry)))
        reached = [s.reached for s in streams if s.reached is not None]
        frontier = (max(reached) if descending else min(reached)) if reached else None
        taken = [place for stream in streams for place in stream.take(frontier)]
        taken.sort(key=attrgetter("position"), reverse=descending)
        yield Batch(taken, read, frontier)
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
    skipped = start.position if start and not start.inclusive else None
    limit = min(_MOST_ROWS_A_CALL, size + 1 + (skipped is not None))
    entries: list[Entry] = []
    read = 0
    async for batch in listing.batches(table, backward=backward, start=start, limit=limit):
        read += batch.read
        found = batch.places
        if skipped is not None:
            found = [place for place in found if place.position != skipped]
        if listing.keys_only and found:
            return Page([], True, None)
        if listing.index == GSI3:
            entries += await _hydrated(listing, hydrate, found)
        else:
            entries += whole(found)
        if len(entries) > size:
            return Page(entries[:size], True, entries[size - 1].position if size else None)
        if read >= budget and batch.reached is not None:
            log.warning("read budget hit: list=%s rows=%d", listing.binding[1], read)
            return Page(entries, True, batch.reached)
    return Page(entries, False, entries[-1].position if entries else None)


async def _hydrated(listing: Listing, hydrate: Hydrate, found: Sequence[Place]) -> list[Entry]:
    """Places with the items that still stand there."""
    items = await hydrate([place.key for place in found])
    return [
        Entry(place.position, place.pk, place.sk, item)
        for place, item in zip(found, items, strict=True)
        if item is not None and listing.holds(item, place.position)
    ]


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
