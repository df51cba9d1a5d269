"""Users: who may see which, and what belongs to them."""

from __future__ import annotations

from collections.abc import Awaitable

from datasources import orders, reviews, users
from datasources.items import OrderStatus, User, UserStatus
from resolvers import global_ids
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.permissions import require_self_or_staff, require_staff, visible_user


async def viewer(context: Context) -> User | None:
    """The signed-in user; None when anonymous, without a profile, or erased."""
    profile = await context.profile()
    if profile is None or profile.status is UserStatus.DELETED:
        return None
    return profile


async def user(context: Context, user_id: str) -> User | None:
    return visible_user(context.principal, await context.loaders.user(user_id))


async def user_by_global_id(context: Context, global_id: str) -> User | None:
    return await user(context, *global_ids.expect("id", global_id, "User"))


async def user_by_email(context: Context, email: str) -> User | None:
    require_staff(context.principal)
    return await context.loaders.holder(context.keys.email(email))


async def users_with_status(context: Context, status: UserStatus, window: Window) -> Connection:
    require_staff(context.principal)
    return await connect(context, users.with_status(context.keys, "users", status), window)


def private(context: Context, user: User) -> User:
    """The user, to a caller who may read the private fields; FORBIDDEN to others."""
    require_self_or_staff(context.principal, user.id)
    return user


async def orders_of(
    context: Context, user: User, status: OrderStatus | None, window: Window
) -> Connection:
    require_self_or_staff(context.principal, user.id)
    listing = orders.of_user(context.keys, "User.orders", user.id, status)
    return await connect(context, listing, window)


def reviews_by(context: Context, user: User, window: Window) -> Awaitable[Connection]:
    listing = reviews.by_user(context.keys, "User.reviews", user.id)
    return connect(context, listing, window)
