"""Accounts: made, changed, suspended and erased, with their rows always in step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasources import users
from datasources.items import User, UserStatus
from datasources.keys import PK
from resolvers import global_ids
from tests.support import items
from tests.support.mutations import Written, boss, later, listed, mutate, rows, stored
from tests.support.shop import TestShop, rows_of

TARO = {"email": "taro@example.com", "username": "taro"}
OPTIONAL = {
    "firstName": "太郎",
    "lastName": "山田",
    "phoneNumber": "+81-3-1234-5678",
    "profileImageUrl": "https://example.com/taro.png",
}


async def sign_up(shop: TestShop, user: str = "auth|1", **changes: Any) -> Written:
    return await mutate(shop, "createUser", {**TARO, **changes}, user=user)


async def update(shop: TestShop, user: str = "auth|1", **changes: Any) -> Written:
    return await mutate(shop, "updateUser", changes, user=user)


async def in_step(shop: TestShop, user_id: str = "auth|1") -> User:
    """The profile, whose rows are exactly those that stand for it."""
    row = await stored(shop, shop.keys.user(user_id))
    assert row is not None
    user = User.of(row)
    assert row == users.row(shop.keys, user)
    found = await rows(shop)
    unique = {key for key, row in found.items() if row.get("userId") == user_id}
    assert unique == set(users.unique_keys(shop.keys, user))
    return user


# --- making -----------------------------------------------------------------------------------


async def test_signing_up_makes_the_callers_own_profile(shop: TestShop) -> None:
    made = await sign_up(shop, **OPTIONAL)

    assert made.result == {
        "id": global_ids.encode("User", "auth|1"),
        **TARO,
        **OPTIONAL,
        "emailVerified": False,
        "status": "ACTIVE",
        "createdAt": "2026-11-20T12:00:00.000Z",
        "updatedAt": "2026-11-20T12:00:00.000Z",
    }
    assert (await in_step(shop)).version == 1
    assert await listed(shop, "users") == [made.result["id"]]


async def test_staff_make_a_profile_for_a_subject_or_with_an_id_of_its_own(shop: TestShop) -> None:
    named = await boss(shop, "createUser", **TARO, subject="auth|7")
    own = await boss(shop, "createUser", email="hanako@example.com", username="hanako")

    assert named.result["id"] == global_ids.encode("User", "auth|7")
    assert own.outcome == "ok"
    assert own.result["id"] != global_ids.encode("User", "boss")


async def test_signing_up_twice_says_that_the_profile_exists_and_nothing_else(
    shop: TestShop,
) -> None:
    await sign_up(shop)
    before = await rows(shop)

    for changes in ({}, {"email": "other@example.com", "username": "other"}):
        again = await sign_up(shop, **changes)
        assert (again.codes, again.fields) == (["ALREADY_EXISTS"], [None])
    assert await rows(shop) == before


def _wide(text: str) -> str:
    """In full-width forms, as a Japanese keyboard writes letters."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


EMAILS = [
    "TARO@EXAMPLE.COM",
    " taro@example.com ",
    _wide("taro") + "@example.com",
    "Taro@" + _wide("example") + "\uff0ecom",
]
IDN = ["taro@xn--r8jz45g.jp", "TARO@例え.JP", "taro@XN--R8JZ45G.jp", "taro@例え。jp"]
USERNAMES = ["TARO", " taro ", _wide("taro"), _wide("Taro")]


@pytest.mark.parametrize("spelling", EMAILS)
async def test_an_email_address_is_taken_in_every_spelling(shop: TestShop, spelling: str) -> None:
    await sign_up(shop)
    before = await rows(shop)

    second = await sign_up(shop, "auth|2", email=spelling, username="other")

    assert (second.codes, second.fields) == (["EMAIL_TAKEN"], [["input", "email"]])
    assert await rows(shop) == before


@pytest.mark.parametrize("spelling", IDN)
async def test_an_international_domain_is_one_domain_in_every_spelling(
    shop: TestShop, spelling: str
) -> None:
    await sign_up(shop, email="taro@例え.jp")

    assert (await sign_up(shop, "auth|2", email=spelling, username="other")).codes == [
        "EMAIL_TAKEN"
    ]


@pytest.mark.parametrize("spelling", USERNAMES)
async def test_a_username_is_taken_in_every_spelling(shop: TestShop, spelling: str) -> None:
    await sign_up(shop)

    second = await sign_up(shop, "auth|2", email="other@example.com", username=spelling)

    assert (second.codes, second.fields) == (["USERNAME_TAKEN"], [["input", "username"]])


async def test_letters_that_folding_takes_apart_are_the_same_in_capitals(shop: TestShop) -> None:
    await sign_up(shop, email="xΐ@example.com")

    second = await sign_up(shop, "auth|2", email="XΪ\u0301@example.com", username="other")

    assert second.outcome == "EMAIL_TAKEN"


async def test_email_and_username_are_said_to_be_taken_at_once(shop: TestShop) -> None:
    await sign_up(shop)
    before = await rows(shop)

    second = await sign_up(shop, "auth|2")

    assert set(second.codes) == {"EMAIL_TAKEN", "USERNAME_TAKEN"}
    assert await rows(shop) == before


# --- changing ---------------------------------------------------------------------------------


async def test_what_is_left_out_stays_and_null_clears(shop: TestShop) -> None:
    await sign_up(shop, **OPTIONAL)

    for name, value in OPTIONAL.items():
        assert (await update(shop, username="taro")).result[name] == value
        cleared = await mutate(shop, "updateUser", {name: None}, user="auth|1")
        assert cleared.result[name] is None
        await in_step(shop)
    assert (await update(shop, **OPTIONAL)).result.items() >= OPTIONAL.items()
    assert (await in_step(shop)).version == 10


async def test_nothing_given_is_nothing_changed_but_the_time(shop: TestShop) -> None:
    made = await sign_up(shop, **OPTIONAL)
    now = later(shop)

    assert (await update(shop)).result == {**made.result, "updatedAt": now}


@pytest.mark.parametrize("name", ["email", "username"])
async def test_email_and_username_cannot_be_cleared(shop: TestShop, name: str) -> None:
    await sign_up(shop)
    before = await rows(shop)

    refused = await mutate(shop, "updateUser", {name: None}, user="auth|1")

    assert (refused.codes, refused.fields) == (["INVALID"], [["input", name]])
    assert await rows(shop) == before


async def test_a_changed_email_and_username_are_exchanged_and_the_old_ones_free(
    shop: TestShop,
) -> None:
    await sign_up(shop)
    changed = await update(shop, email="new@example.com", username="new-name")
    assert changed.outcome == "ok"
    await in_step(shop)

    new = await sign_up(shop, "auth|2", email="NEW@example.com", username="New-Name")
    old = await sign_up(shop, "auth|2")

    assert set(new.codes) == {"EMAIL_TAKEN", "USERNAME_TAKEN"}
    assert old.outcome == "ok"


async def test_an_exchange_is_whole_or_not_at_all(shop: TestShop) -> None:
    await sign_up(shop)
    await sign_up(shop, "auth|2", email="other@example.com", username="other")
    before = await rows(shop)

    one = await update(shop, email="free@example.com", username="Other", firstName="x")
    both = await update(shop, email="OTHER@example.com", username="other")

    assert one.codes == ["USERNAME_TAKEN"]
    assert set(both.codes) == {"EMAIL_TAKEN", "USERNAME_TAKEN"}
    assert await rows(shop) == before


async def test_another_spelling_of_ones_own_is_not_taken(shop: TestShop) -> None:
    await shop.put(items.user(0, email_verified=True))

    changed = await update(shop, "user-0", email="USER0@example.com", username="USER0")

    assert changed.result["email"] == "USER0@example.com"
    assert changed.result["username"] == "USER0"
    assert changed.result["emailVerified"] is True  # still the same address
    await in_step(shop, "user-0")


async def test_a_new_email_address_is_not_verified(shop: TestShop) -> None:
    await shop.put(items.user(0, email_verified=True))

    assert (await update(shop, "user-0", firstName="x")).result["emailVerified"] is True
    assert (await update(shop, "user-0", email="n@example.com")).result["emailVerified"] is False


# --- suspending -------------------------------------------------------------------------------


async def test_lists_by_status_follow_the_status(shop: TestShop) -> None:
    await shop.put(items.user(0), items.user(1))
    wanted = global_ids.of(items.user(0))

    suspended = await boss(shop, "setUserStatus", id=wanted, status="SUSPENDED")
    await in_step(shop, "user-0")
    assert suspended.result["status"] == "SUSPENDED"
    assert await listed(shop, "users(status: SUSPENDED)") == [wanted]
    assert await listed(shop, "users") == [global_ids.of(items.user(1))]

    await boss(shop, "setUserStatus", id=wanted, status="ACTIVE")
    await in_step(shop, "user-0")
    assert await listed(shop, "users(status: SUSPENDED)") == []
    assert len(await listed(shop, "users")) == 2


async def test_the_status_it_has_is_no_change(shop: TestShop) -> None:
    await shop.put(items.user(0))
    before = await rows(shop)
    later(shop)

    same = await boss(shop, "setUserStatus", id=global_ids.of(items.user(0)), status="ACTIVE")

    assert same.outcome == "ok"
    assert await rows(shop) == before


async def test_nobody_is_erased_by_status_or_brought_back(shop: TestShop) -> None:
    await shop.put(items.user(0), items.user(1))
    erased, alive = (global_ids.of(items.user(n)) for n in range(2))
    await boss(shop, "deleteUser", id=erased)
    before = await rows(shop)

    by_status = await boss(shop, "setUserStatus", id=alive, status="DELETED")
    back = await boss(shop, "setUserStatus", id=erased, status="ACTIVE")
    edited = await boss(shop, "updateUser", id=erased, username="phoenix")

    assert (by_status.codes, by_status.fields) == (["INVALID"], [["input", "status"]])
    assert (back.codes, back.fields) == (["INVALID"], [["input", "id"]])
    assert (edited.codes, edited.fields) == (["INVALID"], [["input", "id"]])
    assert await rows(shop) == before


# --- erasing ----------------------------------------------------------------------------------


async def test_erasing_leaves_a_stub_and_an_audit_entry_and_nothing_personal(
    shop: TestShop,
) -> None:
    made = await sign_up(shop, **OPTIONAL)
    now = later(shop)

    deleted = await mutate(shop, "deleteUser", {"reason": "asked to"}, user="auth|1")

    assert deleted.result == made.result["id"]
    found = await rows(shop)
    stub = await in_step(shop)
    assert stub.status is UserStatus.DELETED
    assert stub.to_attributes().keys() == {
        *("entity", "id", "username", "emailVerified", "status", "version"),
        *("createdAt", "updatedAt"),
    }
    assert not stub.email_verified
    assert stub.username.startswith("deleted-")
    assert len(stub.username) == len("deleted-") + 8
    assert set(stub.username[8:]) <= set("0123456789abcdef")
    [entry] = [row for key, row in found.items() if key != shop.keys.user("auth|1")]
    assert entry[PK] == f"{shop.tenant}#AUDIT#auth|1"
    assert {name: entry[name] for name in ("subject", "action", "actor", "reason", "at")} == {
        "subject": "auth|1",
        "action": "ERASED",
        "actor": "auth|1",
        "reason": "asked to",
        "at": now,
    }
    text = json.dumps([dict(row) for row in found.values()], ensure_ascii=False)
    personal = [TARO["email"], '"taro"', *OPTIONAL.values()]
    assert [value for value in personal if value in text] == []


async def test_staff_erase_and_are_named_in_the_audit_entry(shop: TestShop) -> None:
    await shop.put(items.user(0))

    assert (await boss(shop, "deleteUser", id=global_ids.of(items.user(0)))).outcome == "ok"
    [entry] = [row for row in (await rows(shop)).values() if row["entity"] == "Audit"]
    assert entry["actor"] == "boss"


async def test_erasing_twice_succeeds_and_changes_nothing(shop: TestShop) -> None:
    await shop.put(items.user(0))
    wanted = global_ids.of(items.user(0))
    first = await mutate(shop, "deleteUser", {}, user="user-0")
    before = await rows(shop)
    later(shop)

    own = await mutate(shop, "deleteUser", {}, user="user-0")
    named = await mutate(shop, "deleteUser", {"id": wanted}, user="user-0")
    by_staff = await boss(shop, "deleteUser", id=wanted)

    assert [first.result, own.result, named.result, by_staff.result] == [wanted] * 4
    assert await rows(shop) == before


async def test_an_erased_user_is_a_stub_for_staff_and_nobody_for_others(shop: TestShop) -> None:
    await shop.put(items.user(0), items.user(1))
    wanted = global_ids.of(items.user(0))
    await boss(shop, "deleteUser", id=wanted)
    query = "query($id: ID!) { user(id: $id) { username email status } }"

    by_staff = await shop.ask(query, user="boss", staff=True, id=wanted)
    by_other = await shop.ask(query, user="user-1", id=wanted)

    assert by_staff.data["user"]["status"] == "DELETED"
    assert by_staff.data["user"]["email"] is None
    assert by_other.data["user"] is None
    assert await listed(shop, "users(status: DELETED)") == [wanted]


async def test_an_erased_subject_cannot_sign_up_again_but_what_it_had_is_free(
    shop: TestShop,
) -> None:
    await sign_up(shop)
    await mutate(shop, "deleteUser", {}, user="auth|1")
    before = await rows(shop)

    again = await sign_up(shop)
    by_staff = await boss(shop, "createUser", **TARO, subject="auth|1")
    assert again.codes == by_staff.codes == ["ALREADY_EXISTS"]
    assert await rows(shop) == before

    assert (await sign_up(shop, "auth|2")).outcome == "ok"


def test_the_rows_put_by_tests_are_those_that_the_service_makes(shop: TestShop) -> None:
    user = items.user(0)
    made = [action.row for action in users.create(shop.keys, user) if hasattr(action, "row")]

    assert made == rows_of(shop.keys, user)
