"""Products: which may be seen, in which order they are listed, and what hangs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from datasources import audit, idempotency, products, reviews
from datasources.errors import BadUserInput, TransactionCancelled
from datasources.items import Audit, Category, Idempotency, Product, ProductStatus, Review
from datasources.listing import Listing
from datasources.writes import PRESENT, Action, Check, Put
from resolvers import global_ids, inputs
from resolvers.connection import Connection, Window, connect
from resolvers.context import Context
from resolvers.errors import UserErrorCode, rejected
from resolvers.formats import MOST_STOCK
from resolvers.permissions import authorize, require_listable, visible_product
from resolvers.writing import Raced, again, commit


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
            raise BadUserInput("price", "a range of prices goes with the order by price alone.")
        if slug is None:
            return products.with_status(keys, field, status, descending=descending)
        return products.of_category(keys, field, slug, status, descending=descending)
    if slug is None:
        argument = "price" if wanted.order is None else "orderBy"
        raise BadUserInput(argument, "order or range by price needs a category.")
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


# --- writing --------------------------------------------------------------------------------


async def create_product(context: Context, wanted: inputs.CreateProduct) -> Product:
    await authorize(context, "createProduct")
    now = context.now()
    given = wanted.model_dump(exclude={"price", "category_id"})
    made = Product(
        id=context.new_id(now),
        price=wanted.price.minor,
        category=wanted.category_id[0] if wanted.category_id else None,
        created_at=now,
        updated_at=now,
        **given,
    )
    await _write(context, products.create(context.keys, made), made.category)
    return made


async def update_product(context: Context, wanted: inputs.UpdateProduct) -> Product:
    """Changes what is given, and every index with it."""

    async def attempt() -> Product:
        _, before = await asyncio.gather(
            authorize(context, "updateProduct"), context.loaders.product(*wanted.id)
        )
        if before is None:
            raise rejected(UserErrorCode.NOT_FOUND, "there is no such product", "id")
        if wanted.expected_version not in {None, before.version}:
            raise rejected(
                UserErrorCode.VERSION_CONFLICT,
                f"the product is at version {before.version}: read it again",
                "expectedVersion",
            )
        changes = wanted.changes()
        if "price" in changes:
            changes["price"] = wanted.price.minor
        if "category_id" in changes:
            slug = changes.pop("category_id")
            changes["category"] = slug and slug[0]
        after = before.changed(**changes, version=before.version + 1, updated_at=context.now())
        moved = after.category if after.category != before.category else None
        await _write(context, products.update(context.keys, before, after), moved)
        return after

    return await again(context, attempt)


async def adjust_inventory(context: Context, wanted: inputs.AdjustInventory) -> Product:
    """Changes the stock by a difference, never below zero, once for each key."""
    await authorize(context, "adjustInventory")
    (product_id,) = wanted.product_id
    adjusted = Audit(
        subject=product_id,
        action=f"INVENTORY {wanted.delta:+d}",
        actor=context.principal.user_id or "",
        reason=wanted.reason,
        at=context.now(),
    )
    actions: list[Action] = [
        products.adjust(context.keys, product_id, wanted.delta, most=MOST_STOCK),
        audit.entry(context.keys, adjusted),
    ]
    if wanted.idempotency_key is not None:
        actions.append(_claim(context, wanted, wanted.idempotency_key))
    try:
        await commit(context, actions)
    except TransactionCancelled as cancelled:
        _explain(wanted, cancelled)
    product = await context.loaders.product(product_id)
    if product is None:
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such product", "productId")
    return product


def _claim(context: Context, wanted: inputs.AdjustInventory, idempotency_key: str) -> Put:
    caller = context.principal.user_id or ""
    return idempotency.record(
        context.keys.idempotency(caller, "adjustInventory", idempotency_key),
        fingerprint=idempotency.fingerprint(wanted.canonical()),
        result=wanted.product_id[0],
        now=context.now(),
    )


def _explain(wanted: inputs.AdjustInventory, cancelled: TransactionCancelled) -> None:
    """Nothing to say where the key had made this very change; Rejected otherwise."""
    if len(cancelled.rows) > 2 and cancelled.failed(2):
        before = Idempotency.of(cancelled.rows[2] or {})
        if before.fingerprint == idempotency.fingerprint(wanted.canonical()):
            return
        raise rejected(
            UserErrorCode.IDEMPOTENCY_KEY_REUSED,
            "this key has made another change: take a new one for each change",
            "idempotencyKey",
        ) from None
    if not cancelled.rows[0]:
        raise rejected(UserErrorCode.NOT_FOUND, "there is no such product", "productId") from None
    stock = Product.of(cancelled.rows[0]).inventory
    if stock + wanted.delta < 0:
        raise rejected(UserErrorCode.OUT_OF_STOCK, f"only {stock} left", "delta") from None
    raise rejected(
        UserErrorCode.INVALID, f"the stock may be {MOST_STOCK} at most", "delta"
    ) from None


async def _write(context: Context, action: Action, category: str | None) -> None:
    """One write of a product; a category that it comes into must be there."""
    checks = [Check(context.keys.category(category), PRESENT)] if category else []
    try:
        await commit(context, [action, *checks])
    except TransactionCancelled as cancelled:
        if checks and cancelled.failed(1):
            raise rejected(
                UserErrorCode.NOT_FOUND, "there is no such category", "categoryId"
            ) from None
        raise Raced from None
