"""Reviews: one a user and product, with its rows in step."""

from __future__ import annotations

from typing import Any

import pytest

from datasources import orders, reviews
from datasources.items import Review
from resolvers import global_ids
from tests.support import items
from tests.support.mutations import Written, boss, later, mutate, rows, stored
from tests.support.shop import TestShop

AUTHOR, OTHER = items.user(0), items.user(1)
PRODUCT = items.product(1)
ID = global_ids.of(PRODUCT)
FULL = {"rating": 4, "title": "良い", "comment": "とても\n良い"}


@pytest.fixture
async def open_shop(shop: TestShop) -> TestShop:
    await shop.put(AUTHOR, OTHER, PRODUCT, items.product(2))
    return shop


async def add(shop: TestShop, user: str = AUTHOR.id, **given: Any) -> Written:
    return await mutate(shop, "addReview", {"productId": ID, **FULL, **given}, user=user)


async def in_step(shop: TestShop, global_id: str) -> Review:
    """The review, whose two rows are exactly those that stand for it."""
    row = await stored(shop, shop.keys.review(*global_ids.expect("id", global_id, "Review")))
    assert row is not None
    review = Review.of(row)
    assert row == reviews.row(shop.keys, review)
    mark = reviews.reviewed_row(shop.keys, review)
    assert await stored(shop, shop.keys.reviewed(review.user_id, review.product_id)) == mark
    return review


async def shown(shop: TestShop) -> list[str | None]:
    """The first review of the product, of the author, and the author's own of the product."""
    answer = await shop.ask(
        "query($of: ID!) { product(id: $of) { viewerReview { id } reviews { nodes { id } } }"
        " viewer { reviews { nodes { id } } } }",
        user=AUTHOR.id,
        of=ID,
    )
    assert answer.errors == []
    product, viewer = answer.data["product"], answer.data["viewer"]
    listed = [next(iter(each["reviews"]["nodes"]), None) for each in (product, viewer)]
    return [review and review["id"] for review in (*listed, product["viewerReview"])]


async def test_a_review_is_made_and_listed_with_its_product_and_its_author(
    open_shop: TestShop,
) -> None:
    made = await add(open_shop)

    assert made.result == {
        "id": made.result["id"],
        **FULL,
        "author": {"id": global_ids.of(AUTHOR)},
        "product": {"id": ID},
        "verifiedPurchase": False,
        "createdAt": "2026-11-20T12:00:00.000Z",
        "updatedAt": "2026-11-20T12:00:00.000Z",
    }
    await in_step(open_shop, made.result["id"])
    assert await shown(open_shop) == [made.result["id"]] * 3


async def test_a_user_reviews_a_product_once(open_shop: TestShop) -> None:
    await add(open_shop)
    before = await rows(open_shop)

    again = await add(open_shop, rating=1)

    assert (again.codes, again.fields) == (["ALREADY_REVIEWED"], [["input", "productId"]])
    assert await rows(open_shop) == before
    assert (await add(open_shop, OTHER.id)).outcome == "ok"
    other_product = global_ids.of(items.product(2))
    assert (await add(open_shop, productId=other_product)).outcome == "ok"


async def test_whoever_had_it_delivered_is_a_verified_purchaser(open_shop: TestShop) -> None:
    order = items.order(1, AUTHOR.id)
    await open_shop.put_rows(orders.purchased_rows(open_shop.keys, order, items.NOW))
    assert order.items[0].product_id == PRODUCT.id

    assert (await add(open_shop)).result["verifiedPurchase"] is True
    assert (await add(open_shop, OTHER.id)).result["verifiedPurchase"] is False


async def test_what_is_left_out_stays_and_null_clears(open_shop: TestShop) -> None:
    made = (await add(open_shop)).result
    now = later(open_shop)
    changed = {**made, "updatedAt": now}

    for change in ({}, {"rating": 1}, {"title": None}, {"comment": None}, {"title": "x"}):
        given = {"id": made["id"], **change}
        changed |= change
        assert (await mutate(open_shop, "updateReview", given, user=AUTHOR.id)).result == changed
        await in_step(open_shop, made["id"])


@pytest.mark.parametrize("rating", [None, 0, 6])
async def test_a_rating_is_one_to_five(open_shop: TestShop, rating: int | None) -> None:
    made = (await add(open_shop)).result
    before = await rows(open_shop)

    given = {"id": made["id"], "rating": rating}
    changed = await mutate(open_shop, "updateReview", given, user=AUTHOR.id)

    assert (changed.codes, changed.fields) == (["INVALID"], [["input", "rating"]])
    assert await rows(open_shop) == before


async def test_what_the_stream_has_verified_stays_verified(open_shop: TestShop) -> None:
    review = items.review(1, PRODUCT.id, AUTHOR.id, verified_purchase=True)
    await open_shop.put(review)

    given = {"id": global_ids.of(review), "rating": 1}
    changed = await mutate(open_shop, "updateReview", given, user=AUTHOR.id)

    assert changed.result["verifiedPurchase"] is True


@pytest.mark.parametrize("caller", [{"user": AUTHOR.id}, {"user": "boss", "staff": True}], ids=str)
async def test_a_deleted_review_leaves_nothing_and_room_for_another(
    open_shop: TestShop, caller: dict[str, Any]
) -> None:
    before = await rows(open_shop)
    made = (await add(open_shop)).result

    deleted = await mutate(open_shop, "deleteReview", {"id": made["id"]}, **caller)

    assert deleted.result == made["id"]
    assert await rows(open_shop) == before
    assert await shown(open_shop) == [None] * 3
    another = (await add(open_shop, rating=1)).result
    assert another["id"] != made["id"]
    assert await shown(open_shop) == [another["id"]] * 3


async def test_a_review_that_is_gone_is_not_found(open_shop: TestShop) -> None:
    made = (await add(open_shop)).result
    await boss(open_shop, "deleteReview", id=made["id"])
    before = await rows(open_shop)

    for mutation, given in (("deleteReview", {}), ("updateReview", {"rating": 1})):
        gone = await mutate(open_shop, mutation, {"id": made["id"], **given}, user=AUTHOR.id)
        assert (gone.codes, gone.fields) == (["NOT_FOUND"], [["input", "id"]])
    assert await rows(open_shop) == before


async def test_only_a_product_that_is_there_is_reviewed(open_shop: TestShop) -> None:
    before = await rows(open_shop)

    missing = await add(open_shop, productId=global_ids.of(items.product(9)))

    assert (missing.codes, missing.fields) == (["NOT_FOUND"], [["input", "productId"]])
    assert await rows(open_shop) == before
