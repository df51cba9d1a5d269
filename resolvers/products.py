"""Products: which may be seen, in which order they are listed, and what hangs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from datasources import products, reviews
from datasources.errors import BadUserInput
from datasources.items import Category, Product, ProductStatus, Review
from datasources.listing import Listing
from resolvers import global_ids
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.permissions import require_listable, visible_product


class ProductOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    PRICE = "PRICE"


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """Which products, and in which order; None where the client left it open."""

    status: ProductStatus
    order: tuple[ProductOrderField, bool] | None = None  # and whether descending
    price: tuple[Decimal | None, Decimal | None] | None = None


async def product(context: Context, product_id: str) -> Product | None:
    return visible_product(context.principal, await context.loaders.product(product_id))


async def product_by_global_id(context: Context, global_id: str) -> Product | None:
    return await product(context, *global_ids.expect("id", global_id, "Product"))


async def all_products(
    context: Context, category_id: str | None, wanted: ProductFilter, window: Window
) -> Connection:
    """One category's products or, without one, every product with that status."""
    slug = None
    if category_id is not None:
        (slug,) = global_ids.expect("categoryId", category_id, "Category")
    return await _connect(context, "products", slug, wanted, window)


def products_of_category(
    context: Context, category: Category, wanted: ProductFilter, window: Window
) -> Awaitable[Connection]:
    return _connect(context, "Category.products", category.slug, wanted, window)


async def _connect(
    context: Context, field: str, slug: str | None, wanted: ProductFilter, window: Window
) -> Connection:
    require_listable(context.principal, wanted.status)
    return await connect(context, _listing(context, field, slug, wanted), window)


def _listing(context: Context, field: str, slug: str | None, wanted: ProductFilter) -> Listing:
    keys, status = context.keys, wanted.status
    by_price = (ProductOrderField.PRICE, False)
    by_date = (ProductOrderField.CREATED_AT, True)
    order, descending = wanted.order or (by_date if wanted.price is None else by_price)
    if order is ProductOrderField.CREATED_AT:
        if wanted.price is not None:
            raise BadUserInput("price", "a range of prices goes with the order PRICE alone.")
        if slug is None:
            return products.with_status(keys, field, status, descending=descending)
        return products.of_category(keys, field, slug, status, descending=descending)
    if slug is None:
        argument = "price" if wanted.order is None else "orderBy"
        raise BadUserInput(argument, "order or range by price needs a category: give categoryId.")
    return products.of_category_by_price(
        keys, field, slug, status, _price_bounds(context, wanted), descending=descending
    )


def _price_bounds(context: Context, wanted: ProductFilter) -> tuple[int | None, int | None]:
    """The range in minor units; BadUserInput for one that is upside down."""
    least, most = (
        None if amount is None else context.shop.currency.minor(f"price.{end}", amount)
        for end, amount in zip(("min", "max"), wanted.price or (None, None), strict=True)
    )
    if least is not None and most is not None and least > most:
        raise BadUserInput("price", "min is over max.")
    return least, most


async def category_of(context: Context, product: Product) -> Category | None:
    return await context.loaders.category(product.category) if product.category else None


def reviews_of(context: Context, product: Product, window: Window) -> Awaitable[Connection]:
    listing = reviews.of_product(context.keys, "Product.reviews", product.id)
    return connect(context, listing, window)


async def viewer_review(context: Context, product: Product) -> Review | None:
    """The caller's own review of a product; None for callers without a profile."""
    user_id = context.principal.user_id
    if user_id is None:
        return None
    erased, review = await asyncio.gather(
        context.is_erased(), context.loaders.review_by(user_id, product.id)
    )
    return None if erased else review
