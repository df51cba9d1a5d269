"""Changes of items, made up: what the stream would tell of a write."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import timedelta

from datasources.items import Item
from streams.changes import Change, ChangeKind
from streams.journal import Entry
from tests.support.items import NOW

_numbers = itertools.count(1)


def change(
    old: Item | None,
    new: Item | None,
    *,
    tenant: str = "t",
    size: int = 0,
    loaded: bool = False,
) -> Change:
    """The next change of all: `old` None creates, `new` None deletes."""
    number = next(_numbers)
    kind = ChangeKind.UPDATED
    if old is None:
        kind = ChangeKind.CREATED
    elif new is None:
        kind = ChangeKind.DELETED
    item = new or old
    assert item is not None
    return Change(
        entity=type(item),
        kind=kind,
        old=old,
        new=new,
        event_id=f"event-{number}",
        sequence_number=f"{number:021d}",
        occurred_at=NOW + timedelta(seconds=number),
        tenant=tenant,
        size=size,
        loaded=loaded,
    )


@dataclass(eq=False)
class Ear:
    """Listens to a journal."""

    entries: list[Entry] = field(default_factory=list)
    losses: int = 0

    def heard(self, entry: Entry) -> None:
        self.entries.append(entry)

    def lost(self) -> None:
        self.losses += 1

    @property
    def changes(self) -> list[Change]:
        return [entry.change for entry in self.entries]
