"""Who may see what: every rule of reading against every kind of caller."""

from __future__ import annotations

from typing import Any

import pytest

from datasources.items import Item, OrderStatus, ProductStatus, UserStatus
from resolvers import global_ids
from tests.support import items
from tests.support.shop import Result, TestShop

CUSTOMER = items.user(0)
OTHER = items.user(1)
SUSPENDED = items.user(2, status=UserStatus.SUSPENDED)
ERASED = items.user(3, username="deleted-0123abcd", email=None, status=UserStatus.DELETED)
DRAFT = items.product(1, status=ProductStatus.DRAFT)
ARCHIVED = items.product(2, status=ProductStatus.ARCHIVED)
ORDER = items.order(1, CUSTOMER.id)

CALLERS: dict[str, dict[str, Any]] = {
    "anonymous": {},
    "customer": {"user": CUSTOMER.id},
    "other": {"user": OTHER.id},
    "suspended": {"user": SUSPENDED.id},
    "erased": {"user": ERASED.id},
    "no profile": {"user": "stranger"},
    "staff": {"user": "boss", "staff": True},
}


@pytest.fixture
async def full(shop: TestShop) -> TestShop:
    await shop.put(
        CUSTOMER,
        OTHER,
        SUSPENDED,
        ERASED,
        items.category("electronics"),
        items.product(0),
        DRAFT,
        ARCHIVED,
        ORDER,
        items.order(2, SUSPENDED.id),
        items.order(3, ERASED.id),
        items.review(1, items.product(0).id, CUSTOMER.id),
        items.review(2, items.product(0).id, ERASED.id),
        items.review(3, DRAFT.id, OTHER.id),
    )
    return shop


async def seen(shop: TestShop, caller: str, item: Item) -> bool:
    """Whether `node` gives the item; what is not seen is null without an error."""
    result = await shop.ask(
        "query($id: ID!) { node(id: $id) { id } }", **CALLERS[caller], id=global_ids.of(item)
    )
    assert result.errors == []
    return result.data["node"] is not None


@pytest.mark.parametrize("caller", CALLERS)
async def test_who_sees_which_object(full: TestShop, caller: str) -> None:
    staff = caller == "staff"

    assert await seen(full, caller, CUSTOMER)
    assert await seen(full, caller, SUSPENDED)
    assert await seen(full, caller, ERASED) == staff
    assert await seen(full, caller, items.product(0))
    assert await seen(full, caller, ARCHIVED)
    assert await seen(full, caller, DRAFT) == staff
    assert await seen(full, caller, items.review(1, items.product(0).id))
    assert await seen(full, caller, ORDER) == (caller in {"customer", "staff"})
    assert await seen(full, caller, items.order(2, SUSPENDED.id)) == (
        caller in {"suspended", "staff"}
    )
    assert await seen(full, caller, items.order(3, ERASED.id)) == staff


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    "field",
    [
        "users { nodes { id } }",
        'userByEmail(email: "x@example.com") { id }',
        "orders { nodes { id } }",
        "products(status: DRAFT) { nodes { id } }",
        "products(status: ARCHIVED) { nodes { id } }",
        'categoryBySlug(slug: "electronics") { products(status: DRAFT) { nodes { id } } }',
    ],
)
async def test_what_is_for_staff_is_refused_to_others(
    full: TestShop, caller: str, field: str
) -> None:
    result = await full.ask(f"{{ {field} }}", **CALLERS[caller])

    expected = {"anonymous": ["UNAUTHENTICATED"], "staff": []}.get(caller, ["FORBIDDEN"])
    assert result.codes == expected


PRIVATE = """query($id: ID!) { user(id: $id) {
    username email emailVerified phoneNumber orders { nodes { id } } reviews { nodes { id } } } }"""


async def private(shop: TestShop, caller: str) -> Result:
    return await shop.ask(PRIVATE, **CALLERS[caller], id=global_ids.of(CUSTOMER))


@pytest.mark.parametrize("caller", CALLERS)
async def test_private_fields_are_null_with_one_error_each_and_siblings_stand(
    full: TestShop, caller: str
) -> None:
    result = await private(full, caller)
    user = result.data["user"]

    assert user["username"] == CUSTOMER.username
    assert len(user["reviews"]["nodes"]) == 1
    if caller in {"customer", "staff"}:
        assert result.errors == []
        assert user["email"] == CUSTOMER.email
        assert len(user["orders"]["nodes"]) == 1
        return
    hidden = ["email", "emailVerified", "phoneNumber", "orders"]
    code = "UNAUTHENTICATED" if caller == "anonymous" else "FORBIDDEN"
    assert [user[name] for name in hidden] == [None] * 4
    assert sorted(error["path"][-1] for error in result.errors) == sorted(hidden)
    assert result.codes == [code] * 4


@pytest.mark.parametrize("caller", CALLERS)
async def test_the_viewer_is_the_caller_with_a_profile(full: TestShop, caller: str) -> None:
    result = await full.ask("{ viewer { id } }", **CALLERS[caller])

    known = {"customer": CUSTOMER, "other": OTHER, "suspended": SUSPENDED}.get(caller)
    assert result.data["viewer"] == (known and {"id": global_ids.of(known)})


@pytest.mark.parametrize("caller", CALLERS)
async def test_an_order_is_found_by_its_number_by_those_who_may_see_it(
    full: TestShop, caller: str
) -> None:
    query = "query($number: String!) { orderByNumber(number: $number) { id } }"
    result = await full.ask(query, **CALLERS[caller], number=ORDER.number)

    assert result.errors == []
    assert (result.data["orderByNumber"] is not None) == (caller in {"customer", "staff"})


async def test_an_erased_author_is_nobody_and_an_erased_customer_a_stub_for_staff(
    full: TestShop,
) -> None:
    query = """query($review: ID!, $order: ID!) {
        review(id: $review) { author { id } } order(id: $order) { customer { username email } } }"""
    result = await full.ask(
        query,
        **CALLERS["staff"],
        review=global_ids.of(items.review(2, items.product(0).id)),
        order=global_ids.of(items.order(3, ERASED.id)),
    )

    assert result.data["review"]["author"] is None
    assert result.data["order"]["customer"] == {"username": "deleted-0123abcd", "email": None}


async def test_a_draft_is_nothing_behind_a_review_and_an_order(full: TestShop) -> None:
    query = "query($id: ID!) { review(id: $id) { product { id } } }"
    wanted = global_ids.of(items.review(3, DRAFT.id))

    assert (await full.ask(query, id=wanted)).data["review"]["product"] is None
    assert (await full.ask(query, **CALLERS["staff"], id=wanted)).data["review"]["product"]


@pytest.mark.parametrize(
    ("status", "customer", "staff"),
    [
        (OrderStatus.PENDING, ["CANCELLED"], ["PAID", "CANCELLED"]),
        (OrderStatus.PAID, [], ["SHIPPED", "CANCELLED", "REFUNDED"]),
        (OrderStatus.SHIPPED, [], ["DELIVERED"]),
        (OrderStatus.DELIVERED, [], ["REFUNDED"]),
        (OrderStatus.CANCELLED, [], []),
        (OrderStatus.REFUNDED, [], []),
    ],
)
async def test_where_an_order_may_go_depends_on_who_asks(
    shop: TestShop, status: OrderStatus, customer: list[str], staff: list[str]
) -> None:
    await shop.put(CUSTOMER, items.order(1, CUSTOMER.id, status=status))
    query = "query($id: ID!) { order(id: $id) { nextStatuses } }"
    wanted = global_ids.of(items.order(1, CUSTOMER.id))

    own = await shop.ask(query, **CALLERS["customer"], id=wanted)
    theirs = await shop.ask(query, **CALLERS["staff"], id=wanted)

    assert own.data["order"]["nextStatuses"] == customer
    assert theirs.data["order"]["nextStatuses"] == staff


async def test_a_suspended_customer_may_take_an_order_nowhere(full: TestShop) -> None:
    result = await full.ask(
        "query($id: ID!) { order(id: $id) { nextStatuses } }",
        **CALLERS["suspended"],
        id=global_ids.of(items.order(2, SUSPENDED.id)),
    )

    assert result.data["order"]["nextStatuses"] == []


async def test_another_tenants_staff_sees_nothing_of_this_one(full: TestShop) -> None:
    stranger = TestShop(full.client, full.table_name, tenant=f"{full.tenant}-other")
    boss = CALLERS["staff"]

    for item in (CUSTOMER, ORDER, items.product(0), items.category("electronics")):
        found = await stranger.ask(
            "query($id: ID!) { node(id: $id) { id } }", **boss, id=global_ids.of(item)
        )
        assert found.data["node"] is None
    lists = await stranger.ask(
        "{ users { nodes { id } } orders { nodes { id } } products { nodes { id } }"
        " categories { nodes { id } } }",
        **boss,
    )
    assert all(part["nodes"] == [] for part in lists.data.values())
