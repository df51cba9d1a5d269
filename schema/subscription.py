"""Everything that can be subscribed to, and the changes that come of it."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any

import strawberry
from strawberry import ID, UNSET

from datasources import items
from resolvers import changes, global_ids
from schema.connection import given
from schema.enums import ChangeKind, OrderStatus
from schema.money import Money, money
from schema.node import Info
from schema.references import OrderType, ProductType, ReviewType

Parent = strawberry.Parent[changes.Seen]


def _kind(parent: Parent) -> ChangeKind:
    return parent.change.kind


def _occurred_at(parent: Parent) -> datetime:
    return parent.change.occurred_at


def _changed_fields(parent: Parent) -> list[str]:
    return list(parent.change.fields)


def _id(parent: Parent) -> ID:
    return ID(global_ids.of(parent.change.item))


def _now(parent: Parent) -> items.Item | None:
    return parent.new


def _previous_status(parent: Parent) -> OrderStatus | None:
    return parent.old.status if isinstance(parent.old, items.Order) else None


def _previous_price(info: Info, parent: Parent) -> Money | None:
    return money(info, parent.old.price) if isinstance(parent.old, items.Product) else None


def _previous_inventory(parent: Parent) -> int | None:
    return parent.old.inventory if isinstance(parent.old, items.Product) else None


@strawberry.interface(description="Something that has happened to an object.")
class Change:
    cursor: str = strawberry.field(
        description="The place of this change in the stream: as `after` it resumes behind it."
    )
    kind: ChangeKind = strawberry.field(resolver=_kind)
    occurred_at: datetime = strawberry.field(
        resolver=_occurred_at, description="Exact to the second."
    )
    changed_fields: list[str] = strawberry.field(
        resolver=_changed_fields,
        description="The names, in this schema, of the fields that changed; none unless UPDATED.",
    )

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        return isinstance(value, changes.Seen)


@strawberry.type(description="An order was placed, went on or was cancelled.")
class OrderChange(Change):
    order_id: ID = strawberry.field(resolver=_id)
    order = strawberry.field(
        resolver=_now,
        graphql_type=OrderType | None,
        description="As this change left it; null once it is gone.",
    )
    previous_status: OrderStatus | None = strawberry.field(
        resolver=_previous_status, description="Null for an order just placed."
    )


@strawberry.type(description="A product came, changed or went.")
class ProductChange(Change):
    product_id: ID = strawberry.field(resolver=_id)
    product = strawberry.field(
        resolver=_now,
        graphql_type=ProductType | None,
        description="As this change left it; null once it is gone or a draft that the caller may "
        "not see.",
    )
    previous_price: Money | None = strawberry.field(
        resolver=_previous_price, description="Null where the caller saw no product before."
    )
    previous_inventory: int | None = strawberry.field(
        resolver=_previous_inventory, description="Null where the caller saw no product before."
    )


@strawberry.type(description="A review was written, changed or removed.")
class ReviewChange(Change):
    review_id: ID = strawberry.field(resolver=_id)
    review = strawberry.field(
        resolver=_now,
        graphql_type=ReviewType | None,
        description="As this change left it; null once it is gone.",
    )


def _order_changed(
    info: Info, order_id: ID | None = UNSET, after: str | None = UNSET
) -> Awaitable[changes.Watch]:
    return changes.watch_orders(info.context, given(order_id), given(after))


def _product_changed(
    info: Info,
    product_id: ID | None = UNSET,
    category_id: ID | None = UNSET,
    after: str | None = UNSET,
) -> Awaitable[changes.Watch]:
    product, category = given(product_id), given(category_id)
    return changes.watch_products(info.context, product, category, given(after))


def _review_changed(
    info: Info, product_id: ID, after: str | None = UNSET
) -> Awaitable[changes.Watch]:
    return changes.watch_reviews(info.context, product_id, given(after))


@strawberry.type(
    description="What happens, as it happens. `after` is the cursor of the last change that the "
    "client has seen, or a changeCursor: what it missed comes first, then what happens, none twice."
)
class Subscription:
    order_changed = strawberry.subscription(
        resolver=_order_changed,
        graphql_type=OrderChange,
        description="The caller's own orders, or one of them. Staff: any order, or all.",
    )
    product_changed = strawberry.subscription(
        resolver=_product_changed,
        graphql_type=ProductChange,
        description="One product, the products of one category, or all.",
    )
    review_changed = strawberry.subscription(
        resolver=_review_changed,
        graphql_type=ReviewChange,
        description="The reviews of one product.",
    )
