"""Writes many rows, several batches side by side."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from tqdm import tqdm

from datasources.errors import ServiceUnavailable, Throttled
from datasources.items import Category, Row
from datasources.keys import LOADED, PK, SK, Key
from datasources.table import BATCH_WRITE_ROWS, Table, gather

_SECONDS_A_BATCH = 60.0
_LONGEST_PAUSE = 1.0


async def load(
    table: Table,
    rows: Iterable[Row],
    *,
    total: int | None = None,
    concurrency: int = 8,
    progress: bool = False,
) -> int:
    """Puts all rows and returns how many; with `progress`, a bar on stderr grows to `total`.

    The table's own deadline is not heeded: each batch gets one of its own. A category that is
    there already stays as it is, and its count grows by that of the row. Rows are marked as
    loaded: what counts them is among them.
    """
    batches = _batches(rows)
    with tqdm(
        total=total, unit=" rows", unit_scale=True, disable=not progress, file=sys.stderr
    ) as bar:

        async def write() -> int:
            written = 0
            for batch in batches:  # shared: each batch is drawn by one writer
                await _write(table, batch)
                bar.update(len(batch))
                written += len(batch)
            return written

        return sum(await gather(*(write() for _ in range(concurrency))))


def _batches(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    rest = iter(rows)
    while batch := [{**row, LOADED: True} for row in islice(rest, BATCH_WRITE_ROWS)]:
        yield batch


async def _write(table: Table, batch: Sequence[Row]) -> None:
    """Writes one batch, going on where the table gives up: a caller would have left by then,
    but a load may wait until the store has grown to its pace."""
    clock = asyncio.get_running_loop().time
    patient = replace(table, deadline=clock() + _SECONDS_A_BATCH)
    rows = await _with_counts(patient, batch)
    while True:
        try:
            return await patient.batch_write(rows)
        except (Throttled, ServiceUnavailable):
            pause = table.jitter(0, _LONGEST_PAUSE)
            if clock() + pause >= patient.deadline:
                raise
            await asyncio.sleep(pause)


async def _with_counts(table: Table, batch: Sequence[Row]) -> Sequence[Row]:
    """The batch, each category in it joined with the one that is there."""
    counted = [_key(row) for row in batch if row["entity"] == Category.__name__]
    if not counted:
        return batch
    there = await table.batch_get(counted, consistent=True)
    return [_joined(row, there.get(_key(row))) for row in batch]


def _joined(row: Row, there: Row | None) -> Row:
    if there is None:
        return row
    return {**there, "productCount": there["productCount"] + row["productCount"]}


def _key(row: Row) -> Key:
    return Key(row[PK], row[SK])
