import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from datasources import categories
from datasources.errors import DeadlineExceeded, ServiceUnavailable, StoreError, Throttled
from datasources.items import Category, Row
from datasources.keys import LOADED, PK, SK, Key, Keys
from datasources.seed.chance import moment
from datasources.seed.load import load
from datasources.table import Table

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

KEYS = Keys("shop", 4)


@dataclass
class Notes:
    """What a table was asked for, over all its copies."""

    batches: list[list[Row]] = field(default_factory=list)
    writing: int = 0
    most_writing: int = 0
    time_left: list[float] = field(default_factory=list)


@dataclass
class ScriptedTable(Table):
    """Keeps what is written; `faults` are raised first, one a call; `there` was there before."""

    notes: Notes = field(default_factory=Notes)
    faults: list[StoreError] = field(default_factory=list)
    there: dict[Key, Row] = field(default_factory=dict)

    async def batch_write(self, rows: Sequence[Row]) -> None:
        notes = self.notes
        notes.writing += 1
        notes.most_writing = max(notes.most_writing, notes.writing)
        notes.time_left.append(self.deadline - asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        notes.writing -= 1
        if self.faults:
            raise self.faults.pop(0)
        notes.batches.append(list(rows))

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = False) -> dict[Key, Row]:
        assert consistent
        return {key: self.there[key] for key in keys if key in self.there}


def table(**state: Any) -> ScriptedTable:
    client = cast("DynamoDBClient", None)
    return ScriptedTable(client, "table", 0.0, jitter=lambda low, high: 0.0, **state)


def plain(count: int) -> list[Row]:
    return [{PK: f"shop#USER#{n}", SK: "PROFILE", "entity": "User"} for n in range(count)]


def category(slug: str, name: str, count: int) -> dict[str, Any]:
    at = moment(0)
    item = Category(slug=slug, name=name, product_count=count, created_at=at, updated_at=at)
    return categories.row(KEYS, item)


async def test_every_row_is_written_once_in_batches_of_25() -> None:
    to = table()
    assert await load(to, iter(plain(101))) == 101
    assert sorted(map(len, to.notes.batches)) == [1, 25, 25, 25, 25]
    written = [row[PK] for batch in to.notes.batches for row in batch]
    assert sorted(written) == sorted(row[PK] for row in plain(101))


async def test_as_many_batches_are_under_way_as_was_said() -> None:
    to = table()
    await load(to, plain(500), concurrency=3)
    assert to.notes.most_writing == 3


async def test_rows_are_drawn_as_they_are_written() -> None:
    drawn = 0

    def rows() -> Iterable[Row]:
        nonlocal drawn
        for row in plain(1_000):
            drawn += 1
            yield row

    to = table(faults=[StoreError("Refused.")])
    with pytest.raises(StoreError, match="Refused"):
        await load(to, rows(), concurrency=2)
    assert drawn <= 100


async def test_each_batch_has_time_whatever_the_tables_own_deadline() -> None:
    to = table()
    await load(to, plain(50))
    assert all(left > 10 for left in to.notes.time_left)


@pytest.mark.parametrize("fault", [Throttled("Slower."), ServiceUnavailable("Not now.")])
async def test_a_store_that_cannot_keep_pace_is_waited_for(fault: StoreError) -> None:
    to = table(faults=[fault] * 7)
    assert await load(to, plain(60), concurrency=2) == 60
    assert sum(map(len, to.notes.batches)) == 60


@pytest.mark.parametrize("fault", [StoreError("Refused."), DeadlineExceeded("Too long.")])
async def test_what_waiting_does_not_mend_ends_the_load(fault: StoreError) -> None:
    with pytest.raises(type(fault)):
        await load(table(faults=[fault]), plain(60))


async def test_a_category_that_is_there_stays_and_its_count_grows() -> None:
    old, kept = category("books", "Books", 5), category("toys", "Toys", 7)
    there = {Key(old[PK], old[SK]): old, Key(kept[PK], kept[SK]): kept}
    to = table(there=there)
    await load(to, [category("books", "本", 3), category("food", "食品", 2), *plain(3)])

    [batch] = to.notes.batches
    new = [{**row, LOADED: True} for row in (category("food", "食品", 2), *plain(3))]
    assert batch == [{**old, "productCount": 8}, *new]


async def test_the_bar_grows_to_the_total_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    await load(table(), plain(60), total=60, progress=True)
    out, err = capsys.readouterr()
    assert "60.0/60.0" in err
    assert out == ""


async def test_without_progress_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    await load(table(), plain(60), total=60)
    assert capsys.readouterr() == ("", "")
