"""The rows of a shop, which agree with one another.

What is counted (reviews, deliveries, products of a category) is there in a compact form; rows
are made from it one by one, so that a large shop need never be in memory as rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from datasources import categories, orders, products, reviews, users
from datasources.items import Category, ProductStatus, User
from datasources.keys import PK, SK, Keys
from datasources.seed import words
from datasources.seed.chance import DAY, moment
from datasources.seed.goods import Good
from datasources.seed.people import Customer
from datasources.seed.sales import Sale
from datasources.seed.verdicts import Verdict, deliveries

Rows = Iterator[dict[str, Any]]


class Shop:
    """The rows of one tenant: how many, by `len`, and each of them, as often as is asked."""

    def __init__(
        self,
        keys: Keys,
        customers: Sequence[Customer],
        goods: Sequence[Good],
        sales: Sequence[Sale],
        verdicts: Sequence[Verdict],
    ) -> None:
        self._keys = keys
        self._customers = customers
        self._goods = goods
        self._sales = sales
        self._verdicts = verdicts

    def __len__(self) -> int:
        accounts = sum(1 if user.email is None else 3 for user in self._users)
        bought = sum(map(len, self._deliveries.values()))
        whole = (self._departments, self._goods, self._sales)
        return accounts + bought + sum(map(len, whole)) + 2 * len(self._verdicts)

    def __iter__(self) -> Rows:
        return chain(
            self._user_rows(),
            self._category_rows(),
            self._product_rows(),
            self._order_rows(),
            self._review_rows(),
        )

    @property
    def _users(self) -> Iterator[User]:
        return (customer.user for customer in self._customers)

    @cached_property
    def _deliveries(self) -> Mapping[str, Mapping[str, int]]:
        return deliveries(self._sales)

    @cached_property
    def _departments(self) -> Sequence[words.Department]:
        return words.departments() if self._goods else ()

    def _user_rows(self) -> Rows:
        for user in self._users:
            yield users.row(self._keys, user)
            if user.email is not None:
                yield users.unique_row(self._keys.email(user.email), user.id)
                yield users.unique_row(self._keys.username(user.username), user.id)

    def _category_rows(self) -> Rows:
        sold = Counter(
            good.product.category
            for good in self._goods
            if good.product.status is ProductStatus.ACTIVE
        )
        opened = moment(min((good.made for good in self._goods), default=DAY) - DAY)
        for one in self._departments:
            category = Category(
                slug=one.slug,
                name=one.name,
                description=one.description,
                product_count=sold[one.slug],
                created_at=opened,
                updated_at=opened,
            )
            yield categories.row(self._keys, category)

    def _product_rows(self) -> Rows:
        rated = Counter((verdict.good.product.id, verdict.stars) for verdict in self._verdicts)
        for good in self._goods:
            histogram = tuple(rated[good.product.id, stars] for stars in (1, 2, 3, 4, 5))
            product = good.product.changed(histogram=histogram)
            yield products.row(self._keys, product)

    def _order_rows(self) -> Rows:
        marked = set()
        for sale in sorted(self._sales, key=lambda sale: sale.delivered or 0):
            order = sale.order()
            yield orders.row(self._keys, order)
            if sale.delivered is None:
                continue
            for row in orders.purchased_rows(self._keys, order, moment(sale.delivered)):
                # The first delivery is the one that is marked.
                if (key := (row[PK], row[SK])) not in marked:
                    marked.add(key)
                    yield row

    def _review_rows(self) -> Rows:
        for verdict in self._verdicts:
            review = verdict.review()
            yield reviews.row(self._keys, review)
            yield reviews.reviewed_row(self._keys, review)
