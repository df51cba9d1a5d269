"""What the rows of a shop say of one another, for a drawn shop and for the demo data."""

import re
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar, cast

import pytest

from datasources import categories, orders, products, reviews, users
from datasources.items import (
    Category,
    Item,
    Order,
    OrderStatus,
    Product,
    ProductStatus,
    Purchased,
    Review,
    Reviewed,
    Unique,
    User,
    UserStatus,
    from_row,
)
from datasources.keys import Keys
from datasources.seed.demo import demo_rows
from datasources.seed.generate import generate

KEYS = Keys("shop", 4)
NOW = datetime(2026, 3, 5, 12, 34, 56, 789_123, tzinfo=UTC)
PENDING, PAID, SHIPPED, DELIVERED, CANCELLED, REFUNDED = OrderStatus
STEPS = {
    PENDING: {PAID, CANCELLED},
    PAID: {SHIPPED, REFUNDED, CANCELLED},
    SHIPPED: {DELIVERED},
    DELIVERED: {REFUNDED},
}
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
Rows = list[dict[str, Any]]
I = TypeVar("I", bound=Item)  # noqa: E741 an item


def drawn() -> Rows:
    shop = generate(KEYS, users=250, products=200, orders=900, reviews=1_500, seed=1, now=NOW)
    return list(shop)


def demo() -> Rows:
    return demo_rows(KEYS, NOW)


@pytest.fixture(scope="module", params=[drawn, demo], ids=["drawn", "demo"])
def rows(request: pytest.FixtureRequest) -> Rows:
    return cast("Callable[[], Rows]", request.param)()


@pytest.fixture(scope="module")
def items(rows: Rows) -> list[Item]:
    return [from_row(row) for row in rows]


def all_of(kind: type[I], items: list[Item]) -> list[I]:
    found = [item for item in items if isinstance(item, kind)]
    assert found
    return found


def by_id(kind: type[User] | type[Product], items: list[Item]) -> dict[str, Any]:
    return {item.id: item for item in all_of(kind, items)}


def delivered_at(order: Order) -> datetime | None:
    return next((change.at for change in order.history if change.status is DELIVERED), None)


def test_every_primary_key_is_there_once(rows: Rows) -> None:
    keys = [(row["PK"], row["SK"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(pk.startswith("shop#") for pk, _ in keys)


def test_every_row_is_the_one_that_its_item_makes(rows: Rows) -> None:
    """So it has every attribute of every index that its item is in."""
    row_of: dict[type[Item], Callable[[Keys, Any], dict[str, Any]]] = {
        User: users.row,
        Category: categories.row,
        Product: products.row,
        Order: orders.row,
        Review: reviews.row,
    }
    whole = [row for row in rows if type(from_row(row)) in row_of]
    assert {row["entity"] for row in whole} == {kind.__name__ for kind in row_of}
    for row in whole:
        item = from_row(row)
        assert row_of[type(item)](KEYS, item) == row


def test_an_account_holds_its_email_and_username_and_an_erased_one_neither(rows: Rows) -> None:
    items = [from_row(row) for row in rows]
    held = {
        (row["PK"], row["SK"]): item.user_id
        for row, item in zip(rows, items, strict=True)
        if isinstance(item, Unique)
    }
    accounts = [user for user in all_of(User, items) if user.status is not UserStatus.DELETED]
    expected = {tuple(KEYS.email(user.email or "")): user.id for user in accounts}
    expected |= {tuple(KEYS.username(user.username)): user.id for user in accounts}
    assert held == expected
    assert len(held) == 2 * len(accounts)


def test_accounts_are_such_as_can_be_signed_up(items: list[Item]) -> None:
    for user in all_of(User, items):
        assert re.fullmatch(r"[A-Za-z0-9_.-]{3,30}", user.username)
        if user.status is not UserStatus.DELETED:
            assert re.fullmatch(r"[a-z0-9.]+@example\.(com|jp)", user.email or "")
            assert user.first_name
            assert user.last_name


def test_an_erased_user_is_a_stub_whose_finished_orders_have_no_address(items: list[Item]) -> None:
    erased = {u.id: u for u in all_of(User, items) if u.status is UserStatus.DELETED}
    assert 1 <= len(erased) <= 2
    for user in erased.values():
        assert re.fullmatch(r"deleted-[0-9a-f]{8}", user.username)
        assert set(user.to_attributes()) == {
            "entity", "id", "username", "emailVerified", "status", "version",
            "createdAt", "updatedAt",
        }  # fmt: skip
    finished = {DELIVERED, CANCELLED, REFUNDED}
    theirs = [order for order in all_of(Order, items) if order.user_id in erased]
    assert all(order.shipping_address is None for order in theirs if order.status in finished)


def test_whoever_was_suspended_or_erased_has_done_nothing_since(items: list[Item]) -> None:
    gone = {
        user.id: user.updated_at
        for user in all_of(User, items)
        if user.status is not UserStatus.ACTIVE
    }
    ends = [
        *((o.user_id, o.placed_at) for o in all_of(Order, items)),
        *((r.user_id, r.updated_at) for r in all_of(Review, items)),
    ]
    past = [(user, at) for user, at in ends if user in gone]
    assert past
    assert all(at <= gone[user] for user, at in past)


def test_a_category_counts_its_active_products(items: list[Item]) -> None:
    active = Counter(
        product.category
        for product in all_of(Product, items)
        if product.status is ProductStatus.ACTIVE
    )
    found = {category.slug: category.product_count for category in all_of(Category, items)}
    assert len(found) >= 10
    assert found == {slug: active[slug] for slug in found}
    assert set(active) <= {*found, None}


def test_a_product_counts_its_reviews_by_stars(items: list[Item]) -> None:
    counted = Counter((review.product_id, review.rating) for review in all_of(Review, items))
    for product in all_of(Product, items):
        assert list(product.histogram) == [counted[product.id, stars] for stars in range(1, 6)]


def test_a_user_reviews_a_product_once_and_is_marked_for_it(items: list[Item]) -> None:
    found = all_of(Review, items)
    pairs = {(review.user_id, review.product_id): review.id for review in found}
    assert len(pairs) == len(found)
    marks = {(mark.user_id, mark.product_id): mark.review_id for mark in all_of(Reviewed, items)}
    assert marks == pairs


def test_what_was_delivered_is_marked_as_purchased_with_the_first_delivery(
    items: list[Item],
) -> None:
    had: dict[tuple[str, str], datetime] = {}
    for order in all_of(Order, items):
        if at := delivered_at(order):
            for line in order.items:
                pair = (order.user_id, line.product_id)
                had[pair] = min(at, had.get(pair, at))
    marks = {(mark.user_id, mark.product_id): mark.at for mark in all_of(Purchased, items)}
    assert marks == had


def test_a_review_is_verified_exactly_where_the_product_was_purchased(items: list[Item]) -> None:
    had = {(mark.user_id, mark.product_id) for mark in all_of(Purchased, items)}
    found = all_of(Review, items)
    verified = {review.id for review in found if review.verified_purchase}
    assert verified == {r.id for r in found if (r.user_id, r.product_id) in had}
    assert 0 < len(verified) < len(found)


def test_an_order_has_come_step_by_step_to_its_status(items: list[Item]) -> None:
    for order in all_of(Order, items):
        steps = [change.status for change in order.history]
        times = [change.at for change in order.history]
        assert steps[0] is PENDING
        assert all(after in STEPS[before] for before, after in pairwise(steps))
        assert times == sorted(times)
        assert (order.placed_at, order.updated_at) == (times[0], times[-1])
        assert order.updated_at <= NOW
        assert order.placed_at >= NOW - timedelta(days=366)
        assert (order.status, order.version) == (steps[-1], len(steps))


def test_orders_have_every_status_and_history(items: list[Item]) -> None:
    found = all_of(Order, items)
    assert {order.status for order in found} == set(OrderStatus)
    newest = max(found, key=lambda order: order.placed_at)
    assert newest.status in {PENDING, PAID}


def test_an_order_is_the_sum_of_one_to_seven_different_lines(items: list[Item]) -> None:
    for order in all_of(Order, items):
        assert order.total == sum(line.unit_price * line.quantity for line in order.items)
        assert 1 <= len(order.items) <= 7
        assert len({line.product_id for line in order.items}) == len(order.items)
        assert all(line.quantity >= 1 for line in order.items)


def test_order_numbers_are_short_and_each_is_used_once(items: list[Item]) -> None:
    numbers = [order.number for order in all_of(Order, items)]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-?){3}(?<!-)", number) for number in numbers)


def test_an_order_has_what_was_for_sale_at_the_price_it_had(items: list[Item]) -> None:
    people, goods = by_id(User, items), by_id(Product, items)
    for order in all_of(Order, items):
        assert people[order.user_id].created_at <= order.placed_at
        for line in order.items:
            product = goods[line.product_id]
            assert line.product_name == product.name
            assert product.status is not ProductStatus.DRAFT
            assert product.created_at <= order.placed_at
            if product.status is ProductStatus.ARCHIVED:
                assert order.placed_at < product.updated_at
            if product.version == 1 or order.placed_at >= product.updated_at:
                assert line.unit_price == product.price


def test_a_review_comes_after_its_author_and_its_product(items: list[Item]) -> None:
    people, goods = by_id(User, items), by_id(Product, items)
    for review in all_of(Review, items):
        assert goods[review.product_id].status is not ProductStatus.DRAFT
        assert goods[review.product_id].created_at <= review.created_at
        assert people[review.user_id].created_at <= review.created_at
        assert review.created_at <= review.updated_at <= NOW


def test_an_id_is_made_of_the_time_its_item_was_made(items: list[Item]) -> None:
    made = [
        *((user.id, user.created_at) for user in all_of(User, items)),
        *((product.id, product.created_at) for product in all_of(Product, items)),
        *((order.id, order.placed_at) for order in all_of(Order, items)),
        *((review.id, review.created_at) for review in all_of(Review, items)),
    ]
    by_hand = {item_id for item_id, _ in made} & {"taro", "hanako", "staff"}
    for item_id, at in made:
        if item_id not in by_hand:
            value = uuid.UUID(item_id)
            assert (value.version, str(value)) == (7, item_id)
            assert datetime.fromtimestamp((value.int >> 80) / 1000, UTC) == at


def test_a_version_above_one_goes_with_an_update(items: list[Item]) -> None:
    for product in all_of(Product, items):
        assert (product.version == 1) == (product.updated_at == product.created_at)
        assert product.created_at <= product.updated_at <= NOW


def test_prices_are_such_as_shops_write_in_whole_yen(items: list[Item]) -> None:
    for product in all_of(Product, items):
        assert product.price % 100 == 80 or product.price % 1_000 in {0, 800}
        assert 80 <= product.price <= 150_000


def test_both_languages_are_spoken(items: list[Item]) -> None:
    texts: dict[str, list[str]] = {
        "names": [user.last_name or "x" for user in all_of(User, items)],
        "products": [product.name for product in all_of(Product, items)],
        "categories": [category.name for category in all_of(Category, items)],
        "comments": [review.comment or "x" for review in all_of(Review, items)],
    }
    for words in texts.values():
        japanese = sum(bool(JAPANESE.search(text)) for text in words)
        assert 0.2 < japanese / len(words) < 0.9
