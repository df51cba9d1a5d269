"""Orders: who may see which, and where each may go from here."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

from datasources import orders, products
from datasources.errors import BadUserInput, TransactionCancelled
from datasources.items import (
    Order,
    OrderLine,
    OrderStatus,
    Product,
    StatusChange,
    User,
    UserStatus,
    from_row,
)
from datasources.writes import Action, Put
from resolvers import global_ids, inputs
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.errors import UserErrorCode, rejected
from resolvers.permissions import (
    authorize,
    require_staff,
    visible_order,
    visible_product,
    visible_user,
)
from resolvers.writing import Raced, again, commit

LONGEST_NUMBER = 64
# Where staff may take an order, in the order a shop would offer it.
TRANSITIONS: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    OrderStatus.PENDING: (OrderStatus.PAID, OrderStatus.CANCELLED),
    OrderStatus.PAID: (OrderStatus.SHIPPED, OrderStatus.CANCELLED, OrderStatus.REFUNDED),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED,),
    OrderStatus.DELIVERED: (OrderStatus.REFUNDED,),
    OrderStatus.CANCELLED: (),
    OrderStatus.REFUNDED: (),
}


async def order(context: Context, user_id: str, order_id: str) -> Order | None:
    # Asked for together, so that whether the caller may see it costs no further call.
    found, _ = await asyncio.gather(context.loaders.order(user_id, order_id), context.profile())
    return await visible_order(context, found)


async def order_by_global_id(context: Context, global_id: str) -> Order | None:
    return await order(context, *global_ids.expect("id", global_id, "Order"))


async def order_by_number(context: Context, number: str) -> Order | None:
    if context.principal.is_anonymous or not 0 < len(number) <= LONGEST_NUMBER:
        return None
    if not number.isprintable():
        return None
    row = await orders.by_number(context.table, context.keys, number)
    found = None if row is None else from_row(row)
    return await visible_order(context, found) if isinstance(found, Order) else None


async def orders_placed(
    context: Context,
    placed: tuple[datetime | None, datetime | None],
    status: OrderStatus | None,
    window: Window,
) -> Connection:
    require_staff(context.principal)
    start, end = placed
    if start and end and end < start:
        raise BadUserInput("placed", "the range ends before it starts.")
    listing = orders.placed(context.keys, "orders", start, end, status, context.started)
    return await connect(context, listing, window)


async def next_statuses(context: Context, order: Order) -> tuple[OrderStatus, ...]:
    """A customer may cancel while PENDING, as long as their account may write."""
    if context.principal.is_staff:
        return TRANSITIONS[order.status]
    if order.status is not OrderStatus.PENDING or order.user_id != context.principal.user_id:
        return ()
    profile = await context.profile()
    active = profile is not None and profile.status is UserStatus.ACTIVE
    return (OrderStatus.CANCELLED,) if active else ()


async def customer(context: Context, order: Order) -> User | None:
    return visible_user(context.principal, await context.loaders.user(order.user_id))


async def product_of(context: Context, line: OrderLine) -> Product | None:
    return visible_product(context.principal, await context.loaders.product(line.product_id))


# --- writing --------------------------------------------------------------------------------


async def cancel_order(context: Context, wanted: inputs.CancelOrder) -> Order:
    """Puts the stock back once: the version read guards it. Of a cancelled order nothing is
    changed, and that is no error."""

    async def attempt() -> Order:
        order = await _writable(context, "cancelOrder", wanted.id)
        if order.status is OrderStatus.CANCELLED:
            return order
        allowed = TRANSITIONS[order.status] if context.principal.is_staff else ()
        if order.status is not OrderStatus.PENDING and OrderStatus.CANCELLED not in allowed:
            raise rejected(
                UserErrorCode.INVALID_TRANSITION,
                f"an order that is {order.status} cannot be cancelled",
                "id",
            )
        return await _move(context, order, OrderStatus.CANCELLED, wanted.reason)

    return await again(context, attempt)


async def advance_order(context: Context, wanted: inputs.AdvanceOrder) -> Order:
    """Along the state machine only; with `expectedVersion` only from that version."""

    async def attempt() -> Order:
        order = await _writable(context, "advanceOrder", wanted.id)
        if wanted.expected_version not in {None, order.version}:
            raise rejected(
                UserErrorCode.VERSION_CONFLICT,
                f"the order is at version {order.version}: read it again",
                "expectedVersion",
            )
        if wanted.to is OrderStatus.CANCELLED or wanted.to not in TRANSITIONS[order.status]:
            raise rejected(
                UserErrorCode.INVALID_TRANSITION,
                f"an order does not go from {order.status} to {wanted.to} here",
                "to",
            )
        return await _move(context, order, wanted.to, wanted.note)

    return await again(context, attempt)


async def _writable(context: Context, mutation: str, order_id: tuple[str, ...]) -> Order:
    """The order, to a caller who may call the mutation; NOT_FOUND for what they may not see."""
    _, found = await asyncio.gather(authorize(context, mutation), context.loaders.order(*order_id))
    order = await visible_order(context, found)
    if order is None:
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such order", "id")
    return order


async def _move(context: Context, order: Order, to: OrderStatus, note: str | None) -> Order:
    """One step of an order, with all that belongs to it, in one transaction."""
    now = context.now()
    customer = await context.loaders.user(order.user_id)
    erased = customer is not None and customer.status is UserStatus.DELETED
    # Of an erased customer an order keeps its address only until it is finished.
    forgotten = erased and to in orders.FINISHED
    after = order.changed(
        status=to,
        history=(*order.history, StatusChange(status=to, at=now, note=note)),
        shipping_address=None if forgotten else order.shipping_address,
        updated_at=now,
        version=order.version + 1,
    )
    actions: list[Action] = [orders.replace(context.keys, order, after)]
    if to is OrderStatus.DELIVERED:
        actions += map(Put, orders.purchased_rows(context.keys, after, now))
    if to is OrderStatus.CANCELLED:
        actions += await _put_back(context, order)
    try:
        await commit(context, actions)
    except TransactionCancelled:
        raise Raced from None
    return after


async def _put_back(context: Context, order: Order) -> list[Action]:
    """The stock of each product; one that is gone has none to be put back to."""
    quantities: Counter[str] = Counter()
    for line in order.items:
        quantities[line.product_id] += line.quantity
    found = await asyncio.gather(*map(context.loaders.product, quantities))
    return [
        products.put_back(context.keys, product.id, quantities[product.id])
        for product in found
        if product is not None
    ]
