import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datasources.errors import ConfigurationError
from datasources.items import Order, OrderStatus, Product, ProductStatus, Review, User, UserStatus
from datasources.keys import Keys
from datasources.seed.generate import generate
from datasources.seed.shop import Shop

KEYS = Keys("shop", 4)
NOW = datetime(2026, 3, 5, 12, 34, 56, tzinfo=UTC)


def shop(users: int, products: int, orders: int, reviews: int, *, seed: int = 1) -> Shop:
    return generate(
        KEYS, users=users, products=products, orders=orders, reviews=reviews, seed=seed, now=NOW
    )


def counted(rows: Shop) -> dict[str, int]:
    counts = Counter(row["entity"] for row in rows)
    return {name: counts[name] for name in ("User", "Product", "Order", "Review")}


@pytest.fixture(scope="module")
def big() -> Shop:
    return shop(400, 300, 1_200, 4_000)


@pytest.mark.parametrize(
    "counts",
    [
        (0, 0, 0, 0),
        (5, 0, 0, 0),
        (0, 5, 0, 0),
        (1, 1, 1, 1),
        (3, 2, 10, 6),  # every user has reviewed every product
        (2, 60, 5, 120),  # so none of them is a draft
        (40, 60, 200, 300),
    ],
)
def test_there_is_as_much_as_was_asked_for(counts: tuple[int, int, int, int]) -> None:
    users, products, orders, reviews = counts
    rows = shop(*counts)
    assert counted(rows) == {
        "User": users,
        "Product": products,
        "Order": orders,
        "Review": reviews,
    }
    keys = [(row["PK"], row["SK"]) for row in rows]
    assert len(rows) == len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((-1, 1, 0, 0), "--users: should be 0 or more, not -1."),
        ((1, -2, 0, 0), "--products: should be 0 or more, not -2."),
        ((1, 1, -3, 0), "--orders: should be 0 or more, not -3."),
        ((1, 1, 0, -4), "--reviews: should be 0 or more, not -4."),
        ((0, 1, 1, 0), "--orders: needs --users of 1 or more."),
        ((1, 0, 1, 0), "--orders: needs --products of 1 or more."),
        ((0, 1, 0, 1), "--reviews: needs --users of 1 or more."),
        ((1, 0, 0, 1), "--reviews: needs --products of 1 or more."),
        (
            (3, 4, 0, 13),
            "--reviews: should be at most 12, one for each user and product, not 13.",
        ),
    ],
)
def test_numbers_that_no_shop_can_have_are_refused_by_name(
    counts: tuple[int, int, int, int], message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        shop(*counts)
    assert str(raised.value) == message


def test_the_same_seed_and_time_give_the_same_rows() -> None:
    assert list(shop(30, 30, 60, 60)) == list(shop(30, 30, 60, 60))


def test_a_shop_can_be_read_twice() -> None:
    rows = shop(30, 30, 60, 60)
    assert list(rows) == list(rows)


def test_another_seed_gives_another_shop() -> None:
    one, other = (
        [row["name"] for row in shop(0, 30, 0, 0, seed=seed) if row["entity"] == "Product"]
        for seed in (1, 2)
    )
    assert one != other


def test_a_second_seeding_is_the_same_shop_and_takes_nothing_of_the_first() -> None:
    counts = {"users": 60, "products": 40, "orders": 80, "reviews": 90}
    first, second = (
        list(generate(KEYS, **counts, seed=1, now=NOW + timedelta(minutes=minutes)))
        for minutes in (0, 1)
    )

    def told(rows: list[dict[str, Any]]) -> list[Any]:
        names = ("name", "price", "firstName", "total", "rating", "title", "comment", "status")
        return [[row.get(name) for name in names] for row in rows]

    assert told(first) == told(second)
    keys = [{(row["PK"], row["SK"]) for row in rows} for rows in (first, second)]
    assert all(sk == "METADATA" and "#CATEGORY#" in pk for pk, sk in keys[0] & keys[1])
    numbers = [{row["number"] for row in rows if "number" in row} for rows in (first, second)]
    assert not numbers[0] & numbers[1]


def test_ratings_are_mostly_good_with_more_ones_than_twos(big: Shop) -> None:
    stars = Counter(row["rating"] for row in big if row["entity"] == Review.__name__)
    assert stars[5] > stars[4] > stars[3] > stars[1] > stars[2] > 0


def test_some_products_are_far_more_popular_than_others(big: Shop) -> None:
    counts = sorted(
        (sum(row["histogram"]) for row in big if row["entity"] == Product.__name__), reverse=True
    )
    assert sum(counts[:30]) > 0.3 * sum(counts)
    assert counts[0] > 5 * counts[len(counts) // 2]


def test_old_orders_are_finished_and_most_are_delivered(big: Shop) -> None:
    found = [row for row in big if row["entity"] == Order.__name__]
    finished = {OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.REFUNDED}
    month_ago = f"{NOW - timedelta(days=30):%Y-%m-%d}"
    assert {row["status"] for row in found if row["placedAt"] < month_ago} == finished
    statuses = Counter(row["status"] for row in found)
    assert statuses[OrderStatus.DELIVERED] > 0.7 * len(found)
    assert len({row["placedAt"][:7] for row in found}) >= 12


def test_there_is_some_of_all_that_a_shop_has_to_cope_with(big: Shop) -> None:
    users = [row for row in big if row["entity"] == User.__name__]
    products = [row for row in big if row["entity"] == Product.__name__]
    orders = [row for row in big if row["entity"] == Order.__name__]
    assert {row["status"] for row in users} == set(UserStatus)
    assert {row["status"] for row in products} == set(ProductStatus)
    for name in ("category", "description", "imageUrl"):
        assert 0 < sum(name not in row for row in products) < len(products) / 4
    assert any(row["inventory"] == 0 for row in products)
    assert any("shippingAddress" not in row for row in orders)
    changes = [change for row in orders for change in row["history"]]
    assert 0 < sum("note" in change for change in changes) < len(changes)
    prices: dict[str, set[int]] = {}
    for line in (line for row in orders for line in row["items"]):
        prices.setdefault(line["productId"], set()).add(line["unitPrice"])
    assert any(len(seen) == 2 for seen in prices.values())


def test_six_orders_are_enough_for_every_status() -> None:
    for seed in range(5):
        rows = shop(3, 3, 6, 0, seed=seed)
        found = {row["status"] for row in rows if row["entity"] == Order.__name__}
        assert found == set(OrderStatus)


def test_orders_go_to_japan_and_elsewhere(big: Shop) -> None:
    sent = Counter(row["shippingAddress"]["countryCode"] for row in big if "shippingAddress" in row)
    assert sent["JP"] > sent.total() / 2
    assert len(sent) > 5
    assert all(re.fullmatch(r"[A-Z]{2}", country) for country in sent)
