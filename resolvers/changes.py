"""Changes: who may be told of which, and what of it.

A topic says which changes a subscription is about. What it shows of one is decided anew for each
event, by what the item was and is, and by what the caller's account is by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from datasources.errors import BadUserInput, InvalidCursor, ServiceUnavailable
from datasources.items import Item, Order, Product, Review
from resolvers import global_ids
from resolvers.context import Context
from resolvers.errors import Forbidden, Unauthenticated
from resolvers.permissions import require_not_erased, visible_order, visible_product
from streams.changes import Change
from streams.follower import Follower
from streams.journal import Entry, Journal, Position


@dataclass(frozen=True, slots=True)
class Seen:
    """A change as one caller may see it: `old` and `new` are None where they may not be seen.

    `cursor` is its place among all changes, sealed.
    """

    change: Change
    cursor: str
    old: Item | None
    new: Item | None


class Topic(Protocol):
    """Hashable: subscriptions of equal topics are about the same changes."""

    def concerns(self, change: Change) -> bool: ...

    async def show(self, context: Context, entry: Entry) -> Seen | None:
        """What the caller may see of a change that it concerns; None: that there was none."""


@dataclass(frozen=True, slots=True)
class OrderTopic:
    """The orders of one user or, for staff, of all; or one order."""

    user_id: str | None
    order_id: str | None

    def concerns(self, change: Change) -> bool:
        order = change.item
        return (
            isinstance(order, Order)
            and self.user_id in {None, order.user_id}
            and self.order_id in {None, order.id}
        )

    async def show(self, context: Context, entry: Entry) -> Seen | None:
        order = entry.change.item
        if not isinstance(order, Order) or await visible_order(context, order) is None:
            return None
        return _seen(context, entry, entry.change.old, entry.change.new)


@dataclass(frozen=True, slots=True)
class ProductTopic:
    """One product, the products that are or were of one category, or all."""

    product_id: str | None
    category: str | None

    def concerns(self, change: Change) -> bool:
        products = [item for item in (change.old, change.new) if isinstance(item, Product)]
        return any(
            self.product_id in {None, product.id} and self.category in {None, product.category}
            for product in products
        )

    async def show(self, context: Context, entry: Entry) -> Seen | None:
        old, new = (
            visible_product(context.principal, item) if isinstance(item, Product) else None
            for item in (entry.change.old, entry.change.new)
        )
        return None if old is None and new is None else _seen(context, entry, old, new)


@dataclass(frozen=True, slots=True)
class ReviewTopic:
    """The reviews of one product, as long as the caller may see the product."""

    product_id: str

    def concerns(self, change: Change) -> bool:
        review = change.item
        return isinstance(review, Review) and review.product_id == self.product_id

    async def show(self, context: Context, entry: Entry) -> Seen | None:
        product = await context.loaders.product(self.product_id)
        if product is not None and visible_product(context.principal, product) is None:
            return None
        return _seen(context, entry, entry.change.old, entry.change.new)


@dataclass(frozen=True, slots=True)
class Watch:
    """What a subscription asks for: a topic, and from where on; None: from now, which is where
    the journal's tail was when it was asked for."""

    topic: Topic
    after: Position | None
    tail: Position
    tenant: str
    journal: Journal

    def __aiter__(self) -> Follower:
        """The entries of the topic, as a subscription of its own would get them."""
        return self.follow(self.after or self.tail)

    def follow(self, after: Position) -> Follower:
        """The entries of the topic behind a position."""
        return Follower(self.journal, self.tenant, self._concerns, after)

    def _concerns(self, change: Change) -> bool:
        """A bulk load is no news, here as in mails and notifications."""
        return not change.loaded and self.topic.concerns(change)


async def watch_orders(context: Context, order_id: str | None, after: str | None) -> Watch:
    """UNAUTHENTICATED for anonymous callers, FORBIDDEN for another's order: the ID tells whose
    it is, so neither answer says whether there is one."""
    principal = context.principal
    if principal.user_id is None:
        raise Unauthenticated("Orders are private: sign in and send the token.")
    whose = None if principal.is_staff else principal.user_id
    wanted = None
    if order_id is not None:
        user_id, wanted = global_ids.expect("orderId", order_id, "Order")
        if whose not in {None, user_id}:
            raise Forbidden("This order is private to its customer and to staff.")
        whose = user_id
    position = _position(context, after)
    require_not_erased(await context.profile())
    return _watch(context, OrderTopic(whose, wanted), position)


async def watch_products(
    context: Context, product_id: str | None, category_id: str | None, after: str | None
) -> Watch:
    if product_id is not None and category_id is not None:
        raise BadUserInput("categoryId", "goes without productId: one or the other.")
    product = slug = None
    if product_id is not None:
        (product,) = global_ids.expect("productId", product_id, "Product")
    if category_id is not None:
        (slug,) = global_ids.expect("categoryId", category_id, "Category")
    return _watch(context, ProductTopic(product, slug), _position(context, after))


async def watch_reviews(context: Context, product_id: str, after: str | None) -> Watch:
    (product,) = global_ids.expect("productId", product_id, "Product")
    return _watch(context, ReviewTopic(product), _position(context, after))


def _watch(context: Context, topic: Topic, after: Position | None) -> Watch:
    journal, tenant = context.shop.journal, context.principal.tenant
    tail = journal.tail(tenant)
    if tail is None:
        raise ServiceUnavailable("The changes cannot be followed yet; try again in a moment.")
    return Watch(topic, after, tail, tenant, journal)


def _position(context: Context, after: str | None) -> Position | None:
    """Raises InvalidCursor for what is no change cursor of this tenant."""
    if after is None:
        return None
    position = context.open_change_cursor(after)
    if position is None:
        raise InvalidCursor("after")
    return position


def _seen(context: Context, entry: Entry, old: Item | None, new: Item | None) -> Seen:
    return Seen(entry.change, context.seal_position(entry.position), old, new)
