"""Users: a public profile, and private fields that guard themselves."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime

import strawberry
from strawberry import UNSET

from datasources import items
from resolvers import connection as resolved
from resolvers import users
from schema.connection import After, Before, Connection, First, Last, given, window
from schema.enums import OrderStatus, UserStatus
from schema.node import Info, Node, Projection
from schema.references import OrderType, ReviewType


def _email(info: Info, parent: strawberry.Parent[items.User]) -> str | None:
    return users.private(info.context, parent).email


def _email_verified(info: Info, parent: strawberry.Parent[items.User]) -> bool | None:
    return users.private(info.context, parent).email_verified


def _phone_number(info: Info, parent: strawberry.Parent[items.User]) -> str | None:
    return users.private(info.context, parent).phone_number


def _orders(
    info: Info,
    parent: strawberry.Parent[items.User],
    status: OrderStatus | None = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    page = window(first, after, last, before)
    return users.orders_of(info.context, parent, given(status), page)


def _reviews(
    info: Info,
    parent: strawberry.Parent[items.User],
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    return users.reviews_by(info.context, parent, window(first, after, last, before))


_PRIVATE = "For the user and for staff; null with an error for anybody else."


@strawberry.type(description="Somebody with an account.")
class User(Projection, Node):
    item = items.User

    username: str
    first_name: str | None
    last_name: str | None
    profile_image_url: str | None
    status: UserStatus
    created_at: datetime
    updated_at: datetime
    email = strawberry.field(resolver=_email, description=_PRIVATE)
    email_verified = strawberry.field(resolver=_email_verified, description=_PRIVATE)
    phone_number = strawberry.field(resolver=_phone_number, description=_PRIVATE)
    orders = strawberry.field(
        resolver=_orders,
        graphql_type=Connection[OrderType] | None,
        description=f"{_PRIVATE} Newest first.",
    )
    reviews = strawberry.field(
        resolver=_reviews,
        graphql_type=Connection[ReviewType],
        description="For everybody. Newest first.",
    )
