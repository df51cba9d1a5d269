"""Products, categories and stock: every list in step with every change."""

from __future__ import annotations

from typing import Any

import pytest

from datasources import categories, products
from datasources.items import Category, Product
from resolvers import global_ids
from resolvers.formats import MOST_STOCK
from tests.support import items
from tests.support.mutations import Written, as_stored, boss, later, listed, mutate, rows, stored
from tests.support.shop import TestShop

BOOK = items.product(0, category="books", description="To read", image_url="https://x.jp/a.png")
ID = global_ids.of(BOOK)
BOOKS, TOYS = (global_ids.encode("Category", slug) for slug in ("books", "toys"))


def yen(amount: int | str) -> dict[str, str]:
    return {"amount": str(amount), "currencyCode": "JPY"}


@pytest.fixture
async def stocked(shop: TestShop) -> TestShop:
    await shop.put(items.category("books"), items.category("toys"), BOOK)
    return shop


async def update(shop: TestShop, **changes: Any) -> Written:
    return await boss(shop, "updateProduct", id=ID, **changes)


async def in_step(shop: TestShop, product_id: str = BOOK.id) -> Product:
    """The product, whose row has exactly the index attributes that belong to it."""
    row = await stored(shop, shop.keys.product(product_id))
    assert row is not None
    product = Product.of(row)
    assert row == as_stored(products.row(shop.keys, product))
    return product


# --- products ---------------------------------------------------------------------------------


async def test_a_product_is_made_with_all_that_is_given(stocked: TestShop) -> None:
    made = await boss(
        stocked,
        "createProduct",
        name=" 本 ",
        description="読む\nもの",
        price=yen(1200),
        categoryId=BOOKS,
        inventory=3,
        imageUrl="https://example.com/b.png",
        status="DRAFT",
    )

    [product_id] = global_ids.expect("id", made.result["id"], "Product")
    assert made.result == {
        "id": made.result["id"],
        "name": "本",
        "description": "読む\nもの",
        "price": {"amount": "1200", "currencyCode": "JPY"},
        "category": {"slug": "books"},
        "status": "DRAFT",
        "inventory": 3,
        "imageUrl": "https://example.com/b.png",
        "version": 1,
        "createdAt": "2026-11-20T12:00:00.000Z",
        "updatedAt": "2026-11-20T12:00:00.000Z",
    }
    await in_step(stocked, product_id)
    drafts = f'products(categoryId: "{BOOKS}", status: DRAFT)'
    assert await listed(stocked, drafts) == [made.result["id"]]


async def test_a_product_needs_no_more_than_a_name_and_a_price(shop: TestShop) -> None:
    made = await boss(shop, "createProduct", name="Book", price=yen(0))

    assert made.result.items() >= {"inventory": 0, "status": "ACTIVE", "category": None}.items()
    assert await listed(shop, "products") == [made.result["id"]]


CHANGES: list[dict[str, Any]] = [
    {"name": "Novel"},
    {"description": None},
    {"imageUrl": None},
    {"price": yen(5)},
    {"categoryId": TOYS},
    {"categoryId": None},
    {"status": "DRAFT"},
    {"status": "ARCHIVED"},
    {"status": "ARCHIVED", "categoryId": TOYS, "price": yen(7)},
    {"status": "DRAFT", "categoryId": None, "price": yen(9)},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
async def test_every_index_is_in_step_after_every_change(
    stocked: TestShop, change: dict[str, Any]
) -> None:
    now = later(stocked)
    changed = await update(stocked, **change)
    after = await in_step(stocked)

    assert (after.version, changed.result["version"], changed.result["updatedAt"]) == (2, 2, now)
    await boss(stocked, "updateProduct", id=ID, categoryId=BOOKS, status="ACTIVE", price=yen(1000))
    back = await in_step(stocked)
    assert (back.category, back.status, back.price, back.version) == ("books", "ACTIVE", 1000, 3)


async def test_what_is_left_out_stays_and_null_clears(stocked: TestShop) -> None:
    before = (await update(stocked)).result
    assert before["description"] == "To read"

    for name, expected in {"description": None, "imageUrl": None, "categoryId": None}.items():
        cleared = (await update(stocked, **{name: expected})).result
        shown = {"categoryId": "category"}.get(name, name)
        assert cleared == {**before, shown: None, "version": before["version"] + 1}
        before = cleared


@pytest.mark.parametrize("name", ["name", "price", "status"])
async def test_what_a_product_cannot_be_without_cannot_be_cleared(
    stocked: TestShop, name: str
) -> None:
    before = await rows(stocked)
    refused = await boss(stocked, "updateProduct", id=ID, **{name: None})

    assert (refused.codes, refused.fields) == (["INVALID"], [["input", name]])
    assert await rows(stocked) == before


async def test_lists_show_a_change_at_once(stocked: TestShop) -> None:
    async def places() -> dict[str, bool]:
        return {
            "books": ID in await listed(stocked, f'products(categoryId: "{BOOKS}")'),
            "toys": ID in await listed(stocked, f'products(categoryId: "{TOYS}")'),
            "cheap": ID
            in await listed(stocked, f'products(categoryId: "{TOYS}", price: {{max: "500"}})'),
            "active": ID in await listed(stocked, "products"),
            "archived": ID in await listed(stocked, "products(status: ARCHIVED)"),
        }

    nowhere = dict.fromkeys(["books", "toys", "cheap", "active", "archived"], False)
    assert await places() == {**nowhere, "books": True, "active": True}
    await update(stocked, categoryId=TOYS)
    assert await places() == {**nowhere, "toys": True, "active": True}
    await update(stocked, price=yen(500))
    assert await places() == {**nowhere, "toys": True, "cheap": True, "active": True}
    await update(stocked, categoryId=None)
    assert await places() == {**nowhere, "active": True}
    await update(stocked, status="ARCHIVED")
    assert await places() == {**nowhere, "archived": True}


async def test_an_edit_keeps_the_stock_and_the_ratings_beside_it(stocked: TestShop) -> None:
    await stocked.put(items.product(0, category="books", inventory=42, histogram=(0, 0, 0, 0, 7)))

    await update(stocked, name="Novel")

    after = await in_step(stocked)
    assert (after.name, after.inventory, after.histogram) == ("Novel", 42, (0, 0, 0, 0, 7))


async def test_an_expected_version_is_the_stored_one_or_nothing_happens(
    stocked: TestShop,
) -> None:
    assert (await update(stocked, name="Novel", expectedVersion=1)).result["version"] == 2
    before = await rows(stocked)

    for version in (1, 3, 0, -1):
        stale = await update(stocked, name="Atlas", expectedVersion=version)
        assert (stale.codes, stale.fields) == (["VERSION_CONFLICT"], [["input", "expectedVersion"]])
    assert await rows(stocked) == before
    assert (await update(stocked, name="Atlas", expectedVersion=None)).outcome == "ok"


async def test_a_category_that_is_not_there_holds_no_product(stocked: TestShop) -> None:
    before = await rows(stocked)
    nowhere = global_ids.encode("Category", "nowhere")

    made = await boss(stocked, "createProduct", name="x", price=yen(1), categoryId=nowhere)
    moved = await update(stocked, categoryId=nowhere)

    for refused in (made, moved):
        assert (refused.codes, refused.fields) == (["NOT_FOUND"], [["input", "categoryId"]])
    assert await rows(stocked) == before


async def test_a_product_that_is_not_there_is_not_found(shop: TestShop) -> None:
    edited = await boss(shop, "updateProduct", id=ID, name="x")
    counted = await boss(shop, "adjustInventory", productId=ID, delta=1)

    assert (edited.codes, edited.fields) == (["NOT_FOUND"], [["input", "id"]])
    assert (counted.codes, counted.fields) == (["NOT_FOUND"], [["input", "productId"]])
    assert await rows(shop) == {}


# --- categories -------------------------------------------------------------------------------


async def test_a_category_is_made_once(shop: TestShop) -> None:
    made = await boss(shop, "createCategory", slug="books", name="本", description="読む")
    before = await rows(shop)

    again = await boss(shop, "createCategory", slug="books", name="Other")

    assert made.result.items() >= {"slug": "books", "name": "本", "description": "読む"}.items()
    assert made.result["productCount"] == 0
    assert (again.codes, again.fields) == (["SLUG_TAKEN"], [["input", "slug"]])
    assert await rows(shop) == before


async def test_a_changed_category_is_in_step_and_in_its_place(shop: TestShop) -> None:
    await shop.put(
        items.category("books", name="Books", description="To read", product_count=7),
        items.category("toys", name="Toys"),
    )
    assert await listed(shop, "categories") == [BOOKS, TOYS]
    now = later(shop)

    renamed = await boss(shop, "updateCategory", id=BOOKS, name="ＺＯＯ")  # noqa: RUF001
    cleared = await boss(shop, "updateCategory", id=BOOKS, description=None)

    assert renamed.result["description"] == "To read"
    assert renamed.result["updatedAt"] == now
    assert (cleared.result["name"], cleared.result["description"]) == ("ＺＯＯ", None)  # noqa: RUF001
    assert await listed(shop, "categories") == [TOYS, BOOKS]
    row = await stored(shop, shop.keys.category("books"))
    assert row is not None
    assert row == categories.row(shop.keys, Category.of(row))
    assert row["productCount"] == 7


async def test_a_category_has_a_name_and_must_be_there(shop: TestShop) -> None:
    await shop.put(items.category("books"))
    before = await rows(shop)

    unnamed = await boss(shop, "updateCategory", id=BOOKS, name=None)
    missing = await boss(shop, "updateCategory", id=TOYS, name="Toys")

    assert (unnamed.codes, unnamed.fields) == (["INVALID"], [["input", "name"]])
    assert (missing.codes, missing.fields) == (["NOT_FOUND"], [["input", "id"]])
    assert await rows(shop) == before


# --- stock ------------------------------------------------------------------------------------


async def adjust(shop: TestShop, delta: int, **more: Any) -> Written:
    return await boss(shop, "adjustInventory", productId=ID, delta=delta, **more)


async def test_stock_is_changed_by_a_difference_and_never_below_zero(stocked: TestShop) -> None:
    assert (await adjust(stocked, 3)).result["inventory"] == 8
    assert (await adjust(stocked, -8)).result["inventory"] == 0
    before = await rows(stocked)

    short = await adjust(stocked, -1)

    assert (short.codes, short.fields) == (["OUT_OF_STOCK"], [["input", "delta"]])
    assert "only 0 left" in short.errors[0]["message"]
    assert await rows(stocked) == before


async def test_stock_changes_without_a_new_version(stocked: TestShop) -> None:
    assert (await adjust(stocked, 1)).result["version"] == 1
    assert (await update(stocked, name="Novel", expectedVersion=1)).outcome == "ok"
    assert (await in_step(stocked)).inventory == BOOK.inventory + 1


async def test_stock_has_a_most(stocked: TestShop) -> None:
    assert (await adjust(stocked, MOST_STOCK - 5)).result["inventory"] == MOST_STOCK

    over = await adjust(stocked, 1)
    far_over = await adjust(stocked, MOST_STOCK + 1)

    for refused in (over, far_over):
        assert (refused.codes, refused.fields) == (["INVALID"], [["input", "delta"]])
    assert (await in_step(stocked)).inventory == MOST_STOCK


async def test_a_key_changes_the_stock_once(stocked: TestShop) -> None:
    first = await adjust(stocked, -5, reason="broken", idempotencyKey="12345678")
    before = await rows(stocked)

    # Also when the change could not be made a second time.
    again = await adjust(stocked, -5, reason="broken", idempotencyKey="12345678")

    assert first.result["inventory"] == again.result["inventory"] == 0
    assert await rows(stocked) == before


@pytest.mark.parametrize(
    "other", [{"delta": 2}, {"delta": 1, "reason": "found"}, {"delta": -100}], ids=str
)
async def test_a_key_is_good_for_one_change_alone(stocked: TestShop, other: dict[str, Any]) -> None:
    await adjust(stocked, 1, idempotencyKey="12345678")
    before = await rows(stocked)

    reused = await adjust(stocked, **other, idempotencyKey="12345678")

    assert reused.codes == ["IDEMPOTENCY_KEY_REUSED"]
    assert reused.fields == [["input", "idempotencyKey"]]
    assert await rows(stocked) == before


async def test_a_key_belongs_to_one_caller_and_lives_a_day(stocked: TestShop) -> None:
    given = {"productId": ID, "delta": 1, "idempotencyKey": "12345678"}

    async def stock(user: str) -> int:
        written = await mutate(stocked, "adjustInventory", given, user=user, staff=True)
        found: int = written.result["inventory"]
        return found

    assert [await stock(user) for user in ("boss", "clerk", "boss")] == [6, 7, 7]
    later(stocked, minutes=24 * 60 - 1)
    assert await stock("boss") == 7
    later(stocked, minutes=24 * 60)
    assert await stock("boss") == 8


async def test_a_change_that_failed_leaves_its_key_free(stocked: TestShop) -> None:
    assert (await adjust(stocked, -6, idempotencyKey="12345678")).codes == ["OUT_OF_STOCK"]
    assert (await adjust(stocked, -4, idempotencyKey="12345678")).result["inventory"] == 1


async def test_who_changed_the_stock_and_why_is_on_record(stocked: TestShop) -> None:
    await adjust(stocked, -2, reason="棚卸し")

    key = stocked.keys.audit(BOOK.id, items.NOW, "INVENTORY -2")
    row = (await stocked.table().batch_get([key], consistent=True))[key]
    assert (row["actor"], row["reason"]) == ("boss", "棚卸し")
