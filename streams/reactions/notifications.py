"""Other programs are told of what happens in the shop: IDs and facts, never of a person.

IDs are those of the rows; with the tenant they are all that the API needs to find an item. Rows of
a bulk load are no news.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from datasources.items import Order, Product, Review, User
from datasources.table import Table
from streams.changes import Change
from streams.reactions.outside import OutsideReaction
from streams.sinks import Event, EventSink, EventType

NAME = "notifications"
LOW_STOCK = 5


def event_of(change: Change, low_stock: int = LOW_STOCK) -> Event | None:
    """What a change is news of. Stock is low at `low_stock` units and below; that is news when it
    has been more, once a crossing."""
    if change.loaded:
        return None
    match change.old, change.new:
        case None, User() as user:
            return _event(EventType.USER_CREATED, change, user.id)
        case None, Order() as order:
            return _event(
                EventType.ORDER_CREATED,
                change,
                order.id,
                **_order_facts(order),
                status=order.status.value,
                totalMinor=order.total,
            )
        case Order() as before, Order() as order if before.status is not order.status:
            return _event(
                EventType.ORDER_STATUS_CHANGED,
                change,
                order.id,
                **_order_facts(order),
                oldStatus=before.status.value,
                newStatus=order.status.value,
            )
        case None, Review() as review:
            return _event(
                EventType.REVIEW_CREATED,
                change,
                review.id,
                productId=review.product_id,
                userId=review.user_id,
                rating=review.rating,
            )
        case Product() as before, Product() as product if (
            before.inventory > low_stock >= product.inventory
        ):
            return _event(
                EventType.STOCK_LOW,
                change,
                product.id,
                inventory=product.inventory,
                threshold=low_stock,
            )
    return None


def _order_facts(order: Order) -> dict[str, object]:
    return {"orderNumber": order.number, "userId": order.user_id}


def _event(kind: EventType, change: Change, entity_id: str, **facts: object) -> Event:
    return Event(kind, change.tenant, change.event_id, entity_id, change.occurred_at, facts)


def notifications(
    sink: EventSink,
    marks: Callable[[], Table],
    now: Callable[[], datetime],
    low_stock: int = LOW_STOCK,
) -> OutsideReaction[Event]:
    """The reaction. `marks` gives the system table with a fresh deadline."""
    return OutsideReaction(NAME, partial(event_of, low_stock=low_stock), sink.publish, marks, now)
