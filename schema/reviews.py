"""Reviews of products."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime

import strawberry

from datasources import items
from resolvers import reviews
from schema.node import Info, Node, Projection
from schema.references import ProductType, UserType


def _author(info: Info, parent: strawberry.Parent[items.Review]) -> Awaitable[items.User | None]:
    return reviews.author(info.context, parent)


def _product(
    info: Info, parent: strawberry.Parent[items.Review]
) -> Awaitable[items.Product | None]:
    return reviews.product_of(info.context, parent)


@strawberry.type(description="What somebody thinks of a product.")
class Review(Projection, Node):
    item = items.Review

    rating: int = strawberry.field(description="1 to 5.")
    title: str | None
    comment: str | None
    author = strawberry.field(
        resolver=_author,
        graphql_type=UserType | None,
        description="Null once the author's account is erased.",
    )
    product = strawberry.field(resolver=_product, graphql_type=ProductType | None)
    verified_purchase: bool = strawberry.field(
        description="Whether the author has had this product delivered."
    )
    created_at: datetime
    updated_at: datetime
