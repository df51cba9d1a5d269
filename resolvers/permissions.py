"""Who may see what. Every rule about reading stands here, and nowhere else."""

from __future__ import annotations

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
