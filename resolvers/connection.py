"""Connections: a page of a list, as the Relay cursor connections specification has it.

https://relay.dev/graphql/connections.htm, read strictly: `first` goes with `after`, `last`
with `before`, and both `hasNextPage` and `hasPreviousPage` are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from datasources.entries import Entry
from datasources.errors import BadUserInput, InvalidCursor
from datasources.items import Item
from datasources.listing import Bound, Listing, Page
from resolvers.context import Context
from resolvers.loaders import PageRequest

DEFAULT_SIZE = 20
LARGEST_SIZE = 100


class Window(NamedTuple):
    """The part of a list that a client asks for, as the four arguments say it."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def backward(self) -> bool:
        return self.last is not None or self.before is not None

    @property
    def cursor(self) -> str | None:
        return self.before if self.backward else self.after

    def size(self) -> int:
        """How many entries are wanted; BadUserInput for arguments that do not go together."""
        for partner, stranger in (("last", "first"), ("last", "after"), ("before", "first")):
            if getattr(self, partner) is not None and getattr(self, stranger) is not None:
                raise BadUserInput(
                    stranger, f"does not go with {partner}: one page goes in one direction."
                )
        if self.after is not None and self.before is not None:
            raise BadUserInput("before", "does not go with after: one page has one cursor.")
        name, size = ("last", self.last) if self.backward else ("first", self.first)
        if size is None:
            return DEFAULT_SIZE
        if not 1 <= size <= LARGEST_SIZE:
            raise BadUserInput(name, f"should be 1 to {LARGEST_SIZE}, not {size}.")
        return size


async def connect(context: Context, listing: Listing, window: Window) -> Connection:
    """The page that the window shows; INVALID_CURSOR for a cursor of anything else."""
    size = window.size()
    start = _start(context, listing, window)
    request = PageRequest(listing, size, window.backward, start)
    return Connection(context, request, await context.loaders.pages.load(request))


def _start(context: Context, listing: Listing, window: Window) -> Bound | None:
    if window.cursor is None:
        return None
    position = context.shop.cursors.open(window.cursor, listing.binding)
    if position is None:
        raise InvalidCursor("before" if window.backward else "after")
    return Bound(position)


class Edge(NamedTuple):
    """A node and, sealed only when it is asked for, its cursor."""

    node: Item
    position: str
    connection: Connection

    @property
    def cursor(self) -> str:
        return self.connection.seal(self.position)


@dataclass(frozen=True)
class Connection:
    """A page in the list's own order, whichever way it was read."""

    context: Context
    request: PageRequest
    page: Page

    @cached_property
    def edges(self) -> Sequence[Edge]:
        return [Edge(entry.item, entry.position, self) for entry in self._ordered()]

    @property
    def nodes(self) -> Sequence[Item]:
        return [entry.item for entry in self._ordered()]

    def _ordered(self) -> Iterable[Entry]:
        entries = self.page.entries
        return reversed(entries) if self.request.backward else entries

    @property
    def page_info(self) -> Connection:
        return self

    @property
    def start_cursor(self) -> str | None:
        return self._edge_cursor(at_end=False)

    @property
    def end_cursor(self) -> str | None:
        return self._edge_cursor(at_end=True)

    async def has_next_page(self) -> bool:
        return await self._is_there_more(at_end=True)

    async def has_previous_page(self) -> bool:
        return await self._is_there_more(at_end=False)

    def seal(self, position: str) -> str:
        return self.context.shop.cursors.seal(position, self.request.listing.binding)

    def _edge_cursor(self, *, at_end: bool) -> str | None:
        """The first or last position; where a read budget cut the page short the one to go on
        from, so that no client is ever stuck."""
        if at_end != self.request.backward and self.page.end is not None:
            return self.seal(self.page.end)
        return self.edges[-1 if at_end else 0].cursor if self.edges else None

    async def _is_there_more(self, *, at_end: bool) -> bool:
        """The way the page was read it knows; the other way is looked up, and only when asked:
        whether anything stands at the given cursor or on its far side."""
        request = self.request
        if at_end != request.backward:
            return self.page.more
        if request.start is None:
            return False
        bound = Bound(request.start.position, inclusive=True)
        behind = PageRequest(request.listing, 0, not request.backward, bound)
        return (await self.context.loaders.pages.load(behind)).more
