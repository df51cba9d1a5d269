"""Placing an order: stock is taken and the order made in one transaction, once for each key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from datasources import idempotency, items, orders, products
from datasources.errors import DeadlineExceeded, ServiceUnavailable, Throttled, TransactionCancelled
from datasources.items import Idempotency, Order, OrderLine, OrderStatus, Product, ProductStatus
from datasources.order_numbers import order_number
from datasources.writes import Action
from resolvers import inputs
from resolvers.context import Context
from resolvers.errors import Rejected, UserError, UserErrorCode, rejected
from resolvers.formats import MOST_UNITS
from resolvers.permissions import authorize
from resolvers.writing import Raced, again, commit, recorded


@dataclass(frozen=True, slots=True)
class Line:
    """All lines of one product, merged where the first stood; `expected` prices are in minor
    units, each with the position of its line."""

    position: int
    product_id: str
    quantity: int
    expected: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """An order, and whether its key had already placed it."""

    order: Order
    replayed: bool


async def place_order(context: Context, wanted: inputs.PlaceOrder) -> Placed:
    lines = _merged(wanted.items)
    caller = context.principal.user_id or ""
    key = context.keys.idempotency(caller, "placeOrder", wanted.idempotency_key)
    print_of = idempotency.fingerprint(wanted.canonical())

    async def refuse(errors: Sequence[UserError]) -> Placed:
        """A key that has placed its order gives that order, whatever became of the products."""
        if before := await recorded(context, key):
            return await _replayed(context, before, print_of)
        raise Rejected(*errors)

    async def attempt() -> Placed:
        _, found = await asyncio.gather(
            authorize(context, "placeOrder"),
            asyncio.gather(*(context.loaders.product(line.product_id) for line in lines)),
        )
        if errors := _objections(lines, found):
            return await refuse(errors)
        goods = [product for product in found if product is not None]
        order = _order(context, wanted, lines, goods)
        claim = idempotency.record(key, fingerprint=print_of, result=order.id, now=order.placed_at)
        try:
            await commit(context, [claim, *_actions(context, order, lines, goods)])
            return Placed(order, replayed=False)
        except TransactionCancelled as cancelled:
            if not cancelled.failed(0):
                if errors := _reasons(lines, goods, cancelled):
                    return await refuse(errors)
                raise Raced from None
            before = Idempotency.of(cancelled.rows[0] or {})
        except (ServiceUnavailable, Throttled, DeadlineExceeded):
            # An answer may have been lost; whether the order was placed, the record knows.
            found_again = await recorded(context, key)
            if found_again is None:
                raise
            before = found_again
        if before.result == order.id:
            return Placed(order, replayed=False)
        return await _replayed(context, before, print_of)

    return await again(context, attempt)


def _merged(wanted: Sequence[inputs.OrderItem]) -> list[Line]:
    """One line a product, for a transaction takes one action an item."""
    lines: dict[str, Line] = {}
    errors = []
    for position, item in enumerate(wanted):
        (product_id,) = item.product_id
        line = lines.setdefault(product_id, Line(position, product_id, 0, ()))
        expected = line.expected
        if item.expected_unit_price is not None:
            expected += ((position, item.expected_unit_price.minor),)
        quantity = line.quantity + item.quantity
        if quantity > MOST_UNITS:
            message = f"should be at most {MOST_UNITS} of one product, not {quantity} in all lines"
            errors.append(_error(UserErrorCode.INVALID, message, position, "quantity"))
        lines[product_id] = replace(line, quantity=quantity, expected=expected)
    if len(lines) > inputs.MOST_PRODUCTS:
        message = f"should be at most {inputs.MOST_PRODUCTS} different products, not {len(lines)}"
        errors.append(_error(UserErrorCode.INVALID, message))
    if errors:
        raise Rejected(*errors)
    return list(lines.values())


def _objections(lines: Sequence[Line], found: Sequence[Product | None]) -> list[UserError]:
    """What is known to be wrong before anything is written."""
    errors = []
    for line, product in zip(lines, found, strict=True):
        if product is None or product.status is not ProductStatus.ACTIVE:
            errors.append(_unavailable(line))
            continue
        errors += [
            _error(
                UserErrorCode.PRICE_CHANGED,
                "the price has changed: read the product again",
                *(position, "expectedUnitPrice"),
            )
            for position, expected in line.expected
            if expected != product.price
        ]
        if product.inventory < line.quantity:
            errors.append(_short(line, product))
    return errors


def _reasons(
    lines: Sequence[Line], goods: Sequence[Product], cancelled: TransactionCancelled
) -> list[UserError]:
    """What became known as it was written: each line whose product would not give its stock.
    None where no more than prices have changed, and may still be right."""
    errors = []
    for line, read, row in zip(lines, goods, cancelled.rows[2:], strict=True):
        if row is None:
            continue
        now = Product.of(row) if row else None
        if now is None or now.status is not ProductStatus.ACTIVE:
            errors.append(_unavailable(line))
        elif now.price == read.price:
            errors.append(_short(line, now))
    return errors


def _order(
    context: Context, wanted: inputs.PlaceOrder, lines: Sequence[Line], goods: Sequence[Product]
) -> Order:
    """The order as it will stand, with names and prices as they are now."""
    now = context.now()
    address = wanted.shipping_address
    return Order(
        id=context.new_id(now),
        user_id=context.principal.user_id or "",
        number=order_number(context.shop.random_bits),
        status=OrderStatus.PENDING,
        items=tuple(
            OrderLine(
                product_id=product.id,
                product_name=product.name,
                quantity=line.quantity,
                unit_price=product.price,
            )
            for line, product in zip(lines, goods, strict=True)
        ),
        total=sum(
            line.quantity * product.price for line, product in zip(lines, goods, strict=True)
        ),
        shipping_address=items.Address(**address.model_dump()) if address else None,
        history=(items.StatusChange(status=OrderStatus.PENDING, at=now),),
        placed_at=now,
        updated_at=now,
    )


def _actions(
    context: Context, order: Order, lines: Sequence[Line], goods: Sequence[Product]
) -> list[Action]:
    taken = (
        products.take(context.keys, product, line.quantity)
        for line, product in zip(lines, goods, strict=True)
    )
    return [orders.create(context.keys, order), *taken]


async def _replayed(context: Context, before: Idempotency, print_of: str) -> Placed:
    """The order that the key has placed; IDEMPOTENCY_KEY_REUSED for another input."""
    if before.fingerprint != print_of:
        raise rejected(
            UserErrorCode.IDEMPOTENCY_KEY_REUSED,
            "this key has placed another order: take a new one for each order",
            "idempotencyKey",
        )
    order = await context.loaders.order(context.principal.user_id or "", before.result)
    if order is None:
        raise Raced
    return Placed(order, replayed=True)


def _error(code: UserErrorCode, message: str, *path: str | int) -> UserError:
    return UserError(code, message, ("input", "items", *map(str, path)))


def _unavailable(line: Line) -> UserError:
    message = "this product is not for sale"
    return _error(UserErrorCode.PRODUCT_UNAVAILABLE, message, line.position, "productId")


def _short(line: Line, product: Product) -> UserError:
    message = f"only {product.inventory} left of {product.name}"
    return _error(UserErrorCode.OUT_OF_STOCK, message, line.position, "quantity")
