"""Rows in memory and sinks that note what they are given, for reactions with effects outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from datasources.items import Item, Row
from datasources.keys import PK, SK, Key
from datasources.table import Table
from streams.changes import Change, read_change
from streams.sinks import Event, Mail
from tests.unit.streams.scripted import record, row

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


@dataclass
class Rows:
    """`unread` and `unwritten` are raised first, by reads and by writes."""

    rows: dict[Key, Row] = field(default_factory=dict)
    unread: list[Exception] = field(default_factory=list)
    unwritten: list[Exception] = field(default_factory=list)
    reads: list[tuple[list[Key], bool]] = field(default_factory=list)

    def put(self, *items: Item) -> None:
        self.rows |= {Key(each[PK], each[SK]): each for each in map(row, items)}

    def table(self) -> Table:
        return RowsTable(cast("DynamoDBClient", None), "shop", 0.0, rows=self)


@dataclass
class RowsTable(Table):
    rows: Rows = field(default_factory=Rows)

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = False) -> dict[Key, Row]:
        wanted = list(keys)
        self.rows.reads.append((wanted, consistent))
        if self.rows.unread:
            raise self.rows.unread.pop(0)
        return {key: self.rows.rows[key] for key in wanted if key in self.rows.rows}

    async def batch_write(self, rows: Sequence[Row]) -> None:
        if self.rows.unwritten:
            raise self.rows.unwritten.pop(0)
        self.rows.rows |= {Key(each[PK], each[SK]): each for each in rows}


@dataclass
class Sent:
    """A sink of both kinds; `faults` are raised first."""

    mails: list[Mail] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        self._begin()
        self.mails.append(mail)

    async def publish(self, event: Event) -> None:
        self._begin()
        self.events.append(event)

    def _begin(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


def change_of(old: Any = None, new: Any = None, number: int = 1) -> Change:
    change = read_change(record(number, old, new))
    assert change is not None
    return change
