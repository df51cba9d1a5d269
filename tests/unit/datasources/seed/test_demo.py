from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datasources.ids import is_uuid
from datasources.items import OrderStatus
from datasources.keys import Keys
from datasources.seed.demo import HANAKO, LAPTOP_ID, PHONE_ID, STAFF, TARO, demo_rows

KEYS = Keys("shop", 4)
NOW = datetime(2026, 11, 5, 12, 34, 56, tzinfo=UTC)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return demo_rows(KEYS, NOW)


def of(rows: list[Row], entity: str) -> list[Row]:
    return [row for row in rows if row["entity"] == entity]


def test_it_is_small(rows: list[Row]) -> None:
    assert 300 < len(rows) < 700
    assert len(of(rows, "User")) == 23


def test_it_is_the_same_for_the_same_time() -> None:
    assert demo_rows(KEYS, NOW) == demo_rows(KEYS, NOW)


def test_taros_profile_is_last_and_so_says_that_all_is_there(rows: list[Row]) -> None:
    assert (rows[-1]["PK"], rows[-1]["SK"]) == KEYS.user(TARO)


def test_the_people_are_those_the_readme_names(rows: list[Row]) -> None:
    people = {row["id"]: row for row in of(rows, "User")}
    names = {who: (people[who]["firstName"], people[who]["lastName"]) for who in (TARO, HANAKO)}
    assert names == {"taro": ("太郎", "田中"), "hanako": ("花子", "佐藤")}
    assert people[TARO]["username"] == "taro"
    assert people[TARO]["email"] == "taro.tanaka@example.jp"
    assert people[STAFF]["username"] == "staff"
    assert {people[who]["status"] for who in (TARO, HANAKO, STAFF)} == {"ACTIVE"}


@pytest.mark.parametrize("later", [timedelta(), timedelta(days=1), timedelta(days=2_000)])
def test_the_named_products_are_always_there_under_the_same_ids(later: timedelta) -> None:
    products = {row["id"]: row for row in of(demo_rows(KEYS, NOW + later), "Product")}
    for product_id, name, price in (
        (LAPTOP_ID, "ノートパソコン", 120_000),
        (PHONE_ID, "スマートフォン", 80_000),
    ):
        assert is_uuid(product_id)
        row = products[product_id]
        assert (row["name"], row["price"], row["category"]) == (name, price, "electronics")
        assert (row["status"], row["inventory"] >= 50) == ("ACTIVE", True)
        assert sum(row["histogram"]) >= 5


def test_every_category_has_a_product(rows: list[Row]) -> None:
    counts = {row["slug"]: row["productCount"] for row in of(rows, "Category")}
    assert counts["electronics"] >= 3
    assert min(counts.values()) >= 1


def test_taro_has_ordered_several_things_at_a_time_all_year(rows: list[Row]) -> None:
    orders = sorted(
        (row for row in of(rows, "Order") if row["userId"] == TARO),
        key=lambda row: str(row["placedAt"]),
        reverse=True,
    )
    assert len(orders) >= 12
    assert {row["status"] for row in orders} == set(OrderStatus)
    newest = orders[:10]
    assert sum(len(row["items"]) >= 2 for row in newest) >= 9
    bought = {line["productId"] for row in newest for line in row["items"]}
    assert {LAPTOP_ID, PHONE_ID} <= bought

    products = {row["id"]: row for row in of(rows, "Product")}
    assert len({products[product_id]["category"] for product_id in bought}) >= 5
    reviews = Counter(row["productId"] for row in of(rows, "Review"))
    assert sum(reviews[product_id] >= 3 for product_id in bought) >= 6


def test_taro_has_reviewed_what_he_bought(rows: list[Row]) -> None:
    own = [row for row in of(rows, "Review") if row["userId"] == TARO]
    assert any(row["verifiedPurchase"] for row in own)


def test_staff_neither_order_nor_review(rows: list[Row]) -> None:
    assert STAFF not in {row["userId"] for row in of(rows, "Order") + of(rows, "Review")}
