"""Orders with their lines, as they were when they were placed."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime

import strawberry
from strawberry import UNSET

from datasources import items
from resolvers import orders
from schema.enums import OrderStatus
from schema.money import Money, money
from schema.node import Info, Node, Projection
from schema.references import ProductType, UserType


@strawberry.input(description="`from` is inclusive, `to` is exclusive; either may be left out.")
class DateTimeRange:
    from_: datetime | None = strawberry.field(name="from", default=UNSET)
    to: datetime | None = UNSET


def _product(
    info: Info, parent: strawberry.Parent[items.OrderLine]
) -> Awaitable[items.Product | None]:
    return orders.product_of(info.context, parent)


def _unit_price(info: Info, parent: strawberry.Parent[items.OrderLine]) -> Money:
    return money(info, parent.unit_price)


def _line_total(info: Info, parent: strawberry.Parent[items.OrderLine]) -> Money:
    return money(info, parent.unit_price * parent.quantity)


@strawberry.type(
    description="A line of an order. Name and price are as they were when it was placed."
)
class OrderItem:
    product = strawberry.field(
        resolver=_product,
        graphql_type=ProductType | None,
        description="Null once the product is gone.",
    )
    product_name: str
    quantity: int
    unit_price: Money = strawberry.field(resolver=_unit_price)
    line_total: Money = strawberry.field(resolver=_line_total)


@strawberry.type(description="A step in an order's life.")
class OrderStatusChange:
    status: OrderStatus
    at: datetime
    note: str | None


@strawberry.type(description="Where an order goes.")
class Address:
    recipient: str
    line1: str
    line2: str | None
    city: str
    region: str | None
    postal_code: str
    country_code: str = strawberry.field(description="ISO 3166-1 alpha-2.")


def _next_statuses(
    info: Info, parent: strawberry.Parent[items.Order]
) -> Awaitable[tuple[OrderStatus, ...]]:
    return orders.next_statuses(info.context, parent)


def _customer(info: Info, parent: strawberry.Parent[items.Order]) -> Awaitable[items.User | None]:
    return orders.customer(info.context, parent)


def _item_count(parent: strawberry.Parent[items.Order]) -> int:
    return sum(line.quantity for line in parent.items)


def _total(info: Info, parent: strawberry.Parent[items.Order]) -> Money:
    return money(info, parent.total)


@strawberry.type(description="What somebody bought, and how far it has come.")
class Order(Projection, Node):
    item = items.Order

    number: str = strawberry.field(description="As printed on the receipt.")
    status: OrderStatus
    next_statuses = strawberry.field(
        resolver=_next_statuses,
        graphql_type=list[OrderStatus],
        description="Where the caller may take this order now, CANCELLED included.",
    )
    customer = strawberry.field(
        resolver=_customer,
        graphql_type=UserType | None,
        description="For staff and the customer.",
    )
    items: list[OrderItem]
    item_count: int = strawberry.field(
        resolver=_item_count, description="Units in all lines together."
    )
    total: Money = strawberry.field(resolver=_total)
    shipping_address: Address | None
    history: list[OrderStatusChange] = strawberry.field(description="Oldest first.")
    placed_at: datetime
    updated_at: datetime
    version: int = strawberry.field(description="Goes up by one with every change.")
