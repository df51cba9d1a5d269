"""Users: who may see which, and what belongs to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from datasources import audit, orders, reviews, users
from datasources.errors import TransactionCancelled
from datasources.items import Audit, OrderStatus, User, UserStatus
from datasources.writes import Action
from resolvers import global_ids, inputs
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.errors import Forbidden, Rejected, UserError, UserErrorCode, rejected
from resolvers.formats import LONGEST_EMAIL
from resolvers.permissions import (
    authorize,
    require_not_erased,
    require_self_or_staff,
    require_staff,
    visible_user,
)
from resolvers.writing import Raced, again, commit


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
    if len(email) > LONGEST_EMAIL or not email.isprintable():
        return None
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


# --- writing --------------------------------------------------------------------------------


async def create_user(context: Context, wanted: inputs.CreateUser) -> User:
    """The caller's own profile, or for staff anybody's; email and username must be free."""
    principal = context.principal
    if wanted.subject is not None and not principal.is_staff:
        raise Forbidden("Only staff may make a profile for somebody else.")
    profile = await authorize(context, "createUser")
    now = context.now()
    subject = wanted.subject or (context.new_id(now) if principal.is_staff else principal.user_id)
    if subject != principal.user_id:
        require_not_erased(profile)
    user = User(
        id=subject or "",
        created_at=now,
        updated_at=now,
        **wanted.model_dump(exclude={"subject"}),
    )
    actions = users.create(context.keys, user)
    try:
        await commit(context, actions)
    except TransactionCancelled as cancelled:
        if cancelled.failed(0):
            # Then email and username may well be taken by that very profile.
            exists = UserError(UserErrorCode.ALREADY_EXISTS, "this profile exists")
            raise Rejected(exists) from None
        raise _taken(context, user, cancelled, actions) from None
    return user


async def update_user(context: Context, wanted: inputs.UpdateUser) -> User:
    """Changes what is given; an email or username that changes is exchanged whole or not."""

    async def attempt() -> User:
        before = await _editable(context, "updateUser", wanted.id)
        changes = wanted.changes()
        now = context.now()
        after = before.changed(**changes, version=before.version + 1, updated_at=now)
        if context.keys.email(after.email or "") != context.keys.email(before.email or ""):
            after = after.changed(email_verified=False)
        return await _replace(context, before, after)

    return await again(context, attempt)


async def set_user_status(context: Context, wanted: inputs.SetUserStatus) -> User:
    """ACTIVE or SUSPENDED; erasing is `deleteUser`'s."""
    if wanted.status is UserStatus.DELETED:
        message = "cannot be set: an account is erased by a mutation of its own"
        raise rejected(UserErrorCode.INVALID, message, "status")

    async def attempt() -> User:
        before = await _editable(context, "setUserStatus", wanted.id)
        if before.status is wanted.status:
            return before
        update = {
            "status": wanted.status,
            "version": before.version + 1,
            "updated_at": context.now(),
        }
        return await _replace(context, before, before.changed(**update))

    return await again(context, attempt)


async def delete_user(context: Context, wanted: inputs.DeleteUser) -> str:
    """Erases the personal data and records that it was erased, both or neither; the ID of the
    user. Of an erased user it changes nothing, and that is no error."""

    async def attempt() -> str:
        before = await _named(context, "deleteUser", wanted.id)
        if before.status is UserStatus.DELETED:
            return global_ids.of(before)
        now = context.now()
        stub = User(
            id=before.id,
            username=f"deleted-{context.shop.random_bits(32):08x}",
            status=UserStatus.DELETED,
            version=before.version + 1,
            created_at=before.created_at,
            updated_at=now,
        )
        erased = Audit(
            subject=before.id,
            action="ERASED",
            actor=context.principal.user_id or "",
            reason=wanted.reason,
            at=now,
        )
        actions = users.replace(context.keys, before, stub)
        try:
            await commit(context, [*actions, audit.entry(context.keys, erased)])
        except TransactionCancelled:
            raise Raced from None
        return global_ids.of(stub)

    return await again(context, attempt)


async def _named(context: Context, mutation: str, user_id: tuple[str, ...] | None) -> User:
    """The user that is named, else the caller; NOT_FOUND for whom the caller may not see,
    FORBIDDEN for whom they may not change."""
    principal = context.principal
    (wanted,) = user_id or (principal.user_id or "",)
    profile, found = await asyncio.gather(
        authorize(context, mutation), context.loaders.user(wanted)
    )
    own = profile is not None and profile.id == wanted
    if not own:
        require_not_erased(profile)
    user = found if own else visible_user(principal, found)
    if user is None:
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such user", "id")
    require_self_or_staff(principal, user.id)
    return user


async def _editable(context: Context, mutation: str, user_id: tuple[str, ...] | None) -> User:
    user = await _named(context, mutation, user_id)
    if user.status is UserStatus.DELETED:
        raise rejected(UserErrorCode.INVALID, "this account is erased", "id")
    return user


async def _replace(context: Context, before: User, after: User) -> User:
    actions = users.replace(context.keys, before, after)
    try:
        await commit(context, actions)
    except TransactionCancelled as cancelled:
        if cancelled.failed(0):
            raise Raced from None
        raise _taken(context, after, cancelled, actions) from None
    return after


def _taken(
    context: Context, user: User, cancelled: TransactionCancelled, actions: Sequence[Action]
) -> Rejected | Raced:
    """Which of the rows that must be free were not; Raced where it was another."""
    meanings = {
        context.keys.username(user.username): (UserErrorCode.USERNAME_TAKEN, "username"),
        context.keys.email(user.email or ""): (UserErrorCode.EMAIL_TAKEN, "email"),
    }
    errors = []
    for position, action in enumerate(actions):
        if cancelled.failed(position) and action.key in meanings:
            code, name = meanings[action.key]
            errors.append(UserError(code, f"this {name} is taken", ("input", name)))
    return Rejected(*errors) if errors else Raced()
