"""Every mutation by its name, asked for all that it may have changed; and the rows behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

from datasources.attributes import decode_row, encode_row
from datasources.items import Row
from datasources.keys import Key, tenant_of
from tests.support.items import NOW
from tests.support.shop import TestShop

_USER = """user { id username email emailVerified firstName lastName phoneNumber profileImageUrl
    status createdAt updatedAt }"""
_CATEGORY = "category { id slug name description productCount createdAt updatedAt }"
_PRODUCT = """product { id name description price { amount currencyCode } category { slug }
    status inventory imageUrl version createdAt updatedAt }"""
_ORDER = """order { id number status nextStatuses items { product { id } productName quantity
    unitPrice { amount } lineTotal { amount } } itemCount total { amount currencyCode }
    shippingAddress { recipient line1 line2 city region postalCode countryCode }
    history { status at note } placedAt updatedAt version }"""
_REVIEW = """review { id rating title comment author { id } product { id } verifiedPurchase
    createdAt updatedAt }"""

# What each mutation answers beside its user errors.
RESULTS = {
    "createUser": _USER,
    "updateUser": _USER,
    "setUserStatus": _USER,
    "deleteUser": "deletedUserId",
    "createCategory": _CATEGORY,
    "updateCategory": _CATEGORY,
    "createProduct": _PRODUCT,
    "updateProduct": _PRODUCT,
    "adjustInventory": _PRODUCT,
    "placeOrder": f"{_ORDER} replayed",
    "cancelOrder": _ORDER,
    "advanceOrder": _ORDER,
    "addReview": _REVIEW,
    "updateReview": _REVIEW,
    "deleteReview": "deletedReviewId",
}


@dataclass(frozen=True)
class Written:
    """What a mutation came to: its result, its user errors, or the code of a GraphQL error."""

    result: Any
    errors: Sequence[dict[str, Any]]
    refusal: str | None

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.errors]

    @property
    def fields(self) -> list[list[str] | None]:
        return [error["field"] for error in self.errors]

    @property
    def outcome(self) -> str:
        """In a word: `ok`, or the codes of what was wrong."""
        return self.refusal or " ".join(self.codes) or "ok"


async def mutate(
    shop: TestShop,
    name: str,
    input: dict[str, Any],
    *,
    user: str | None = None,
    staff: bool = False,
) -> Written:
    kind = f"{name[0].upper()}{name[1:]}Input"
    query = (
        f"mutation($input: {kind}!) {{ {name}(input: $input) "
        f"{{ {RESULTS[name]} userErrors {{ code message field }} }} }}"
    )
    answer = await shop.write(query, user=user, staff=staff, input=input)
    if answer.data is None:
        assert len(answer.codes) == 1
        return Written(None, (), answer.codes[0])
    assert answer.errors == []
    payload = answer.data[name]
    result = payload[RESULTS[name].split()[0]]
    # Either it was done, or it is said why not.
    assert (result is None) == bool(payload["userErrors"])
    return Written(result, payload["userErrors"], None)


async def boss(shop: TestShop, mutation: str, /, **input: Any) -> Written:
    """What staff without an account of their own get."""
    return await mutate(shop, mutation, input, user="boss", staff=True)


async def rows(shop: TestShop) -> dict[Key, Row]:
    """Every row of the shop's tenant, whatever it is: of all that anything was to write."""
    own = (key for key in shop.touched if tenant_of(key.pk) == shop.tenant)
    return await shop.table().batch_get(own, consistent=True)


async def stored(shop: TestShop, key: Key) -> Row | None:
    """The row as it is, what is null left out."""
    row = (await shop.table().batch_get([key], consistent=True)).get(key)
    return (
        None if row is None else {name: value for name, value in row.items() if value is not None}
    )


def as_stored(row: Row) -> Row:
    """A row as it comes back from the store."""
    return decode_row(cast(Any, encode_row(row)))


async def listed(shop: TestShop, field: str) -> list[str]:
    """The IDs of a list that staff ask for, e.g. `users(status: SUSPENDED)`."""
    answer = await shop.ask(f"{{ {field} {{ nodes {{ id }} }} }}", user="boss", staff=True)
    assert answer.errors == []
    return [node["id"] for node in answer.data[field.partition("(")[0]]["nodes"]]


def later(shop: TestShop, minutes: int = 1) -> str:
    """Moves the shop's clock on; the time that it has then."""
    now = NOW + timedelta(minutes=minutes)
    shop.shop = replace(shop.shop, now=lambda: now)
    return now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
