"""What is left of an erased user after the profile is gone: the addresses of their orders.

An order that is not finished keeps its address until it is, or it could not be delivered.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from datasources import orders, users
from datasources.entries import whole
from datasources.errors import TransactionCancelled
from datasources.items import Item, Order, User, UserStatus, from_row
from datasources.keys import Keys
from datasources.listing import Listing
from datasources.table import Table

_ROWS_A_CALL = 100


async def erased_users(table: Table, keys: Keys) -> AsyncIterator[User]:
    """Every user of the tenant who was erased."""
    listing = users.with_status(keys, "erasure", UserStatus.DELETED)
    async for item in _all(table, listing):
        if isinstance(item, User):
            yield item


async def finish_all(table: Callable[[], Table], keys: Keys, now: datetime) -> int:
    """The same for every erased user of a tenant; `table` gives the table with a fresh deadline."""
    return sum([await finish(table(), keys, u.id, now) async for u in erased_users(table(), keys)])


async def finish(table: Table, keys: Keys, user_id: str, now: datetime) -> int:
    """Removes the addresses from the finished orders of an erased user; how many there were.

    Can be run again: an order that changes meanwhile is left to the next run.
    """
    removed = 0
    async for order in _all(table, orders.of_user(keys, "erasure", user_id, None)):
        if not isinstance(order, Order) or order.shipping_address is None:
            continue
        if order.status in orders.FINISHED:
            removed += await _forget(table, keys, order, now)
    return removed


async def forget_if_erased(table: Table, keys: Keys, order: Order, now: datetime) -> None:
    """Removes the address from a finished order whose customer was erased before it finished."""
    key = keys.user(order.user_id)
    row = (await table.batch_get([key], consistent=True)).get(key)
    customer = None if row is None else from_row(row)
    if isinstance(customer, User) and customer.status is UserStatus.DELETED:
        await _forget(table, keys, order, now)


async def _forget(table: Table, keys: Keys, order: Order, now: datetime) -> bool:
    """Whether it was done: not to an order that has changed since it was read."""
    forgotten = orders.forget_address(keys, order, now)
    try:
        await table.transact([forgotten], token=str(uuid.uuid4()))
    except TransactionCancelled:
        return False
    return True


async def _all(table: Table, listing: Listing) -> AsyncIterator[Item]:
    batches = listing.batches(table, backward=False, start=None, limit=_ROWS_A_CALL)
    async for batch in batches:
        for entry in whole(batch.places):
            yield entry.item
