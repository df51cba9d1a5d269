"""Orders: who may see which, and where each may go from here."""

from __future__ import annotations

import asyncio
from datetime import datetime

from datasources import orders
from datasources.errors import BadUserInput
from datasources.items import Order, OrderLine, OrderStatus, Product, User, UserStatus, from_row
from resolvers import global_ids
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.permissions import require_staff, visible_order, visible_product, visible_user

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
    if context.principal.is_anonymous or not number:
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
