from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from datasources import categories, products, reviews
from datasources.attributes import decode_row, encode
from datasources.items import Category, Item, Product, ProductStatus, Review, from_row
from datasources.keys import PK, SK, Key, Keys
from datasources.operating.recount import LOOKS, PAUSE, Recounted, recount
from tests.support.items import category, new_id, product, review
from tests.support.memory import MemoryClient

KEYS = Keys("t", 4)
FIRST = product(1, category="books", histogram=(0, 0, 2, 0, 1))
BOOKS = category("books", product_count=1)


@dataclass
class Shop(MemoryClient):
    """A shop whose counts are right. `at_pause` is what happens in the first pause, the second
    and so on; `before_mending` in the instant before a row is mended."""

    at_pause: list[Callable[[], object]] = field(default_factory=list)
    before_mending: list[Callable[[], object]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        given = [
            review(n, FIRST.id, f"user-{n}", rating=stars) for n, stars in enumerate((3, 5, 3))
        ]
        self.hold(BOOKS, FIRST, *given)

    def hold(self, *items: Item) -> None:
        for item in items:
            match item:
                case Category():
                    self.put([categories.row(KEYS, item)])
                case Product():
                    self.put([products.row(KEYS, item)])
                case Review():
                    self.put([reviews.row(KEYS, item)])

    def set(self, key: Key, attribute: str, value: object) -> None:
        self.rows[key] = {**self.rows[key], attribute: value}

    def spoil(self) -> None:
        self.set(KEYS.product(FIRST.id), "histogram", [9, 0, 0, 0, 0])

    async def run(self, *, mend: bool = False) -> Recounted:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            if self.at_pause:
                self.at_pause.pop(0)()

        tokens = count()
        return await recount(
            self.table,
            KEYS,
            mend=mend,
            report=self.lines.append,
            sleep=sleep,
            new_token=lambda: f"token-{next(tokens)}",
        )

    async def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        [action] = parameters["TransactItems"]
        update = action["Update"]
        self.updates.append(update)
        if self.before_mending:
            self.before_mending.pop(0)()
        key = decode_row(update["Key"])
        there = self.rows.get(Key(key[PK], key[SK]), {})
        values = decode_row(update["ExpressionAttributeValues"])
        attribute = update["ExpressionAttributeNames"]["#count"]
        if not there or encode(there.get(attribute)) != encode(values.get(":stored")):
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": "ConditionalCheckFailed"}],
            }
            raise ClientError(answer, "TransactWriteItems")
        self.set(Key(key[PK], key[SK]), attribute, values[":counted"])
        return {}

    @property
    def histogram(self) -> tuple[int, ...]:
        item = from_row(self.rows[KEYS.product(FIRST.id)])
        assert isinstance(item, Product)
        return item.histogram


LINE = f"t: product {FIRST.id}: stored 9 0 0 0 0, counted 0 0 2 0 1"


@pytest.mark.parametrize("mend", [False, True])
async def test_a_shop_whose_counts_are_right_needs_one_look(mend: bool) -> None:
    shop = Shop()
    result = await shop.run(mend=mend)
    assert result == Recounted(products=1, categories=1)
    assert result.is_right
    assert (shop.lines, shop.slept, shop.updates) == ([], [], [])


async def test_a_wrong_histogram_is_reported_and_left_as_it_is() -> None:
    shop = Shop()
    shop.spoil()
    result = await shop.run()
    assert result == Recounted(products=1, categories=1, different=1)
    assert not result.is_right
    assert (shop.lines, shop.slept, shop.updates) == ([LINE], [PAUSE], [])


async def test_a_wrong_histogram_is_mended_and_nothing_else_of_the_product() -> None:
    shop = Shop()
    shop.spoil()
    before = dict(shop.rows[KEYS.product(FIRST.id)])
    result = await shop.run(mend=True)
    assert result == Recounted(products=1, categories=1, different=1, mended=1)
    assert result.is_right
    assert shop.lines == [f"{LINE}, mended"]
    assert shop.rows[KEYS.product(FIRST.id)] == {**before, "histogram": [0, 0, 2, 0, 1]}


async def test_a_wrong_category_is_mended() -> None:
    shop = Shop()
    shop.hold(category("books", product_count=7))
    result = await shop.run(mend=True)
    assert (result.different, result.mended) == (1, 1)
    assert shop.lines == ["t: category books: stored 7, counted 1, mended"]
    assert shop.rows[KEYS.category("books")]["productCount"] == 1


async def test_products_of_every_status_are_counted_and_active_ones_by_their_category() -> None:
    shop = Shop()
    for number, status in enumerate(ProductStatus, start=2):
        shop.hold(product(number, category="toys", status=status))
        shop.hold(review(50 + number, new_id(number, "product"), f"user-{number}", rating=4))
    shop.hold(product(9, category=None), category("toys"))
    result = await shop.run(mend=True)
    assert result == Recounted(products=5, categories=2, different=4, mended=4)
    assert shop.rows[KEYS.category("toys")]["productCount"] == 1
    assert await shop.run() == Recounted(products=5, categories=2)


async def test_a_row_that_never_had_its_count_gets_it() -> None:
    shop = Shop()
    for key, attribute in (
        (KEYS.product(FIRST.id), "histogram"),
        (KEYS.category("books"), "productCount"),
    ):
        del shop.rows[key][attribute]  # type: ignore[attr-defined]
    await shop.run(mend=True)
    assert shop.lines == [
        "t: category books: stored 0, counted 1, mended",
        f"t: product {FIRST.id}: stored 0, counted 0 0 2 0 1, mended",
    ]
    assert shop.histogram == (0, 0, 2, 0, 1)


async def test_nothing_stored_is_right_where_there_is_nothing() -> None:
    shop = Shop()
    shop.hold(product(2, category=None))
    del shop.rows[KEYS.product(new_id(2, "product"))]["histogram"]  # type: ignore[attr-defined]
    assert (await shop.run()).is_right


async def test_reviews_of_no_stars_are_counted_nowhere() -> None:
    shop = Shop()
    shop.hold(review(8, FIRST.id, "user-8", rating=6), review(9, FIRST.id, "user-9", rating=0))
    assert (await shop.run()).is_right


async def test_what_the_stream_brings_meanwhile_is_no_difference() -> None:
    shop = Shop()
    shop.hold(review(7, FIRST.id, "user-7", rating=1))
    right = [1, 0, 2, 0, 1]
    shop.at_pause = [lambda: shop.set(KEYS.product(FIRST.id), "histogram", right)]
    assert await shop.run(mend=True) == Recounted(products=1, categories=1)
    assert (shop.lines, shop.updates) == ([], [])


async def test_a_review_that_comes_between_two_looks_is_left_to_the_stream() -> None:
    """Mended at the second look, it would be counted again when its record comes."""
    shop = Shop()
    shop.spoil()
    shop.at_pause = [
        lambda: shop.hold(review(7, FIRST.id, "user-7", rating=1)),
        lambda: shop.set(KEYS.product(FIRST.id), "histogram", [10, 0, 0, 0, 0]),
    ]
    assert (await shop.run(mend=True)).mended == 1
    assert shop.histogram == (1, 0, 2, 0, 1)
    assert len(shop.slept) == 3


async def test_a_row_that_changes_before_it_is_mended_is_counted_again() -> None:
    shop = Shop()
    shop.spoil()

    def review_is_counted() -> None:
        shop.hold(review(7, FIRST.id, "user-7", rating=1))
        shop.set(KEYS.product(FIRST.id), "histogram", [10, 0, 0, 0, 0])

    shop.before_mending = [review_is_counted]
    result = await shop.run(mend=True)
    assert (result.different, result.mended) == (1, 1)
    assert shop.histogram == (1, 0, 2, 0, 1)
    assert [line.rpartition(",")[2] for line in shop.lines] == [" mended"]


async def test_a_row_that_never_stands_still_is_not_judged() -> None:
    shop = Shop()
    written = count(1)

    def write() -> None:
        shop.set(KEYS.product(FIRST.id), "histogram", [next(written), 0, 0, 0, 0])

    write()
    shop.at_pause = [write] * LOOKS
    result = await shop.run(mend=True)
    assert result == Recounted(products=1, categories=1, unsettled=1)
    assert not result.is_right
    assert shop.lines == [f"t: product {FIRST.id}: changes too often to be judged"]
    assert len(shop.slept) == LOOKS - 1


@pytest.mark.parametrize("moment", ["at_pause", "before_mending"])
async def test_a_product_that_goes_meanwhile_is_not_made_anew(moment: str) -> None:
    shop = Shop()
    shop.spoil()
    setattr(shop, moment, [lambda: shop.rows.pop(KEYS.product(FIRST.id))])
    assert (await shop.run(mend=True)).mended == 0
    assert KEYS.product(FIRST.id) not in shop.rows


async def test_products_that_an_index_still_has_are_passed_over() -> None:
    shop = Shop()
    shop.ghosts.append(products.row(KEYS, product(2, histogram=(1, 1, 1, 1, 1))))
    assert (await shop.run()).different == 0


async def test_reviews_on_many_pages_are_all_counted() -> None:
    shop = Shop(page_rows=2)
    assert (await shop.run()).is_right


async def test_no_count_is_of_an_index_where_it_could_be_of_the_table() -> None:
    shop = Shop()
    await shop.run()
    reads = [each for each in shop.named("query") if "IndexName" not in each]
    assert reads
    assert all(each["ConsistentRead"] for each in reads)


def test_the_result_is_a_line() -> None:
    assert str(Recounted(1, 2, 3, 4, 5)) == (
        "1 products and 2 categories: 3 differ, 4 mended, 5 too busy to tell"
    )
