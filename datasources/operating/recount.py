"""Compares every product's histogram and every category's count with a fresh count.

Both follow the writes at the distance of the stream, so a row that differs is looked at again
after a pause, and only a difference that stands still is one. The stream has to be followed
meanwhile: what it still holds is counted here already, and would be counted twice when mended.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from datasources import categories, products
from datasources.errors import TransactionCancelled
from datasources.items import Product, ProductStatus, Review, Row
from datasources.keys import GSI1, PK, Key, Keys
from datasources.listing import Listing
from datasources.queries import Query
from datasources.table import Table, gather
from datasources.writes import Condition, Update

Report = Callable[[str], None]
Count: TypeAlias = "int | list[int]"

PAUSE = 5.0  # seconds between two looks, longer than the stream lags
LOOKS = 5  # at a row that changes from one to the next
_STARS = 5
_AT_ONCE = 16
_ROWS_A_CALL = 250
_FIELD = "recount"
_SET = "SET #count = :counted"
_UNCHANGED = "#count = :stored"
_STILL_ABSENT = "attribute_exists(#pk) AND attribute_not_exists(#count)"


@dataclass(frozen=True, slots=True)
class Look:
    """What a row says (None: nothing) and what there is."""

    stored: Count | None
    counted: Count

    @property
    def is_right(self) -> bool:
        return self.stored == self.counted or (self.stored is None and not _total(self.counted))


@dataclass(frozen=True, slots=True)
class Counted:
    """A row that counts others: by what name it is reported, where it is, and how it is counted
    anew; None where it is gone."""

    name: str
    key: Key
    attribute: str
    look: Callable[[], Awaitable[Look | None]]


@dataclass(slots=True)
class Recounted:
    """Of one tenant. `unsettled` rows differed at every look, each time otherwise: they were
    written too often to be judged."""

    products: int = 0
    categories: int = 0
    different: int = 0
    mended: int = 0
    unsettled: int = 0

    @property
    def is_right(self) -> bool:
        """Whether every count is now what it should be."""
        return self.different == self.mended and not self.unsettled

    def __str__(self) -> str:
        return (
            f"{self.products} products and {self.categories} categories: {self.different} "
            f"differ, {self.mended} mended, {self.unsettled} too busy to tell"
        )


async def recount(
    table: Callable[[], Table],
    keys: Keys,
    *,
    mend: bool,
    report: Report,
    pause: float = PAUSE,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    new_token: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Recounted:
    """Reports each difference in a line; mends those that stand still where it is asked to.

    `table` gives the table with a fresh deadline; `pause` is in seconds. Raises StoreError.
    """
    return await Recount(table, keys, mend, report, pause, sleep, new_token).run()


@dataclass(frozen=True)
class Recount:
    """The work of `recount`."""

    table: Callable[[], Table]
    keys: Keys
    mend: bool
    report: Report
    pause: float
    sleep: Callable[[float], Awaitable[object]]
    new_token: Callable[[], str]
    result: Recounted = field(default_factory=Recounted)

    async def run(self) -> Recounted:
        differing: list[tuple[Counted, Look]] = []
        async for rows in self._rows():
            looks = await gather(*(row.look() for row in rows))
            differing += [
                (row, look)
                for row, look in zip(rows, looks, strict=True)
                if look is not None and not look.is_right
            ]
        for _ in range(LOOKS - 1):
            if not differing:
                break
            await self.sleep(self.pause)
            differing = [again for each in differing if (again := await self._judge(*each))]
        for row, _ in differing:
            self.result.unsettled += 1
            self.report(f"{row.name}: changes too often to be judged")
        return self.result

    async def _judge(self, row: Counted, before: Look) -> tuple[Counted, Look] | None:
        """The row and this look at it where it has to be looked at again."""
        now = await row.look()
        if now is None or now.is_right:
            return None
        if now != before:
            return row, now
        if self.mend and not await self._mend(row, now):
            return row, now
        self.result.different += 1
        self.result.mended += self.mend
        line = f"{row.name}: stored {_shown(now.stored)}, counted {_shown(now.counted)}"
        self.report(f"{line}, mended" if self.mend else line)
        return None

    async def _mend(self, row: Counted, look: Look) -> bool:
        """False where the row has changed since the look, and has to be counted again."""
        update = Update(
            row.key,
            _SET,
            {"#count": row.attribute},
            {":counted": look.counted},
            _as_stored(row.attribute, look.stored),
        )
        try:
            await self.table().transact([update], token=self.new_token())
        except TransactionCancelled:
            return False
        return True

    # What is counted.

    async def _rows(self) -> AsyncIterator[Sequence[Counted]]:
        async for chunk in self._chunks(categories.by_name(self.keys, _FIELD)):
            self.result.categories += len(chunk)
            yield [self._category(slug) for slug in chunk]
        seen: set[str] = set()
        for status in ProductStatus:
            listing = products.with_status(self.keys, _FIELD, status, descending=False)
            async for chunk in self._chunks(listing):
                # A product that changes its status meanwhile may stand in two lists.
                fresh = [product_id for product_id in chunk if product_id not in seen]
                seen.update(fresh)
                self.result.products += len(fresh)
                if fresh:
                    yield [self._product(product_id) for product_id in fresh]

    async def _chunks(self, listing: Listing) -> AsyncIterator[list[str]]:
        """IDs, which sort keys end in."""
        keys = replace(listing, keys_only=True)
        batches = keys.batches(self.table(), backward=False, start=None, limit=_ROWS_A_CALL)
        async for batch in batches:
            found = [place.position.rpartition("#")[2] for place in batch.places]
            for start in range(0, len(found), _AT_ONCE):
                yield found[start : start + _AT_ONCE]

    def _category(self, slug: str) -> Counted:
        async def look() -> Look | None:
            key = self.keys.category(slug)
            row = (await self.table().batch_get([key], consistent=True)).get(key)
            if row is None:
                return None
            shelf = self.keys.category_products(slug, ProductStatus.ACTIVE)
            counted = 0
            async for rows in self._pages(Query(shelf, index=GSI1, keys_only=True)):
                counted += len(rows)
            return Look(row.get("productCount"), counted)

        name = f"{self.keys.tenant}: category {slug}"
        return Counted(name, self.keys.category(slug), "productCount", look)

    def _product(self, product_id: str) -> Counted:
        key = self.keys.product(product_id)

        async def look() -> Look | None:
            """The product and its reviews are one partition."""
            there, stored, counted = False, None, [0] * _STARS
            async for rows in self._pages(Query(key.pk), consistent=True):
                for row in rows:
                    if row.get("entity") == Product.__name__:
                        there, stored = True, row.get("histogram")
                for stars in _stars(rows):
                    counted[stars - 1] += 1
            return Look(stored, counted) if there else None

        return Counted(f"{self.keys.tenant}: product {product_id}", key, "histogram", look)

    async def _pages(
        self, query: Query, *, consistent: bool = False
    ) -> AsyncIterator[Sequence[Row]]:
        start = None
        while True:
            page = await self.table().query(
                query, limit=_ROWS_A_CALL, start=start, consistent=consistent
            )
            yield page.rows
            if page.start is None:
                return
            start = page.start


def _stars(rows: Iterable[Row]) -> list[int]:
    """Of the reviews among the rows; others than one to five are not counted anywhere."""
    given = [row.get("rating") for row in rows if row.get("entity") == Review.__name__]
    return [stars for stars in given if isinstance(stars, int) and 1 <= stars <= _STARS]


def _as_stored(attribute: str, stored: Count | None) -> Condition:
    """That the row still says what it said; a row that is gone is not made anew."""
    if stored is None:
        return Condition(_STILL_ABSENT, {"#pk": PK, "#count": attribute})
    return Condition(_UNCHANGED, {"#count": attribute}, {":stored": stored})


def _total(count: Count) -> int:
    return count if isinstance(count, int) else sum(count)


def _shown(count: Any) -> str:
    return " ".join(map(str, count)) if isinstance(count, list) else str(count or 0)
