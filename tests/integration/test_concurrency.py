"""Many at once: nothing is sold twice, taken twice or lost, whoever is first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from datasources.items import OrderLine, Unique
from datasources.keys import Key
from resolvers import global_ids
from tests.support import items
from tests.support.ordering import (
    ADJUST,
    ADVANCE,
    CANCEL,
    PLACE,
    PLACE_BRIEFLY,
    UPDATE_PRODUCT,
    codes,
    line,
    order,
    payload,
    stock,
)
from tests.support.shop import TestShop

CREATE_USER = """mutation ($input: CreateUserInput!) { createUser(input: $input) {
  user { id } userErrors { code field } } }"""
UPDATE_USER = """mutation ($input: UpdateUserInput!) { updateUser(input: $input) {
  user { email username } userErrors { code field } } }"""
ADD_REVIEW = """mutation ($input: AddReviewInput!) { addReview(input: $input) {
  review { id } userErrors { code field } } }"""


async def at_once(
    shop: TestShop, query: str, *inputs: dict[str, Any], users: Sequence[str], staff: bool = False
) -> list[dict[str, Any]]:
    """The payloads of as many calls as inputs, all begun together, the users taking turns."""
    results = await asyncio.gather(
        *(
            shop.write(query, user=users[n % len(users)], staff=staff, input=given)
            for n, given in enumerate(inputs)
        )
    )
    return [payload(result) for result in results]


def outcomes(answers: Sequence[dict[str, Any]]) -> Counter[str]:
    """How many calls succeeded, and how many were refused with which codes."""
    return Counter(" ".join(codes(answer)) or "done" for answer in answers)


async def holder(shop: TestShop, key: Key) -> str | None:
    """Whom a uniqueness row names."""
    row = (await shop.table().batch_get([key], consistent=True)).get(key)
    return Unique.of(row).user_id if row else None


# --- orders and stock -----------------------------------------------------------------------


async def test_of_200_orders_for_a_stock_of_100_one_hundred_are_placed(shop: TestShop) -> None:
    thing = items.product(0, inventory=100)
    customers = [items.user(n) for n in range(4)]
    await shop.put(*customers, thing)
    wanted = [order(line(thing), key=f"order-{n:05}") for n in range(200)]

    answers = await at_once(shop, PLACE_BRIEFLY, *wanted, users=[each.id for each in customers])

    assert outcomes(answers) == {"done": 100, "OUT_OF_STOCK": 100}
    placed = [answer["order"] for answer in answers if answer["order"]]
    assert len({each["id"] for each in placed}) == 100
    assert len({each["number"] for each in placed}) == 100
    assert await stock(shop, thing) == [0]


async def test_orders_of_the_same_products_in_any_order_of_lines_leave_no_remainder(
    shop: TestShop,
) -> None:
    goods = [items.product(n, inventory=20) for n in range(3)]
    await shop.put(items.user(0), *goods)
    wanted = [
        order(line(goods[n % 3], 2), line(goods[(n + 1) % 3], 1), key=f"order-{n:05}")
        for n in range(40)
    ]

    answers = await at_once(shop, PLACE, *wanted, users=["user-0"])

    sold: Counter[str] = Counter()
    for answer in answers:
        for each in answer["order"]["items"] if answer["order"] else ():
            sold[each["productName"]] += each["quantity"]
    assert set(outcomes(answers)) <= {"done", "OUT_OF_STOCK", "OUT_OF_STOCK OUT_OF_STOCK"}
    assert outcomes(answers)["done"] > 10
    assert await stock(shop, *goods) == [20 - sold[each.name] for each in goods]


async def test_50_calls_with_one_key_make_one_order_and_all_get_it(shop: TestShop) -> None:
    thing = items.product(0, inventory=2)
    await shop.put(items.user(0), thing)

    answers = await at_once(shop, PLACE, *[order(line(thing, 2))] * 50, users=["user-0"])

    assert outcomes(answers) == {"done": 50}
    assert all(answer["order"] == answers[0]["order"] for answer in answers)
    assert [answer["replayed"] for answer in answers].count(False) == 1
    assert await stock(shop, thing) == [0]


async def test_calls_with_one_key_and_two_inputs_make_one_order_of_one_of_them(
    shop: TestShop,
) -> None:
    thing = items.product(0)
    await shop.put(items.user(0), thing)

    answers = await at_once(
        shop, PLACE, *[order(line(thing)), order(line(thing, 2))] * 10, users=["user-0"]
    )

    assert outcomes(answers) == {"done": 10, "IDEMPOTENCY_KEY_REUSED": 10}
    [placed] = {answer["order"]["id"] for answer in answers if answer["order"]}
    quantity = next(
        answer["order"]["items"][0]["quantity"] for answer in answers if answer["order"]
    )
    assert placed
    assert await stock(shop, thing) == [5 - quantity]


async def test_20_cancels_put_the_stock_back_once(shop: TestShop) -> None:
    thing = items.product(0, inventory=10)
    await shop.put(items.user(0), thing)
    placed = payload(await shop.write(PLACE_BRIEFLY, user="user-0", input=order(line(thing, 4))))[
        "order"
    ]
    assert await stock(shop, thing) == [6]

    answers = await at_once(shop, CANCEL, *[{"id": placed["id"]}] * 20, users=["user-0"])

    assert outcomes(answers) == {"done": 20}
    assert {answer["order"]["version"] for answer in answers} == {2}
    assert all(answer["order"]["status"] == "CANCELLED" for answer in answers)
    assert await stock(shop, thing) == [10]


async def test_of_a_cancel_and_a_payment_at_once_one_comes_first_and_the_other_follows_it(
    shop: TestShop,
) -> None:
    thing = items.product(0)
    pending = [
        items.order(
            n,
            lines=(
                OrderLine(
                    product_id=thing.id, product_name=thing.name, quantity=1, unit_price=1_000
                ),
            ),
        )
        for n in range(10)
    ]
    await shop.put(items.user(0), thing, *pending)
    ids = [global_ids.of(each) for each in pending]

    cancels, payments = await asyncio.gather(
        at_once(shop, CANCEL, *({"id": each} for each in ids), users=["user-0"]),
        at_once(
            shop,
            ADVANCE,
            *({"id": each, "to": "PAID"} for each in ids),
            users=["boss"],
            staff=True,
        ),
    )

    for cancelled, paid in zip(cancels, payments, strict=True):
        # A customer cannot cancel what is paid, and nobody pays what is cancelled.
        assert {"".join(codes(cancelled)), "".join(codes(paid))} == {"", "INVALID_TRANSITION"}
    returned = sum(1 for cancelled in cancels if cancelled["order"])
    assert await stock(shop, thing) == [5 + returned]


async def test_adjustments_at_once_never_go_below_zero(shop: TestShop) -> None:
    thing = items.product(0, inventory=50)
    await shop.put(thing)
    given = {"productId": global_ids.of(thing), "delta": -3}

    answers = await at_once(shop, ADJUST, *[given] * 30, users=["boss"], staff=True)

    assert outcomes(answers) == {"done": 16, "OUT_OF_STOCK": 14}
    assert await stock(shop, thing) == [2]


async def test_an_adjustment_with_one_key_is_made_once(shop: TestShop) -> None:
    thing = items.product(0, inventory=50)
    await shop.put(thing)
    given = {"productId": global_ids.of(thing), "delta": -30, "idempotencyKey": "stock-taking"}

    answers = await at_once(shop, ADJUST, *[given] * 20, users=["boss"], staff=True)

    assert outcomes(answers) == {"done": 20}
    assert await stock(shop, thing) == [20]


async def test_orders_adjustments_and_cancels_at_once_add_up(shop: TestShop) -> None:
    thing = items.product(0, inventory=30)
    await shop.put(items.user(0), thing)
    early = await at_once(
        shop,
        PLACE_BRIEFLY,
        *(order(line(thing), key=f"early-{n:05}") for n in range(10)),
        users=["user-0"],
    )

    placed, cancelled, adjusted = await asyncio.gather(
        at_once(
            shop,
            PLACE_BRIEFLY,
            *(order(line(thing, 2), key=f"later-{n:05}") for n in range(20)),
            users=["user-0"],
        ),
        at_once(shop, CANCEL, *({"id": each["order"]["id"]} for each in early), users=["user-0"]),
        at_once(
            shop,
            ADJUST,
            *({"productId": global_ids.of(thing), "delta": 1} for _ in range(10)),
            users=["boss"],
            staff=True,
        ),
    )

    assert outcomes(cancelled) == outcomes(adjusted) == {"done": 10}
    assert await stock(shop, thing) == [20 + 10 + 10 - 2 * outcomes(placed)["done"]]


# --- the catalogue --------------------------------------------------------------------------


async def test_of_updates_with_the_version_read_exactly_one_wins(shop: TestShop) -> None:
    thing = items.product(0, category=None)
    await shop.put(thing)
    given = [
        {"id": global_ids.of(thing), "name": f"Name {n}", "expectedVersion": 1} for n in range(20)
    ]

    answers = await at_once(shop, UPDATE_PRODUCT, *given, users=["boss"], staff=True)

    assert outcomes(answers) == {"done": 1, "VERSION_CONFLICT": 19}
    [won] = [answer["product"] for answer in answers if answer["product"]]
    key = shop.keys.product(thing.id)
    row = (await shop.table().batch_get([key], consistent=True))[key]
    assert (row["name"], row["version"]) == (won["name"], 2)


async def test_updates_of_different_fields_at_once_are_all_kept(shop: TestShop) -> None:
    thing = items.product(0, category=None)
    await shop.put(thing)
    changes: list[dict[str, Any]] = [
        {"name": "New name"},
        {"description": "New description"},
        {"price": {"amount": "42", "currencyCode": "JPY"}},
        {"imageUrl": "https://example.com/new.png"},
    ]

    answers = await at_once(
        shop,
        UPDATE_PRODUCT,
        *({"id": global_ids.of(thing), **change} for change in changes),
        users=["boss"],
        staff=True,
    )

    assert outcomes(answers) == {"done": 4}
    key = shop.keys.product(thing.id)
    row = (await shop.table().batch_get([key], consistent=True))[key]
    assert row["version"] == 5
    assert (row["name"], row["description"], row["price"], row["imageUrl"]) == (
        *("New name", "New description", 42, "https://example.com/new.png"),
    )


async def test_an_update_keeps_the_stock_that_is_sold_meanwhile(shop: TestShop) -> None:
    thing = items.product(0, category=None, inventory=20)
    await shop.put(items.user(0), thing)

    placed, updated = await asyncio.gather(
        at_once(
            shop,
            PLACE_BRIEFLY,
            *(order(line(thing), key=f"order-{n:05}") for n in range(20)),
            users=["user-0"],
        ),
        at_once(
            shop,
            UPDATE_PRODUCT,
            *({"id": global_ids.of(thing), "name": f"Name {n}"} for n in range(5)),
            users=["boss"],
            staff=True,
        ),
    )

    assert outcomes(placed) == {"done": 20}
    assert outcomes(updated) == {"done": 5}
    assert await stock(shop, thing) == [0]


async def test_of_reviews_by_one_customer_at_once_there_is_one(shop: TestShop) -> None:
    thing = items.product(0)
    await shop.put(items.user(0), thing)
    given = {"productId": global_ids.of(thing), "rating": 4}

    answers = await at_once(shop, ADD_REVIEW, *[given] * 10, users=["user-0"])

    assert outcomes(answers) == {"done": 1, "ALREADY_REVIEWED": 9}


# --- accounts -------------------------------------------------------------------------------


async def test_of_50_sign_ups_with_one_email_there_is_one_user(shop: TestShop) -> None:
    spellings = ("one@example.com", "ONE@Example.com", " One@EXAMPLE.COM ")
    given = [{"email": spellings[n % 3], "username": f"user{n}"} for n in range(50)]

    answers = await at_once(shop, CREATE_USER, *given, users=[f"new-{n}" for n in range(50)])

    assert outcomes(answers) == {"done": 1, "EMAIL_TAKEN": 49}
    [winner] = [n for n, answer in enumerate(answers) if answer["user"]]
    profiles = await shop.table().batch_get(
        [shop.keys.user(f"new-{n}") for n in range(50)], consistent=True
    )
    names = await shop.table().batch_get(
        [shop.keys.username(f"user{n}") for n in range(50)], consistent=True
    )
    assert set(profiles) == {shop.keys.user(f"new-{winner}")}
    assert set(names) == {shop.keys.username(f"user{winner}")}
    assert await holder(shop, shop.keys.email("one@example.com")) == f"new-{winner}"


async def test_one_caller_signing_up_many_times_has_one_profile(shop: TestShop) -> None:
    given = [{"email": f"me{n}@example.com", "username": f"user{n}"} for n in range(10)]

    answers = await at_once(shop, CREATE_USER, *given, users=["me"])

    assert outcomes(answers) == {"done": 1, "ALREADY_EXISTS": 9}
    emails = await shop.table().batch_get(
        [shop.keys.email(each["email"]) for each in given], consistent=True
    )
    assert len(emails) == 1


async def test_of_users_who_change_to_one_email_one_gets_it_and_the_others_keep_theirs(
    shop: TestShop,
) -> None:
    people = [items.user(n) for n in range(12)]
    await shop.put(*people)

    answers = await at_once(
        shop,
        UPDATE_USER,
        *[{"email": "wanted@example.com"}] * 12,
        users=[each.id for each in people],
    )

    assert outcomes(answers) == {"done": 1, "EMAIL_TAKEN": 11}
    [winner] = [n for n, answer in enumerate(answers) if answer["user"]]
    assert await holder(shop, shop.keys.email("wanted@example.com")) == f"user-{winner}"
    for n in range(12):
        expected = None if n == winner else f"user-{n}"
        assert await holder(shop, shop.keys.email(f"user{n}@example.com")) == expected


async def test_a_user_who_changes_email_many_times_at_once_holds_the_last_alone(
    shop: TestShop,
) -> None:
    await shop.put(items.user(0))
    wanted = [f"new{n}@example.com" for n in range(6)]

    answers = await at_once(
        shop, UPDATE_USER, *({"email": each} for each in wanted), users=["user-0"]
    )

    assert outcomes(answers) == {"done": 6}
    key = shop.keys.user("user-0")
    profile = (await shop.table().batch_get([key], consistent=True))[key]
    assert profile["version"] == 7
    held = [
        email
        for email in ("user0@example.com", *wanted)
        if await holder(shop, shop.keys.email(email))
    ]
    assert held == [profile["email"]]
