"""The shop that is measured: seeded as `cartograph seed` does, and one customer with ten orders.

The same in every process that makes it, so that no process need tell another what is in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from datasources import orders, users
from datasources.ids import uuid7
from datasources.items import (
    Category,
    Order,
    OrderLine,
    OrderStatus,
    Product,
    ProductStatus,
    StatusChange,
    User,
)
from datasources.keys import Keys
from datasources.order_numbers import order_number
from datasources.seed.generate import generate
from resolvers import global_ids

TENANT, SHARDS, TABLE = "default", 4, "cartograph"
CUSTOMER = "bench"
PRODUCTS = 2_000
PAGE = 100
_NOW = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
_LINES = (4, 4, 4, 4, 4, 4, 4, 4, 4, 3)  # of each order, all of different products
# So many products with three reviews or more, the others with two: with them the nested query
# comes to 590 fields.
_WELL_REVIEWED = 33


@dataclass(frozen=True, slots=True)
class Shelf:
    """`rows` as the table holds them; `bought` are what the customer's orders hold, each once;
    `category` has more products than a page."""

    rows: Sequence[dict[str, Any]]
    bought: Sequence[Product]
    category: Category

    @property
    def watched(self) -> Product:
        """What there is most of, so that it does not run out while it is sold."""
        return max(self.bought, key=lambda product: product.inventory)

    @property
    def goods(self) -> list[str]:
        """The global IDs of what the customer has bought, and may buy again."""
        return [global_ids.of(product) for product in self.bought]


def stock(products: int = PRODUCTS, older: int = 0) -> Shelf:
    """`older`: so many more products, all of them older than the others."""
    keys = Keys(TENANT, SHARDS)
    shop = generate(
        keys, users=300, products=products, orders=1_000, reviews=6_000, seed=1, now=_NOW
    )
    rows = list(shop)
    found = [Product.of(row) for row in rows if row.get("entity") == "Product"]
    active = [one for one in found if one.status is ProductStatus.ACTIVE and one.category]
    [(slug, _)] = Counter(one.category for one in active).most_common(1)
    categories = [Category.of(row) for row in rows if row.get("entity") == "Category"]
    bought = _bought([one for one in active if one.inventory >= max(_LINES)])
    rows.append(users.row(keys, _customer()))
    rows += [orders.row(keys, order) for order in _orders(bought)]
    rows += _older(keys, older) if older else []
    return Shelf(rows, bought, next(one for one in categories if one.slug == slug))


def _older(keys: Keys, products: int) -> list[dict[str, Any]]:
    before = _NOW - timedelta(days=3_650)
    shop = generate(keys, users=0, products=products, orders=0, reviews=0, seed=2, now=before)
    return [row for row in shop if row.get("entity") == "Product"]


def _bought(products: Sequence[Product]) -> list[Product]:
    by_reviews = defaultdict(list)
    for product in products:
        by_reviews[min(3, sum(product.histogram))].append(product)
    chosen = by_reviews[3][:_WELL_REVIEWED]
    chosen += by_reviews[2][: sum(_LINES) - len(chosen)]
    if len(chosen) != sum(_LINES):
        raise SystemExit("the seeded shop has too few reviews for the customer's orders")
    return chosen


def _customer() -> User:
    return User(id=CUSTOMER, username=CUSTOMER, first_name="花子", created_at=_NOW, updated_at=_NOW)


def _orders(products: Sequence[Product]) -> list[Order]:
    bits, goods = Random(1).getrandbits, iter(products)  # noqa: S311 no secret
    made = []
    for days, size in enumerate(_LINES):
        placed = _NOW - timedelta(days=days)
        lines = tuple(
            OrderLine(
                product_id=product.id,
                product_name=product.name,
                quantity=1 + number,
                unit_price=product.price,
            )
            for number, product in enumerate(islice(goods, size))
        )
        order = Order(
            id=uuid7(int(placed.timestamp() * 1_000), bits),
            user_id=CUSTOMER,
            number=order_number(bits),
            status=OrderStatus.PENDING,
            items=lines,
            total=sum(line.quantity * line.unit_price for line in lines),
            history=(StatusChange(status=OrderStatus.PENDING, at=placed),),
            placed_at=placed,
            updated_at=placed,
        )
        made.append(order)
    return made
