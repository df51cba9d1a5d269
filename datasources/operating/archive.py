"""Rows as Parquet files, one for each kind of item, with the item's fields as columns.

pyarrow is an extra of the project, and imported where it is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from datasources.errors import CartographError, ConfigurationError, StoreError
from datasources.items import Item, from_row
from datasources.keys import PK, SK, tenant_of
from datasources.operating.exported import Entry, Exported
from datasources.rows import StoredRow

# Of what holds no item of the shop: newer kinds, broken rows, rows of others.
OTHER = "other"

Columns = dict[str, Any]

_KEYS = ("partition", "sort")
_ROWS_AT_ONCE = 20_000
_ITEMS_A_REPORT = 500_000


async def archive(
    exported: Exported, folder: Path, report: Callable[[str], None]
) -> dict[str, int]:
    """Writes what was exported into files of a new folder; returns the rows of each kind.

    Rows of an incremental export have columns `change` and `changedAt` besides.
    """
    arrow, parquet = _pyarrow()
    part = folder.with_name(f"{folder.name}.part")
    try:
        part.mkdir()
        try:
            writing = _Writing(part, arrow, parquet, exported.is_incremental)
            read = 0
            with ExitStack() as stack:
                async for entries in exported.entries():
                    writing.add(entries, stack)
                    before, read = read, read + len(entries)
                    if read // _ITEMS_A_REPORT > before // _ITEMS_A_REPORT:
                        report(f"{read:,} items so far")
                writing.flush()
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"OUT: {error.filename or folder} cannot be written: {error.strerror}; "
            "should be a new folder."
        ) from None
    except (arrow.ArrowInvalid, OverflowError):
        raise CartographError("An item has a number that no column of Parquet has.") from None
    return {name: kind.count for name, kind in writing.kinds.items()}


@dataclass
class _Kind:
    """Items of one kind: those that are still to be written, and how many there were."""

    writer: Any
    rows: list[Columns] = field(default_factory=list)
    count: int = 0


@dataclass
class _Writing:
    folder: Path
    arrow: ModuleType
    parquet: ModuleType
    with_changes: bool
    kinds: dict[str, _Kind] = field(default_factory=dict)

    def add(self, entries: list[Entry], stack: ExitStack) -> None:
        """The files are closed with the `stack`."""
        for entry in entries:
            name, columns = _of_row(entry.row)
            if self.with_changes:
                columns |= {"change": entry.change, "changedAt": entry.changed_at}
            kind = self.kinds.get(name)
            if kind is None:
                kind = self.kinds[name] = _Kind(stack.enter_context(self._writer(name)))
            kind.rows.append(columns)
            kind.count += 1
            if len(kind.rows) == _ROWS_AT_ONCE:
                self._write(kind)

    def flush(self) -> None:
        for kind in self.kinds.values():
            self._write(kind)

    def _write(self, kind: _Kind) -> None:
        kind.writer.write_table(self.arrow.Table.from_pylist(kind.rows, schema=kind.writer.schema))
        kind.rows.clear()

    def _writer(self, name: str) -> Any:
        item = Item.entities.get(name)
        text = self.arrow.string()
        if item:
            columns = [("tenant", text), *_fields(item, self.arrow)]
        else:
            columns = [(each, text) for each in (*_KEYS, "row")]
        if self.with_changes:
            columns += [("change", text), ("changedAt", self.arrow.timestamp("us", "UTC"))]
        path = self.folder / f"{name.lower()}.parquet"
        return self.parquet.ParquetWriter(path, self.arrow.schema(columns), compression="zstd")


def _of_row(json: Raw) -> tuple[str, Columns]:
    """The kind of a row's item, and its columns."""
    row = StoredRow(json)
    try:
        item = from_row(row)
        columns: Columns = msgspec.to_builtins(item, builtin_types=(datetime,))
        return type(item).__name__, {"tenant": tenant_of(row[PK]), **columns}
    except (StoreError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        values = msgspec.json.decode(json)
        keys = [values.get(name, {}).get("S") for name in (PK, SK)]
        return OTHER, {**dict(zip(_KEYS, keys, strict=True)), "row": bytes(json).decode()}


# --- the schema -----------------------------------------------------------------------------


def _fields(kind: type[Struct], arrow: ModuleType) -> list[tuple[str, Any]]:
    return [(each.encode_name, _type(each.type, arrow)) for each in msgspec.structs.fields(kind)]


def _type(kind: Any, arrow: ModuleType) -> Any:
    """The Arrow type of a field of an item."""
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        [kind] = (each for each in get_args(kind) if each is not NoneType)
        return _type(kind, arrow)
    if origin is Annotated:
        return _type(get_args(kind)[0], arrow)
    if origin is tuple:
        return arrow.list_(_type(get_args(kind)[0], arrow))
    if issubclass(kind, Struct):
        return arrow.struct(_fields(kind, arrow))
    if issubclass(kind, datetime):
        return arrow.timestamp("ms", "UTC")
    if issubclass(kind, bool):
        return arrow.bool_()
    return arrow.int64() if issubclass(kind, int) else arrow.string()


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError(
            "Parquet files are written by pyarrow, which is not installed: "
            "pip install 'cartograph[archive]'."
        ) from None
    return pyarrow, pyarrow.parquet
