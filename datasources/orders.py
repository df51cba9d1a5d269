"""Orders: their rows, the lists of a customer's, of a status and of a range of time, and how
they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datasources.items import Order, OrderStatus, Purchased, Row
from datasources.keys import (
    GSI1,
    GSI2,
    GSI3,
    PK,
    SK,
    Keys,
    SortRange,
    month,
    sort_attribute,
    time_range,
    timestamp,
)
from datasources.listing import Batch, Bound, Listing
from datasources.queries import Query
from datasources.table import Table, gather
from datasources.writes import ABSENT, Put, Update, same_version

# From here an order goes nowhere that its address would be needed.
FINISHED = frozenset((OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.REFUNDED))
_START_OF_MONTH = "-01T00:00:00.000Z"  # behind `yyyy-mm`


def row(keys: Keys, order: Order) -> dict[str, Any]:
    """The order's row, its lines inside, with every index attribute."""
    pk, sk = keys.order(order.user_id, order.id)
    placed = timestamp(order.placed_at)
    return {
        PK: pk,
        SK: sk,
        **keys.order_indexes(order.id, order.number, order.status, placed),
        **order.to_attributes(),
    }


def purchased_rows(keys: Keys, order: Order, at: datetime) -> list[dict[str, Any]]:
    """A row for each product of a delivered order: its customer has had it."""
    rows = []
    for product_id in dict.fromkeys(line.product_id for line in order.items):
        pk, sk = keys.purchased(order.user_id, product_id)
        mark = Purchased(user_id=order.user_id, product_id=product_id, at=at)
        rows.append({PK: pk, SK: sk, **mark.to_attributes()})
    return rows


def create(keys: Keys, order: Order) -> Put:
    return Put(row(keys, order), ABSENT)


def replace(keys: Keys, before: Order, after: Order) -> Put:
    """Puts the order in place of the version read."""
    return Put(row(keys, after), same_version(before.version))


def forget_address(keys: Keys, order: Order, now: datetime) -> Update:
    """Removes the address of the version read."""
    return Update(
        keys.order(order.user_id, order.id),
        "SET #version = :version, #updatedAt = :updatedAt REMOVE #shippingAddress",
        {
            "#version": "version",
            "#updatedAt": "updatedAt",
            "#shippingAddress": "shippingAddress",
        },
        {":version": order.version + 1, ":updatedAt": timestamp(now)},
        same_version(order.version),
    )


async def by_number(table: Table, keys: Keys, number: str) -> Row | None:
    """The order with a number, by one query on its index."""
    page = await table.query(Query(keys.order_number(number), index=GSI1), limit=1)
    return page.rows[0] if page.rows else None


def of_user(keys: Keys, field: str, user_id: str, status: OrderStatus | None) -> Listing:
    """A customer's orders, newest first. Their partition has no index by status: a filter."""
    pk, whole = keys.orders_of(user_id)
    return Listing(
        binding=(keys.tenant, field, user_id, status or ""),
        kind=Order,
        partitions=(pk,),
        range=whole,
        equals=("status", status) if status else None,
    )


def placed(
    keys: Keys,
    field: str,
    start: datetime | None,
    end: datetime | None,
    status: OrderStatus | None,
    now: datetime,
) -> Listing:
    """Every order of a range of time, newest first, whoever placed it.

    With a status the index by status is read, merged over its shards; without one the index
    by month, month after month.
    """
    whole = time_range(start, end)
    binding = (keys.tenant, field, whole.low or "", whole.high or "", status or "")
    if status:
        partitions = keys.orders(status)
        return Listing(binding=binding, kind=Order, partitions=partitions, index=GSI2, range=whole)
    return MonthlyListing(
        binding=binding,
        kind=Order,
        partitions=(),
        index=GSI3,
        range=whole,
        keys=keys,
        newest=min(month(now), _last_month(whole.high)) if whole.high else month(now),
        oldest=whole.low[:7] if whole.low else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyListing(Listing):
    """Orders by time, each month (`yyyy-mm`) in partitions of its own, one a shard.

    After a month without orders the next one that has any is looked up in the index by
    status, so a quiet year costs one look-up and not twelve months of empty queries.
    """

    keys: Keys
    newest: str
    oldest: str | None

    async def batches(
        self, table: Table, *, backward: bool, start: Bound | None, limit: int
    ) -> AsyncIterator[Batch]:
        descending = self.descending != backward
        if start:
            current: str | None = start.position[:7]
        elif descending:
            current = self.newest
        else:
            current = self.oldest or await self._next_busy(table, None, descending=False)
        while current and (self.oldest or "") <= current <= self.newest:
            empty = True
            partitions = self.keys.orders_in(current)
            async for batch in self.merge(
                table, partitions, backward=backward, start=start, limit=limit
            ):
                empty = empty and not batch.places
                yield batch
            if empty:
                current = await self._next_busy(table, current, descending=descending)
            else:
                current = _neighbour(current, -1 if descending else 1)

    async def _next_busy(self, table: Table, month: str | None, *, descending: bool) -> str | None:
        """The first month beyond `month` (None: of all) that has orders in the list's range."""
        bounds = self.range
        if month:
            edge = SortRange.beginning_with(month)
            bounds = (
                SortRange(bounds.low, edge.low) if descending else SortRange(edge.high, bounds.high)
            )
        if bounds.is_empty:
            return None
        pages = await gather(
            *(
                table.query(Query(pk, bounds, GSI2, descending, keys_only=True), limit=1)
                for status in OrderStatus
                for pk in self.keys.orders(status)
            )
        )
        found = [row[sort_attribute(GSI2)][:7] for page in pages for row in page.rows]
        return (max(found) if descending else min(found)) if found else None


def _last_month(high: str) -> str:
    """The month of the last moment before a bound."""
    return _neighbour(high[:7], -1) if high[7:] == _START_OF_MONTH else high[:7]


def _neighbour(month: str, step: int) -> str:
    count = int(month[:4]) * 12 + int(month[5:]) - 1 + step
    return f"{count // 12:04d}-{count % 12 + 1:02d}"
