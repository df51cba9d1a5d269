"""Products, their ratings, and how lists of them are ordered."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry import UNSET

from datasources import items
from resolvers import connection as resolved
from resolvers import products
from schema.connection import After, Before, Connection, First, Last, given, window
from schema.enums import OrderDirection, ProductOrderField, ProductStatus
from schema.money import Money, money
from schema.node import Info, Node, Projection
from schema.references import CategoryType, ReviewType


@strawberry.input(description="What a list of products is ordered by.")
class ProductOrder:
    field: ProductOrderField = ProductOrderField.CREATED_AT
    direction: OrderDirection = OrderDirection.DESC


@strawberry.input(
    description="Both ends inclusive; either may be left out. Implies the order PRICE."
)
class PriceRange:
    min: Decimal | None = UNSET
    max: Decimal | None = UNSET


def product_filter(
    status: ProductStatus, order_by: ProductOrder | None, price: PriceRange | None
) -> products.ProductFilter:
    """What the arguments of a list of products ask for."""
    order = price_range = None
    if order_by:
        order = (order_by.field, order_by.direction is OrderDirection.DESC)
    if price:
        price_range = (given(price.min), given(price.max))
    return products.ProductFilter(status, order, price_range)


def _price(info: Info, parent: strawberry.Parent[items.Product]) -> Money:
    return money(info, parent.price)


def _category(
    info: Info, parent: strawberry.Parent[items.Product]
) -> Awaitable[items.Category | None]:
    return products.category_of(info.context, parent)


def _in_stock(parent: strawberry.Parent[items.Product]) -> bool:
    return parent.inventory > 0


def _reviews(
    info: Info,
    parent: strawberry.Parent[items.Product],
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> Awaitable[resolved.Connection]:
    return products.reviews_of(info.context, parent, window(first, after, last, before))


def _viewer_review(
    info: Info, parent: strawberry.Parent[items.Product]
) -> Awaitable[items.Review | None]:
    return products.viewer_review(info.context, parent)


@strawberry.type(description="What the reviews of a product come to.")
class RatingSummary:
    average: float | None = strawberry.field(
        description="One decimal place; null until the first review."
    )
    count: int
    histogram: list[int] = strawberry.field(
        description="How many reviews gave 1, 2, 3, 4 and 5 stars, in that order."
    )


def _rating_summary(parent: strawberry.Parent[items.Product]) -> RatingSummary:
    histogram = list(parent.histogram)
    count = sum(histogram)
    stars = sum(rating * number for rating, number in enumerate(histogram, start=1))
    # Tenths, rounded half up in integers: a float would round 4.25 down and 4.35 up.
    average = (20 * stars + count) // (2 * count) / 10 if count else None
    return RatingSummary(average=average, count=count, histogram=histogram)


@strawberry.type(description="Something the shop sells.")
class Product(Projection, Node):
    item = items.Product

    name: str
    description: str | None
    price: Money = strawberry.field(resolver=_price)
    category = strawberry.field(resolver=_category, graphql_type=CategoryType | None)
    status: ProductStatus
    inventory: int = strawberry.field(description="Units that can be ordered now.")
    in_stock: bool = strawberry.field(resolver=_in_stock)
    image_url: str | None
    rating_summary: RatingSummary = strawberry.field(resolver=_rating_summary)
    reviews = strawberry.field(
        resolver=_reviews, graphql_type=Connection[ReviewType], description="Newest first."
    )
    viewer_review = strawberry.field(
        resolver=_viewer_review,
        graphql_type=ReviewType | None,
        description="The caller's own review of this product, if there is one.",
    )
    version: int = strawberry.field(description="Goes up by one with every change.")
    created_at: datetime
    updated_at: datetime
