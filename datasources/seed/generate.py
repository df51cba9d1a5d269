"""A shop of any size.

The same seed and time give the same rows; the same seed at another time gives the same shop, only
later, with IDs, usernames and order numbers of its own.
"""

from __future__ import annotations

from datetime import datetime

from datasources.errors import ConfigurationError
from datasources.keys import Keys
from datasources.seed.chance import milliseconds
from datasources.seed.goods import goods as draw_goods
from datasources.seed.goods import public
from datasources.seed.people import customers as draw_customers
from datasources.seed.sales import sales as draw_sales
from datasources.seed.shop import Shop
from datasources.seed.verdicts import deliveries
from datasources.seed.verdicts import verdicts as draw_verdicts


def generate(
    keys: Keys,
    *,
    users: int,
    products: int,
    orders: int,
    reviews: int,
    seed: int,
    now: datetime,
) -> Shop:
    """A shop with so many of each, as it stands at `now`.

    Raises ConfigurationError, in one line that names the option, for numbers that no shop can
    have.
    """
    _check(users=users, products=products, orders=orders, reviews=reviews)
    today = milliseconds(now)
    customers = draw_customers(seed, users, today)
    # Drafts are neither sold nor reviewed: enough products must be neither.
    needed = max(-(-reviews // max(users, 1)), 1 if orders else 0)
    goods = draw_goods(seed, products, today, most_drafts=products - needed)
    sales = draw_sales(seed, orders, customers, goods, today)
    verdicts = draw_verdicts(seed, reviews, customers, public(goods), deliveries(sales))
    return Shop(keys, customers, goods, sales, verdicts)


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ConfigurationError(f"--{name}: should be 0 or more, not {count}.")
    for name in ("orders", "reviews"):
        for needed in ("users", "products"):
            if counts[name] and not counts[needed]:
                raise ConfigurationError(f"--{name}: needs --{needed} of 1 or more.")
    most = counts["users"] * counts["products"]
    if counts["reviews"] > most:
        raise ConfigurationError(
            f"--reviews: should be at most {most}, one for each user and product, "
            f"not {counts['reviews']}."
        )
