"""Who may write what: every mutation against every kind of caller."""

from __future__ import annotations

from typing import Any

import pytest

from datasources.items import ProductStatus, UserStatus
from resolvers import global_ids
from resolvers.permissions import MUTATIONS, Writer
from tests.support import items
from tests.support.mutations import RESULTS, mutate, rows
from tests.support.shop import EXECUTOR, TestShop

CUSTOMER = items.user(0)
ANOTHER = items.user(1)
SUSPENDED = items.user(2, status=UserStatus.SUSPENDED)
ERASED = items.user(3, username="deleted-0123abcd", email=None, status=UserStatus.DELETED)
CLERK = items.user(4)
CATEGORY = items.category("electronics")
PRODUCT, UNREVIEWED = items.product(0), items.product(1)
DRAFT = items.product(2, status=ProductStatus.DRAFT)
ORDER = items.order(1, CUSTOMER.id)
REVIEW = items.review(1, PRODUCT.id, CUSTOMER.id)

CALLERS: dict[str, dict[str, Any]] = {
    "anonymous": {},
    "stranger": {"user": "stranger"},  # no profile yet
    "owner": {"user": CUSTOMER.id},
    "another": {"user": ANOTHER.id},
    "suspended": {"user": SUSPENDED.id},
    "erased": {"user": ERASED.id},
    "staff": {"user": "boss", "staff": True},  # no profile
    "clerk": {"user": CLERK.id, "staff": True},
    "abroad": {"user": "boss", "staff": True},  # another tenant's staff
}

# What is tried; every object is the owner's, where it can be anybody's.
ATTEMPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "createUser": ("createUser", {"email": "new@example.com", "username": "newcomer"}),
    "createUser for": (
        "createUser",
        {"email": "new@example.com", "username": "newcomer", "subject": "auth|1"},
    ),
    "updateUser": ("updateUser", {"id": global_ids.of(CUSTOMER), "firstName": "Taro"}),
    "updateUser own": ("updateUser", {"firstName": "Taro"}),
    "setUserStatus": ("setUserStatus", {"id": global_ids.of(CUSTOMER), "status": "SUSPENDED"}),
    "deleteUser": ("deleteUser", {"id": global_ids.of(CUSTOMER)}),
    "deleteUser own": ("deleteUser", {}),
    "createCategory": ("createCategory", {"slug": "books", "name": "Books"}),
    "updateCategory": ("updateCategory", {"id": global_ids.of(CATEGORY), "name": "Devices"}),
    "createProduct": (
        "createProduct",
        {"name": "Book", "price": {"amount": "120", "currencyCode": "JPY"}},
    ),
    "updateProduct": ("updateProduct", {"id": global_ids.of(PRODUCT), "name": "Book"}),
    "adjustInventory": ("adjustInventory", {"productId": global_ids.of(PRODUCT), "delta": 1}),
    "placeOrder": (
        "placeOrder",
        {
            "items": [{"productId": global_ids.of(PRODUCT), "quantity": 1}],
            "idempotencyKey": "12345678",
        },
    ),
    "cancelOrder": ("cancelOrder", {"id": global_ids.of(ORDER)}),
    "advanceOrder": ("advanceOrder", {"id": global_ids.of(ORDER), "to": "PAID"}),
    "addReview": ("addReview", {"productId": global_ids.of(UNREVIEWED), "rating": 5}),
    "updateReview": ("updateReview", {"id": global_ids.of(REVIEW), "rating": 5}),
    "deleteReview": ("deleteReview", {"id": global_ids.of(REVIEW)}),
}

MEANINGS = {
    "ok": "ok",
    "sign-in": "UNAUTHENTICATED",
    "no": "FORBIDDEN",
    "unseen": "NOT_FOUND",
    "exists": "ALREADY_EXISTS",
}

TABLE = """
                  anonymous  stranger  owner   another  suspended  erased  staff   clerk   abroad
  createUser      sign-in    ok        exists  exists   no         exists  ok      ok      ok
  createUser for  sign-in    no        no      no       no         no      ok      ok      ok
  updateUser      sign-in    no        ok      no       no         no      ok      ok      unseen
  updateUser own  sign-in    no        ok      ok       no         no      unseen  ok      unseen
  setUserStatus   sign-in    no        no      no       no         no      ok      ok      unseen
  deleteUser      sign-in    no        ok      no       no         no      ok      ok      unseen
  deleteUser own  sign-in    no        ok      ok       no         ok      unseen  ok      unseen
  createCategory  sign-in    no        no      no       no         no      ok      ok      ok
  updateCategory  sign-in    no        no      no       no         no      ok      ok      unseen
  createProduct   sign-in    no        no      no       no         no      ok      ok      ok
  updateProduct   sign-in    no        no      no       no         no      ok      ok      unseen
  adjustInventory sign-in    no        no      no       no         no      ok      ok      unseen
  placeOrder      sign-in    no        ok      ok       no         no      no      ok      no
  cancelOrder     sign-in    no        ok      unseen   no         no      ok      ok      unseen
  advanceOrder    sign-in    no        no      no       no         no      ok      ok      unseen
  addReview       sign-in    no        ok      ok       no         no      no      ok      no
  updateReview    sign-in    no        ok      no       no         no      no      no      no
  deleteReview    sign-in    no        ok      no       no         no      ok      ok      unseen
"""


def table() -> dict[str, dict[str, str]]:
    """For each attempt what each caller gets."""
    head, *lines = TABLE.strip().splitlines()
    found = {}
    for line in lines:
        attempt, *outcomes = line.strip().rsplit(maxsplit=len(CALLERS))
        found[attempt] = {
            caller: MEANINGS[outcome]
            for caller, outcome in zip(head.split(), outcomes, strict=True)
        }
    return found


EXPECTED = table()


async def filled(shop: TestShop) -> TestShop:
    await shop.put(
        *(CUSTOMER, ANOTHER, SUSPENDED, ERASED, CLERK),
        *(CATEGORY, PRODUCT, UNREVIEWED, DRAFT, ORDER, REVIEW),
    )
    return shop


def beside(shop: TestShop, name: str) -> TestShop:
    """Another tenant in the same table."""
    return TestShop(shop.client, shop.table_name, tenant=f"{shop.tenant}-{name}")


def test_every_mutation_has_its_rule_and_its_line_in_the_table() -> None:
    mutation = EXECUTOR._schema.mutation_type
    assert mutation is not None

    assert set(MUTATIONS) == set(mutation.fields)
    assert {mutation for mutation, _ in ATTEMPTS.values()} == set(mutation.fields)
    assert set(RESULTS) == set(mutation.fields)
    assert set(EXPECTED) == set(ATTEMPTS)
    assert all(set(outcomes) == set(CALLERS) for outcomes in EXPECTED.values())


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_who_may_do_it_does_it_and_others_change_nothing(
    shop: TestShop, attempt: str
) -> None:
    mutation, given = ATTEMPTS[attempt]
    await filled(shop)
    before = await rows(shop)

    outcomes = {}
    for caller, who in CALLERS.items():
        if EXPECTED[attempt][caller] != "ok" and caller != "abroad":
            outcomes[caller] = (await mutate(shop, mutation, given, **who)).outcome
    assert await rows(shop) == before

    abroad = beside(shop, "abroad")
    outcomes["abroad"] = (await mutate(abroad, mutation, given, **CALLERS["abroad"])).outcome
    assert await rows(shop) == before

    for caller, who in CALLERS.items():
        if caller not in outcomes:
            own = await filled(beside(shop, caller))
            outcomes[caller] = (await mutate(own, mutation, given, **who)).outcome
    assert outcomes == EXPECTED[attempt]


@pytest.mark.parametrize("status", [UserStatus.SUSPENDED, UserStatus.DELETED])
async def test_staff_whose_own_account_is_not_active_write_nothing(
    shop: TestShop, status: UserStatus
) -> None:
    await filled(shop)
    await shop.put(items.user(5, status=status))
    before = await rows(shop)

    outcomes = {
        attempt: (await mutate(shop, mutation, given, user="user-5", staff=True)).outcome
        for attempt, (mutation, given) in ATTEMPTS.items()
    }

    # Of an erased account deleteUser changes nothing, and succeeds.
    again = "ok" if status is UserStatus.DELETED else "FORBIDDEN"
    assert outcomes == {**dict.fromkeys(ATTEMPTS, "FORBIDDEN"), "deleteUser own": again}
    assert await rows(shop) == before


MISSING = items.order(9, CUSTOMER.id)


@pytest.mark.parametrize(
    ("mutation", "unseen", "missing"),
    [
        ("cancelOrder", {"id": global_ids.of(ORDER)}, {"id": global_ids.of(MISSING)}),
        (
            "updateUser",
            {"id": global_ids.of(ERASED), "firstName": "x"},
            {"id": global_ids.encode("User", "nobody"), "firstName": "x"},
        ),
        (
            "deleteUser",
            {"id": global_ids.of(ERASED)},
            {"id": global_ids.encode("User", "nobody")},
        ),
        (
            "addReview",
            {"productId": global_ids.of(DRAFT), "rating": 5},
            {"productId": global_ids.of(items.product(9)), "rating": 5},
        ),
        (
            "placeOrder",
            {
                "items": [{"productId": global_ids.of(DRAFT), "quantity": 1}],
                "idempotencyKey": "12345678",
            },
            {
                "items": [{"productId": global_ids.of(items.product(9)), "quantity": 1}],
                "idempotencyKey": "12345678",
            },
        ),
    ],
)
async def test_what_may_not_be_seen_is_answered_like_what_is_not_there(
    shop: TestShop, mutation: str, unseen: dict[str, Any], missing: dict[str, Any]
) -> None:
    await filled(shop)

    of_unseen = await mutate(shop, mutation, unseen, user=ANOTHER.id)
    of_missing = await mutate(shop, mutation, missing, user=ANOTHER.id)

    assert of_unseen == of_missing
    assert of_unseen.codes in (["NOT_FOUND"], ["PRODUCT_UNAVAILABLE"])


@pytest.mark.parametrize(
    "mutation", [name for name, rule in MUTATIONS.items() if rule is Writer.STAFF]
)
async def test_what_is_for_staff_is_refused_before_the_input_is_looked_at(
    shop: TestShop, mutation: str
) -> None:
    """Nor is anything read for it."""
    given = {
        name: "" if isinstance(value, str) and name not in {"status", "to"} else value
        for name, value in ATTEMPTS[mutation][1].items()
    }

    assert (await mutate(shop, mutation, given, user="stranger")).outcome == "FORBIDDEN"
    assert (await mutate(shop, mutation, given)).outcome == "UNAUTHENTICATED"
    assert shop.calls == []


async def test_a_draft_is_reviewed_by_staff_who_see_it(shop: TestShop) -> None:
    await filled(shop)
    given = {"productId": global_ids.of(DRAFT), "rating": 5}

    assert (await mutate(shop, "addReview", given, **CALLERS["clerk"])).outcome == "ok"
