"""Categories and their products."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime

import strawberry
from strawberry import UNSET

from datasources import items
from resolvers import connection as resolved
from resolvers import products
from schema.connection import After, Before, Connection, First, Last, window
from schema.enums import ProductStatus
from schema.node import Info, Node, Projection
from schema.products import PriceRange, ProductOrder, product_filter
from schema.references import ProductType


def _products(
    info: Info,
    parent: strawberry.Parent[items.Category],
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
    return products.products_of_category(info.context, parent, wanted, page)


@strawberry.type(description="A shelf of the shop.")
class Category(Projection, Node):
    item = items.Category

    slug: str
    name: str
    description: str | None
    product_count: int = strawberry.field(description="How many ACTIVE products it holds.")
    products = strawberry.field(
        resolver=_products,
        graphql_type=Connection[ProductType],
        description="Newest first, or cheapest first when a price is given.",
    )
    created_at: datetime
    updated_at: datetime
