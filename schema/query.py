"""Everything that can be read."""

from __future__ import annotations

from collections.abc import Awaitable

import strawberry
from strawberry import ID, UNSET

from datasources import items
from resolvers import categories, nodes, orders, products, reviews, users
from resolvers import connection as resolved
from schema.categories import Category
from schema.connection import After, Before, Connection, First, Last, given, window
from schema.enums import OrderStatus, ProductStatus, UserStatus
from schema.node import Info, Node
from schema.orders import DateTimeRange, Order
from schema.products import PriceRange, Product, ProductOrder, product_filter
from schema.reviews import Review
from schema.users import User


def _node(info: Info, id: ID) -> Awaitable[items.Item | None]:
    return nodes.node(info.context, id)


def _nodes(info: Info, ids: list[ID]) -> Awaitable[list[items.Item | None]]:
    return nodes.nodes(info.context, ids)


def _viewer(info: Info) -> Awaitable[items.User | None]:
    return users.viewer(info.context)


def _user(info: Info, id: ID) -> Awaitable[items.User | None]:
    return users.user_by_global_id(info.context, id)


def _user_by_email(info: Info, email: str) -> Awaitable[items.User | None]:
    return users.user_by_email(info.context, email)


def _users(
    info: Info,
    status: UserStatus = UserStatus.ACTIVE,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    return users.users_with_status(info.context, status, window(first, after, last, before))


def _product(info: Info, id: ID) -> Awaitable[items.Product | None]:
    return products.product_by_global_id(info.context, id)


def _products(
    info: Info,
    category_id: ID | None = UNSET,
    status: ProductStatus = ProductStatus.ACTIVE,
    order_by: ProductOrder | None = UNSET,
    price: PriceRange | None = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    wanted = product_filter(status, order_by, price)
    page = window(first, after, last, before)
    return products.all_products(info.context, given(category_id), wanted, page)


def _category(info: Info, id: ID) -> Awaitable[items.Category | None]:
    return categories.category_by_global_id(info.context, id)


def _category_by_slug(info: Info, slug: str) -> Awaitable[items.Category | None]:
    return categories.category_by_slug(info.context, slug)


def _categories(
    info: Info,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    return categories.all_categories(info.context, window(first, after, last, before))


def _order(info: Info, id: ID) -> Awaitable[items.Order | None]:
    return orders.order_by_global_id(info.context, id)


def _order_by_number(info: Info, number: str) -> Awaitable[items.Order | None]:
    return orders.order_by_number(info.context, number)


def _orders(
    info: Info,
    placed: DateTimeRange | None = UNSET,
    status: OrderStatus | None = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    placed = given(placed)
    bounds = (given(placed.from_), given(placed.to)) if placed else (None, None)
    page = window(first, after, last, before)
    return orders.orders_placed(info.context, bounds, given(status), page)


def _review(info: Info, id: ID) -> Awaitable[items.Review | None]:
    return reviews.review_by_global_id(info.context, id)


def _change_cursor(info: Info) -> str:
    return info.context.change_cursor()


@strawberry.type(description="Everything that can be read.")
class Query:
    node = strawberry.field(
        resolver=_node,
        graphql_type=Node | None,
        description="Any object by its ID; null when it does not exist or may not be seen.",
    )
    nodes = strawberry.field(
        resolver=_nodes,
        graphql_type=list[Node | None],
        description="Objects in the order asked, null for what is missing; at most 100.",
    )
    viewer = strawberry.field(
        resolver=_viewer,
        graphql_type=User | None,
        description="The signed-in user; null for anonymous callers and those without a profile.",
    )
    user = strawberry.field(
        resolver=_user,
        graphql_type=User | None,
        description="Anybody's public profile. Erased users are for staff alone.",
    )
    user_by_email = strawberry.field(
        resolver=_user_by_email, graphql_type=User | None, description="For staff."
    )
    users = strawberry.field(
        resolver=_users, graphql_type=Connection[User], description="For staff. Newest first."
    )
    product = strawberry.field(resolver=_product, graphql_type=Product | None)
    products = strawberry.field(
        resolver=_products,
        graphql_type=Connection[Product],
        description="One category's products or, without a category, every product with that "
        "status. Ordering or ranging by price needs a category; statuses but ACTIVE are for staff.",
    )
    category = strawberry.field(resolver=_category, graphql_type=Category | None)
    category_by_slug = strawberry.field(resolver=_category_by_slug, graphql_type=Category | None)
    categories = strawberry.field(
        resolver=_categories, graphql_type=Connection[Category], description="By name."
    )
    order = strawberry.field(
        resolver=_order,
        graphql_type=Order | None,
        description="For staff, and for the customer who placed it.",
    )
    order_by_number = strawberry.field(
        resolver=_order_by_number,
        graphql_type=Order | None,
        description="By the number on the receipt. For staff, and for the customer.",
    )
    orders = strawberry.field(
        resolver=_orders,
        graphql_type=Connection[Order],
        description="For staff. Orders of a range of time, newest first, whoever placed them.",
    )
    review = strawberry.field(resolver=_review, graphql_type=Review | None)
    change_cursor: str = strawberry.field(
        resolver=_change_cursor,
        description="Where the stream of changes stood before anything else in this operation "
        "was read: to be given as `after` when subscribing.",
    )
