"""Who may see what, and who may write. The rules stand here, and nowhere else."""

from __future__ import annotations

from enum import Enum

from datasources.items import Order, Product, ProductStatus, User, UserStatus
from resolvers.context import Context
from resolvers.errors import Forbidden, Unauthenticated
from resolvers.principal import Principal


def require_staff(principal: Principal) -> None:
    """UNAUTHENTICATED for anonymous callers, FORBIDDEN for all who are not staff."""
    if principal.is_anonymous:
        raise Unauthenticated("This is for staff: sign in and send the token.")
    if not principal.is_staff:
        raise Forbidden("This is for staff alone.")


def require_self_or_staff(principal: Principal, user_id: str) -> None:
    """The same for what belongs to one user."""
    if principal.is_anonymous:
        raise Unauthenticated("This is private: sign in and send the token.")
    if principal.user_id != user_id and not principal.is_staff:
        raise Forbidden("This is private to the user and to staff.")


def require_not_erased(profile: User | None) -> None:
    """FORBIDDEN for callers whose account is erased, staff's as well."""
    if profile is not None and profile.status is UserStatus.DELETED:
        raise Forbidden("This account is erased.")


def require_listable(principal: Principal, status: ProductStatus) -> None:
    """Lists of products that are not ACTIVE are for staff."""
    if status is not ProductStatus.ACTIVE:
        require_staff(principal)


def visible_user(principal: Principal, user: User | None) -> User | None:
    """The user, unless erased: the stub is for staff."""
    if user is None or (user.status is UserStatus.DELETED and not principal.is_staff):
        return None
    return user


def visible_product(principal: Principal, product: Product | None) -> Product | None:
    """The product, unless a draft: drafts are for staff."""
    if product is None or (product.status is ProductStatus.DRAFT and not principal.is_staff):
        return None
    return product


async def visible_order(context: Context, order: Order | None) -> Order | None:
    """The order, for staff and for the customer who placed it, unless erased since."""
    principal = context.principal
    if order is None or principal.is_staff:
        return order
    if order.user_id != principal.user_id or await context.is_erased():
        return None
    return order


# --- writing --------------------------------------------------------------------------------


class Writer(Enum):
    """Who may call a mutation at all; what they may change is the mutation's own question."""

    STAFF = "staff"
    ACCOUNT = "callers with an active account"
    ACCOUNT_OR_STAFF = "callers with an active account, and staff"
    ERASER = "callers with an account, erased ones too, and staff"
    NEWCOMER = "callers who have no account yet, and staff"


MUTATIONS: dict[str, Writer] = {
    "createUser": Writer.NEWCOMER,
    "updateUser": Writer.ACCOUNT_OR_STAFF,
    "setUserStatus": Writer.STAFF,
    "deleteUser": Writer.ERASER,
    "createCategory": Writer.STAFF,
    "updateCategory": Writer.STAFF,
    "createProduct": Writer.STAFF,
    "updateProduct": Writer.STAFF,
    "adjustInventory": Writer.STAFF,
    "placeOrder": Writer.ACCOUNT,
    "cancelOrder": Writer.ACCOUNT_OR_STAFF,
    "advanceOrder": Writer.STAFF,
    "addReview": Writer.ACCOUNT,
    "updateReview": Writer.ACCOUNT,
    "deleteReview": Writer.ACCOUNT_OR_STAFF,
}


def admit(principal: Principal, mutation: str) -> None:
    """Turns away, before anything is read, who cannot be meant whatever their account says."""
    if principal.is_anonymous:
        raise Unauthenticated("Only signed-in callers may write: send a token.")
    if MUTATIONS[mutation] is Writer.STAFF:
        require_staff(principal)


async def authorize(context: Context, mutation: str) -> User | None:
    """The caller's profile, once it is clear that an account like it may call the mutation.

    Suspended accounts write nothing, staff's neither.
    """
    admit(context.principal, mutation)
    profile = await context.profile()
    writer, status = MUTATIONS[mutation], profile.status if profile else None
    if status is UserStatus.SUSPENDED:
        raise Forbidden("This account is suspended: it may read, and write nothing.")
    if writer not in {Writer.ERASER, Writer.NEWCOMER}:
        require_not_erased(profile)
    may_lack_one = writer in {Writer.STAFF, Writer.NEWCOMER} or (
        writer is not Writer.ACCOUNT and context.principal.is_staff
    )
    if profile is None and not may_lack_one:
        raise Forbidden("This needs an account: sign up first.")
    return profile
