"""Changes: what a record of the stream says has happened to an item of the shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic.alias_generators import to_camel

from datasources.attributes import decode_row
from datasources.items import Category, Item, Order, Product, Review, Row, User, from_row
from datasources.keys import LOADED, PK, Keys, tenant_of

Record = Mapping[str, Any]
"""A record as GetRecords of the DynamoDB Streams API gives it."""

# What has consequences. The other rows stand beside these, written in their transactions.
FOLLOWED = frozenset(kind.__name__ for kind in (User, Category, Product, Order, Review))

# The GraphQL fields that an attribute shows in, where they are not the one of its own name.
_SHOWN_AS: dict[tuple[type[Item], str], tuple[str, ...]] = {
    (Product, "histogram"): ("ratingSummary",),
    (Order, "status"): ("status", "nextStatuses"),
    (Order, "items"): ("items", "itemCount"),
    (Order, "user_id"): ("customer",),
    (Review, "user_id"): ("author",),
    (Review, "product_id"): ("product",),
    # Seen by nobody: what an edit of a profile is compared with.
    (User, "version"): (),
}


class ChangeKind(StrEnum):
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


_KINDS = {
    "INSERT": ChangeKind.CREATED,
    "MODIFY": ChangeKind.UPDATED,
    "REMOVE": ChangeKind.DELETED,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One item before and after a write; None where it was not or is no more.

    `event_id` is the same whenever the record comes again. `occurred_at` is UTC and exact to the
    second. `loaded`: created by a bulk load, whose counts hold the item already. `size` is the
    record's, in bytes.
    """

    entity: type[Item]
    kind: ChangeKind
    old: Item | None
    new: Item | None
    event_id: str
    sequence_number: str
    occurred_at: datetime
    tenant: str
    loaded: bool = False
    size: int = 0

    @property
    def keys(self) -> Keys:
        """For the keys of rows, which are the same whatever the number of shards."""
        return Keys(self.tenant, shards=1)

    @property
    def item(self) -> Item:
        """The item as it is now or, where it is gone, as it was last."""
        item = self.new or self.old
        assert item is not None, "a change is of something"  # noqa: S101
        return item

    @property
    def fields(self) -> tuple[str, ...]:
        """The GraphQL names of the fields that changed, in the order of the item's own; none
        unless UPDATED."""
        if self.old is None or self.new is None or type(self.old) is not type(self.new):
            return ()
        changed: list[str] = []
        for name in self.entity.__struct_fields__:
            if getattr(self.old, name) != getattr(self.new, name):
                changed += _SHOWN_AS.get((self.entity, name), (to_camel(name),))
        if _is_in_stock(self.old) is not _is_in_stock(self.new):
            changed.insert(changed.index("inventory") + 1, "inStock")
        return tuple(changed)

    @property
    def is_seen(self) -> bool:
        """Whether the API shows any of it: a row may be rewritten for its keys alone."""
        return self.kind is not ChangeKind.UPDATED or bool(self.fields)


def _is_in_stock(item: Item) -> bool:
    return isinstance(item, Product) and item.inventory > 0


def read_change(record: Record) -> Change | None:
    """The change that a record is of; None where the row is nobody's business.

    Raises StoreError, ValueError, TypeError or KeyError for a row that breaks its own form.
    """
    body = record["dynamodb"]
    old, new = _image(body.get("OldImage")), _image(body.get("NewImage"))
    row = new or old
    if row is None:
        return None
    kind = _KINDS[record["eventName"]]
    return Change(
        entity=Item.entities[row["entity"]],
        kind=kind,
        old=from_row(old) if old else None,
        new=from_row(new) if new else None,
        event_id=record["eventID"],
        sequence_number=body["SequenceNumber"],
        occurred_at=body["ApproximateCreationDateTime"].astimezone(UTC),
        tenant=tenant_of(row[PK]),
        loaded=kind is ChangeKind.CREATED and bool(row.get(LOADED)),
        size=body.get("SizeBytes", 0),
    )


def _image(raw: Mapping[str, Any] | None) -> Row | None:
    """The row of an image that is followed; others may hold what only their writers can read."""
    if raw is None or raw.get("entity", {}).get("S") not in FOLLOWED:
        return None
    return decode_row(raw)
