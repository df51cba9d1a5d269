"""The demo data of the embedded store: a few hundred rows, some of which the README names."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from datasources.items import Address, OrderStatus, Product, User
from datasources.keys import PK, SK, Keys
from datasources.seed.chance import DAY, HOUR, milliseconds, moment, source
from datasources.seed.goods import Good, by_hand, public
from datasources.seed.goods import goods as draw_goods
from datasources.seed.load import load
from datasources.seed.people import Customer, as_customer
from datasources.seed.people import customers as draw_customers
from datasources.seed.sales import Sale, Shelf, sale
from datasources.seed.sales import sales as draw_sales
from datasources.seed.shop import Shop
from datasources.seed.verdicts import deliveries
from datasources.seed.verdicts import verdicts as draw_verdicts
from datasources.table import Table

TARO = "taro"
HANAKO = "hanako"
STAFF = "staff"
# 8 April 2024, 10:00 UTC, and a millisecond later: with an ID its time is fixed, too.
LAPTOP_ID = "018ebd26-7d00-7000-8000-000000000001"
PHONE_ID = "018ebd26-7d01-7000-8000-000000000001"

_SEED = "demo"
_USERS, _PRODUCTS, _ORDERS, _REVIEWS, _ELECTRONICS_REVIEWS = 20, 32, 30, 90, 16
_JOINED = datetime(2024, 4, 1, 9, 0, tzinfo=UTC)

# Orders of one customer: the status of each, and how long ago it was placed.
Past = Sequence[tuple[OrderStatus, int]]
_HANAKOS: Past = (
    (OrderStatus.PENDING, HOUR),
    (OrderStatus.SHIPPED, 5 * DAY),
    (OrderStatus.DELIVERED, 30 * DAY),
    (OrderStatus.DELIVERED, 200 * DAY),
)
_TAROS: Past = (
    (OrderStatus.PENDING, 3 * HOUR),
    (OrderStatus.PAID, 20 * HOUR),
    (OrderStatus.SHIPPED, 4 * DAY),
    (OrderStatus.DELIVERED, 12 * DAY),
    (OrderStatus.DELIVERED, 26 * DAY),
    (OrderStatus.CANCELLED, 41 * DAY),
    (OrderStatus.DELIVERED, 63 * DAY),
    (OrderStatus.REFUNDED, 88 * DAY),
    (OrderStatus.DELIVERED, 120 * DAY),
    (OrderStatus.DELIVERED, 155 * DAY),
    (OrderStatus.DELIVERED, 190 * DAY),
    (OrderStatus.CANCELLED, 231 * DAY),
    (OrderStatus.DELIVERED, 280 * DAY),
    (OrderStatus.DELIVERED, 345 * DAY),
)


def demo_rows(keys: Keys, now: datetime) -> list[dict[str, Any]]:
    """The rows of one tenant, the last of them 太郎's profile: with it the data is complete."""
    rows = list(_shop(keys, milliseconds(now)))
    mark = keys.user(TARO)
    return sorted(rows, key=lambda row: (row[PK], row[SK]) == mark)


async def load_demo(table: Table, keys: Keys, now: datetime) -> int:
    """Writes the demo data where it is not there yet; returns how many rows it wrote."""
    mark = keys.user(TARO)
    if await table.batch_get([mark], consistent=True):
        return 0
    rows = demo_rows(keys, now)
    return await load(table, rows[:-1]) + await load(table, rows[-1:])


def _shop(keys: Keys, now: int) -> Shop:
    taro, hanako, staff = _people(now)
    customers = [taro, hanako, *draw_customers(_SEED, _USERS, now)]
    customers.sort(key=lambda customer: customer.since)
    handmade = _electronics()
    oldest, *others = draw_goods(_SEED, _PRODUCTS, now, most_drafts=2)
    goods = [oldest, *handmade, *others]
    sales = [
        *_orders_of(taro, _TAROS, goods, handmade, now),
        *_orders_of(hanako, _HANAKOS, goods, handmade, now),
        *draw_sales(_SEED, _ORDERS, customers, goods, now),
    ]
    had = deliveries(sales)
    verdicts = draw_verdicts("demo electronics", _ELECTRONICS_REVIEWS, customers, handmade, had)
    verdicts += draw_verdicts(_SEED, _REVIEWS, customers, public([oldest, *others]), had)
    return Shop(keys, [*customers, staff], goods, sales, verdicts)


def _people(now: int) -> tuple[Customer, Customer, Customer]:
    taro = _person(TARO, "太郎", "田中", "taro.tanaka@example.jp", "+819000000001", now)
    hanako = _person(HANAKO, "花子", "佐藤", "hanako.sato@example.jp", "+819000000002", now)
    staff = _person(STAFF, "健一", "鈴木", "kenichi.suzuki@example.jp", "+819000000003", now)
    return taro, hanako, staff


def _person(user_id: str, given: str, family: str, email: str, phone: str, now: int) -> Customer:
    """Their username is their ID."""
    user = User(
        id=user_id,
        username=user_id,
        email=email,
        email_verified=True,
        first_name=given,
        last_name=family,
        phone_number=phone,
        created_at=_JOINED,
        updated_at=_JOINED,
    )
    home = Address(
        recipient=f"{family} {given}",
        line1="丸の内1-2-3",
        line2="グリーンコート501",
        city="千代田区",
        region="東京都",
        postal_code="100-0005",
        country_code="JP",
    )
    return as_customer(user, home, now)


def _electronics() -> list[Good]:
    """The two products that the README names."""
    laptop = _product(
        LAPTOP_ID,
        "ノートパソコン",
        "14インチ、1.2キロの軽量モデル。一日中使えるバッテリー。",
        price=120_000,
        inventory=50,
    )
    phone = _product(
        PHONE_ID,
        "スマートフォン",
        "6.1インチの有機ELディスプレイと、夜に強いカメラ。",
        price=80_000,
        inventory=120,
    )
    return [by_hand(laptop), by_hand(phone)]


def _product(product_id: str, name: str, text: str, *, price: int, inventory: int) -> Product:
    made = moment(uuid.UUID(product_id).int >> 80)
    return Product(
        id=product_id,
        name=name,
        description=text,
        price=price,
        category="electronics",
        inventory=inventory,
        image_url=f"https://images.example.com/products/{product_id}.jpg",
        created_at=made,
        updated_at=made,
    )


def _orders_of(
    customer: Customer, past: Past, goods: Sequence[Good], handmade: Sequence[Good], now: int
) -> list[Sale]:
    """Orders of two products or more; the last ones delivered are of those made by hand."""
    chance, shelf = source(_SEED, customer.user.id), Shelf(_SEED, goods)
    special = iter(handmade)
    made = []
    for status, age in past:
        placed = now - age
        first = shelf.pick(chance, placed, 2)
        if status is OrderStatus.DELIVERED:
            first = [*islice(special, 1), *first]
        made.append(sale(chance, shelf, customer, status, placed, first))
    return made
