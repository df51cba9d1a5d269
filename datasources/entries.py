"""Rows as what a page of a list holds, or a batch: where each stands, its key, its item.

Rows that are known to be of one kind are decoded as such with the answer they come in, all at
once, where the client can (`datasources/fast/`); any others one by one, by what they say they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from msgspec import Struct

from datasources.errors import StoreError
from datasources.items import Item, Row
from datasources.keys import PK, SK, Key
from datasources.rows import page_form, stored


class Place(Struct, frozen=True, gc=False):
    """Where a row stands in a list, by its sort key there, and its primary key."""

    position: str
    pk: str
    sk: str

    @property
    def key(self) -> Key:
        return Key(self.pk, self.sk)


class Entry(Place, frozen=True, gc=False):
    """A row that was read whole."""

    item: Item


class Unread(Place, frozen=True, gc=False):
    """A row of an answer in which one at least is not what it should be. Who asks for more rows
    than are shown comes upon the one that is torn only where it has its place."""

    row: Row
    kind: type[Item]

    def read(self) -> Entry:
        """StoreError where it holds no item of the kind."""
        name, entity = self.kind.__name__, self.row.get("entity")
        if entity != name:
            raise StoreError(f"A row holds no {name}: entity {entity!r}.")
        return Entry(self.position, self.pk, self.sk, self.kind.of(self.row))


class Reading(NamedTuple):
    """How rows of one kind are read in the order of one sort key.

    `form` is what their JSON is decoded as, and `made` makes entries of that."""

    kind: type[Item]
    sort_key: str
    form: type[Struct]
    made: Callable[[Sequence[Any]], list[Entry]]

    def places(self, rows: Sequence[Any]) -> Sequence[Place]:
        """Of rows in this form, as entries; of rows as JSON or as a client gives them, unread."""
        if rows and isinstance(rows[0], self.form):
            return self.made(rows)
        return [
            Unread(row[self.sort_key], row[PK], row[SK], row, self.kind)
            for row in map(stored, rows)
        ]

    def by_key(self, rows: Sequence[Any]) -> dict[Key, Item | Row]:
        """Rows of a batch, as items where all are in this form."""
        if rows and isinstance(rows[0], self.form):
            return {entry.key: entry.item for entry in self.made(rows)}
        return {**by_key(rows)}


@cache
def reading(kind: type[Item], sort_key: str) -> Reading:
    """Of the kinds and the sort keys of the table there are few."""
    return Reading(kind, sort_key, *page_form(kind, (sort_key, PK, SK), Entry))


def by_key(rows: Iterable[Any]) -> dict[Key, Row]:
    """Rows of a batch, as JSON or as a client gives them."""
    return {Key(row[PK], row[SK]): row for row in map(stored, rows)}


def whole(places: Iterable[Place]) -> list[Entry]:
    """What was read whole, or can be: as `Unread.read`."""
    return [place if isinstance(place, Entry) else cast("Unread", place).read() for place in places]


def places(rows: Iterable[Mapping[str, Any]], sort_key: str) -> list[Place]:
    """Of rows that were not read whole; those read for their sort key alone have no key."""
    return [Place(row[sort_key], row.get(PK, ""), row.get(SK, "")) for row in rows]
