"""Exports read and written as Parquet."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from datasources.errors import CartographError, ConfigurationError
from datasources.items import Item
from datasources.keys import Keys
from datasources.operating import archive as archiving
from datasources.operating.archive import archive
from datasources.operating.exported import BucketFiles, Files, FolderFiles, open_export
from tests.support import exported, items

KEYS = Keys("north", 1)
AT = datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)
MICROS = int(AT.timestamp()) * 1_000_000 + 250_000


def row(item: Item, key: tuple[str, str]) -> dict[str, Any]:
    return {"PK": key[0], "SK": key[1], **item.to_attributes()}


USERS = [row(items.user(n), KEYS.user(f"user-{n}")) for n in range(3)]
ORDER = items.order(1)
ORDERS = [row(ORDER, KEYS.order(ORDER.user_id, ORDER.id))]


async def archived(files: Files, out: Path) -> dict[str, int]:
    return await archive(await open_export(files), out, lambda _line: None)


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


async def test_each_kind_of_item_has_its_file_with_its_fields(tmp_path: Path) -> None:
    objects = exported.files([exported.full(USERS[:2]), exported.full([USERS[2], *ORDERS])])
    out = tmp_path / "shop.parquet"

    counts = await archived(FolderFiles(exported.copied(objects, tmp_path)), out)

    assert counts == {"User": 3, "Order": 1}
    assert sorted(path.name for path in out.iterdir()) == ["order.parquet", "user.parquet"]
    users = read(out / "user.parquet")
    assert [user["id"] for user in users] == ["user-0", "user-1", "user-2"]
    assert users[0]["tenant"] == "north"
    assert users[0]["createdAt"] == items.moment(0)
    assert users[0]["emailVerified"] is False
    [order] = read(out / "order.parquet")
    assert order["total"] == ORDER.total
    assert order["items"][0]["unitPrice"] == ORDER.items[0].unit_price
    assert order["history"][0]["status"] == ORDER.history[0].status


async def test_an_export_is_read_from_s3_as_from_a_folder(tmp_path: Path) -> None:
    objects = exported.files([exported.full([*USERS, *ORDERS])])
    client = exported.Bucket(objects)

    counts = await archived(BucketFiles(client, "archive", exported.PLACE), tmp_path / "out")

    assert counts == {"User": 3, "Order": 1}


@pytest.mark.parametrize("beside", [True, False])
async def test_changes_are_told_with_their_time(tmp_path: Path, beside: bool) -> None:
    older = {**USERS[0], "username": "older"}
    changes = [
        exported.change(None, USERS[0], MICROS),
        exported.change(older, USERS[1], MICROS + 1),
        exported.change(USERS[2], None, MICROS + 2),
    ]
    objects = exported.incremental(changes)
    folder = exported.copied(objects, tmp_path)
    if not beside:  # as somebody may have copied it
        (folder.parent / "data").rename(folder / "data")

    await archived(FolderFiles(folder), tmp_path / "out")

    users = read(tmp_path / "out" / "user.parquet")
    assert [user["change"] for user in users] == ["INSERT", "MODIFY", "REMOVE"]
    assert [user["id"] for user in users] == ["user-0", "user-1", "user-2"]
    assert users[0]["changedAt"] == AT


async def test_changes_are_read_from_s3_where_all_exports_of_changes_have_them(
    tmp_path: Path,
) -> None:
    client = exported.Bucket(exported.incremental([exported.change(None, USERS[0], MICROS)]))

    counts = await archived(BucketFiles(client, "archive", exported.PLACE), tmp_path / "out")

    assert counts == {"User": 1}


@pytest.mark.parametrize("of", ["rows", "changes"])
async def test_an_export_is_read_where_it_is_whatever_prefix_its_keys_have(
    tmp_path: Path, of: str
) -> None:
    """The keys in the Developer Guide's examples have none; what was copied had another."""
    changes = [exported.change(None, USERS[0], MICROS)]
    objects = (
        exported.files([exported.full(USERS[:1])])
        if of == "rows"
        else exported.incremental(changes)
    )
    objects = {
        key: content.replace(b'"backups/AWSDynamoDB/', b'"AWSDynamoDB/')
        for key, content in objects.items()
    }

    files = BucketFiles(exported.Bucket(objects), "archive", exported.PLACE)
    assert await archived(files, tmp_path / "out") == {"User": 1}


@pytest.mark.parametrize("written", [{"N": str(MICROS)}, str(MICROS), MICROS])
async def test_the_time_of_a_change_is_read_as_an_attribute_or_plain(
    tmp_path: Path, written: object
) -> None:
    change = exported.change(None, USERS[0], 0) | {"Metadata": {"WriteTimestampMicros": written}}
    client = exported.Bucket(exported.incremental([change]))

    await archived(BucketFiles(client, "archive", exported.PLACE), tmp_path / "out")

    [user] = read(tmp_path / "out" / "user.parquet")
    assert user["changedAt"] == AT


async def test_of_a_removed_row_without_its_image_the_keys_are_kept(tmp_path: Path) -> None:
    change = exported.change(USERS[0], None, MICROS)
    del change["OldImage"]
    client = exported.Bucket(exported.incremental([change]))

    await archived(BucketFiles(client, "archive", exported.PLACE), tmp_path / "out")

    [other] = read(tmp_path / "out" / "other.parquet")
    assert (other["change"], other["partition"]) == ("REMOVE", USERS[0]["PK"])


async def test_an_empty_partition_has_an_empty_file(tmp_path: Path) -> None:
    objects = exported.files([[], exported.full(USERS), []])
    assert b"" in objects.values()

    counts = await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")

    assert counts == {"User": 3}


async def test_rows_that_hold_no_item_are_kept_as_they_are(tmp_path: Path) -> None:
    strange: list[Mapping[str, Any]] = [
        {"Item": {"PK": {"S": "x"}, "SK": {"S": "y"}, "ratio": {"N": "0.5"}}},
        {"Item": {"PK": {"S": "x"}, "SK": {"S": "z"}, "entity": {"S": "Robot"}}},
        {"Item": {"PK": {"S": "x"}, "entity": {"S": "User"}}},
        {"Item": {"PK": {"B": "eA=="}, "SK": {"S": "z"}, "entity": {"BOOL": True}}},
    ]
    objects = exported.files([strange])

    counts = await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")

    assert counts == {"other": 4}
    others = read(tmp_path / "out" / "other.parquet")
    assert [other["sort"] for other in others] == ["y", "z", None, "z"]
    assert [other["partition"] for other in others] == ["x", "x", "x", None]
    assert '"0.5"' in others[0]["row"]


async def test_every_kind_of_item_has_columns(tmp_path: Path) -> None:
    for name, kind in Item.entities.items():
        if kind.__module__ == Item.__module__:
            columns = pyarrow.schema(archiving._fields(kind, pyarrow))
            assert len(columns) == len(kind.__struct_fields__), name


async def test_many_rows_are_written_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "_ROWS_AT_ONCE", 2)
    objects = exported.files([exported.full(USERS)])

    await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")

    file = pyarrow.parquet.ParquetFile(tmp_path / "out" / "user.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(2)] == [2, 1]


# --- what is wrong --------------------------------------------------------------------------


def broken(objects: dict[str, bytes], name: str, content: bytes | None) -> dict[str, bytes]:
    [key] = (each for each in objects if each.endswith(name))
    rest = {each: value for each, value in objects.items() if each != key}
    return rest if content is None else {**rest, key: content}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("manifest-summary.json", None, "should be the folder of a finished export"),
        ("manifest-summary.json", b"{}", "is not as DynamoDB writes it"),
        ("manifest-files.json", None, "manifest-files.json"),
        ("manifest-files.json", b"nothing", "manifest-files.json is not as"),
        ("manifest-files.json", b"", "is of 0 items where 3 were exported"),
        ("0.json.gz", None, "0.json.gz"),
        ("0.json.gz", b"other", "differs from what was exported"),
    ],
)
async def test_an_export_that_is_not_whole_is_refused(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    objects = broken(exported.files([exported.full(USERS)]), name, content)

    with pytest.raises(CartographError, match=why):
        await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")

    assert not any(each.startswith("out") for each in os.listdir(tmp_path))


async def test_a_file_with_fewer_items_than_were_exported_is_refused(tmp_path: Path) -> None:
    objects = exported.files([exported.full(USERS)])
    for key, content in objects.items():
        objects[key] = content.replace(b'"itemCount": 3', b'"itemCount": 4')

    with pytest.raises(CartographError, match="has 3 items where 4 were exported"):
        await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")


async def test_what_is_no_json_in_a_file_is_refused(tmp_path: Path) -> None:
    lines: Sequence[Any] = [{"Item": 5}]
    for objects in (exported.files([[lines]]), exported.files([["x"]])):  # type: ignore[list-item]
        with pytest.raises(CartographError, match="not as DynamoDB writes it"):
            await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")


CHANGE = exported.change(None, USERS[0], MICROS)


@pytest.mark.parametrize(
    ("objects", "line"),
    [
        (exported.files, {}),
        (exported.files, CHANGE),
        (exported.incremental, {}),
        (exported.incremental, {"Item": CHANGE["NewImage"]}),
        (exported.incremental, {**CHANGE, "Metadata": {}}),
        (exported.incremental, {**CHANGE, "Metadata": {"WriteTimestampMicros": "noon"}}),
        (exported.incremental, {**CHANGE, "Metadata": {"WriteTimestampMicros": 10**40}}),
        (exported.incremental, {key: CHANGE[key] for key in ("Keys", "NewImage")}),
    ],
)
async def test_a_line_that_such_an_export_has_none_of_is_refused(
    tmp_path: Path, objects: Any, line: dict[str, Any]
) -> None:
    found = objects([[line]] if objects is exported.files else [line])

    with pytest.raises(CartographError, match="not as DynamoDB writes it"):
        await archived(FolderFiles(exported.copied(found, tmp_path)), tmp_path / "out")


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"outputFormat": "ION"}, "it is ION, not DYNAMODB_JSON"),
        ({"exportType": "DIFFERENTIAL_EXPORT"}, "it is a DIFFERENTIAL_EXPORT"),
        ({"exportType": "INCREMENTAL_EXPORT", "outputView": "NEW_IMAGE"}, "it has NEW_IMAGE, not"),
        ({"exportType": "INCREMENTAL_EXPORT", "outputView": "NEW_IMAGES"}, "it has NEW_IMAGES, "),
        ({"exportType": "INCREMENTAL_EXPORT"}, "of its changes it has None, not"),
    ],
)
async def test_an_export_of_another_format_is_refused(
    tmp_path: Path, about: dict[str, str], why: str
) -> None:
    folder = exported.copied(exported.files([], **about), tmp_path)

    with pytest.raises(ConfigurationError, match=why):
        await open_export(FolderFiles(folder))


async def test_an_export_that_is_not_in_the_bucket_is_said_so() -> None:
    with pytest.raises(CartographError, match=r"NoSuchKey: .* check that the export has ended"):
        await open_export(BucketFiles(exported.Bucket({}), "archive", exported.PLACE))


async def test_a_number_that_no_column_has_is_told_in_one_line(tmp_path: Path) -> None:
    rich = {**USERS[0], "version": 2**70}
    objects = exported.files([exported.full([rich])])

    with pytest.raises(CartographError, match="no column of Parquet"):
        await archived(FolderFiles(exported.copied(objects, tmp_path)), tmp_path / "out")


async def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    files = FolderFiles(exported.copied(exported.files([]), tmp_path))

    with pytest.raises(ConfigurationError, match="should be a new folder"):
        await archived(files, tmp_path / "missing" / "out")


async def test_without_pyarrow_it_is_said_how_to_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [each for each in sys.modules if each.startswith("pyarrow")]:
        monkeypatch.delitem(sys.modules, name)
    files = FolderFiles(exported.copied(exported.files([]), tmp_path))

    with pytest.raises(ConfigurationError, match=r"pip install 'cartograph\[archive\]'"):
        await archived(files, tmp_path / "out")
