"""A finished export, read: its manifests and its data files, from S3 or from a folder that they
were copied to. The format is that of "DynamoDB table export output format" in the Developer Guide;
what is not as it says is refused, and so is what it allows and is not read here: Ion, and changes
without their old images.

The manifests and the data files of a full export are in a folder of the export's own,
`AWSDynamoDB/ID`; the data files of all incremental exports share `AWSDynamoDB/data`. Of the keys in
the manifests only that is believed: the guide's examples are without the prefix of the export, and
what was copied has another.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from datasources.client import FilesClient
from datasources.errors import CartographError, ConfigurationError
from datasources.operating.refusals import explained

S = TypeVar("S", bound=Struct)
Change = Literal["INSERT", "MODIFY", "REMOVE"]  # as streams have it

SUMMARY = "manifest-summary.json"
_LIST = "manifest-files.json"
_DATA = "data"
_SHARED = "AWSDynamoDB"  # the folder of all exports under a prefix
_FORMAT = "DYNAMODB_JSON"
_FULL, _INCREMENTAL = "FULL_EXPORT", "INCREMENTAL_EXPORT"
_BOTH = "NEW_AND_OLD_IMAGES"
_UNREAD = "The export cannot be read"


class Summary(Struct, frozen=True):
    """A full export need not say its type, an incremental one has a view as well."""

    items: int = field(name="itemCount")
    format: str = field(name="outputFormat")
    type: str = field(name="exportType", default=_FULL)
    view: str | None = field(name="outputView", default=None)


class DataFile(Struct, frozen=True):
    items: int = field(name="itemCount")
    md5: str = field(name="md5Checksum")  # in base64
    key: str = field(name="dataFileS3Key")

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def is_shared(self) -> bool:
        """Whether it is in the folder that incremental exports share."""
        return PurePosixPath(self.key).parts[-3:-1] == (_SHARED, _DATA)


# msgspec has no Raw that is optional.
_NOTHING = Raw()


def _is_there(part: Raw) -> bool:
    return len(memoryview(part)) > 0


class _Number(Struct, frozen=True):
    number: str = field(name="N")


class _Metadata(Struct, frozen=True):
    # An attribute value; the guide's example has it as plain text.
    written: _Number | str | int = field(name="WriteTimestampMicros")

    @property
    def micros(self) -> int:
        return int(self.written.number if isinstance(self.written, _Number) else self.written)


class Entry(Struct, frozen=True):
    """A line of a data file: of a full export an item, of an incremental one a change."""

    item: Raw = field(name="Item", default=_NOTHING)
    keys: Raw = field(name="Keys", default=_NOTHING)
    old: Raw = field(name="OldImage", default=_NOTHING)
    new: Raw = field(name="NewImage", default=_NOTHING)
    metadata: _Metadata | None = field(name="Metadata", default=None)

    @property
    def row(self) -> Raw:
        """The row, of a removed one what it was at last, or its keys if that is not known."""
        known = (each for each in (self.item, self.new, self.old, self.keys) if _is_there(each))
        return next(known, Raw(b"{}"))

    @property
    def change(self) -> Change:
        if not _is_there(self.new):
            return "REMOVE"
        return "MODIFY" if _is_there(self.old) else "INSERT"

    @property
    def changed_at(self) -> datetime | None:
        if not self.metadata:
            return None
        seconds, micros = divmod(self.metadata.micros, 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)

    def is_of(self, summary: Summary) -> bool:
        """Whether exports of its type have such a line."""
        if summary.type == _FULL:
            return _is_there(self.item)
        return _is_there(self.keys) and self.changed_at is not None


class Files(Protocol):
    """Where an export is kept."""

    async def text(self, name: str) -> bytes:
        """A manifest, whole."""

    async def fetch(self, data: DataFile, to: Path) -> None:
        """Copies a data file."""


@dataclass(frozen=True)
class FolderFiles:
    """A copy of the folder that has the manifests. The data files are in `data`, in it or, of an
    incremental export, beside it."""

    folder: Path

    async def text(self, name: str) -> bytes:
        path = self.folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from None

    async def fetch(self, data: DataFile, to: Path) -> None:
        places = [each / _DATA / data.name for each in (self.folder, self.folder.parent)]
        try:
            shutil.copyfile(next((each for each in places if each.exists()), places[0]), to)
        except OSError as error:
            raise _unreadable(places[0], error) from None


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{_UNREAD}: {path}: {error.strerror}; should be the folder of a finished export, "
        f"which has a {SUMMARY}."
    )


@dataclass(frozen=True)
class BucketFiles:
    client: FilesClient
    bucket: str
    folder: str

    async def text(self, name: str) -> bytes:
        with explained(_UNREAD):
            answer = await self.client.get_object(Bucket=self.bucket, Key=f"{self.folder}/{name}")
            content: bytes = await answer["Body"].read()
        return content

    async def fetch(self, data: DataFile, to: Path) -> None:
        folder = PurePosixPath(self.folder)
        key = (folder.parent if data.is_shared else folder) / _DATA / data.name
        with explained(_UNREAD):
            answer = await self.client.get_object(Bucket=self.bucket, Key=str(key))
            with to.open("wb") as file:
                async for chunk in answer["Body"].iter_chunks(1 << 20):
                    file.write(chunk)


@dataclass(frozen=True)
class Exported:
    """An export that has ended."""

    files: Files
    summary: Summary

    @property
    def is_incremental(self) -> bool:
        return self.summary.type == _INCREMENTAL

    async def entries(self) -> AsyncIterator[list[Entry]]:
        """All of it, in lists of many. CartographError for a file that is not as it was exported,
        or if there is none for some of it."""
        manifest = await self.files.text(_LIST)
        listed = [_decoded(line, DataFile, _LIST) for line in manifest.splitlines() if line.strip()]
        count, exported = sum(data.items for data in listed), self.summary.items
        if count != exported:
            raise CartographError(
                f"{_UNREAD}: {_LIST} is of {count:,} items where {exported:,} were exported; "
                "copy it again."
            )
        with TemporaryDirectory(prefix="cartograph-") as folder:
            copy = Path(folder) / "data.json.gz"
            for data in listed:
                await self.files.fetch(data, copy)
                for entries in _read(copy, data, self.summary):
                    yield entries


async def open_export(files: Files) -> Exported:
    """ConfigurationError for an export of a format that is not read here."""
    summary = _decoded(await files.text(SUMMARY), Summary, SUMMARY)
    if summary.format != _FORMAT:
        raise ConfigurationError(f"{_UNREAD}: it is {summary.format}, not {_FORMAT}.")
    if summary.type not in {_FULL, _INCREMENTAL}:
        raise ConfigurationError(
            f"{_UNREAD}: it is a {summary.type}, not a {_FULL} or an {_INCREMENTAL}."
        )
    if summary.type == _INCREMENTAL and summary.view != _BOTH:
        raise ConfigurationError(f"{_UNREAD}: of its changes it has {summary.view}, not {_BOTH}.")
    return Exported(files, summary)


def _decoded(text: bytes, kind: type[S], what: str) -> S:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        raise CartographError(f"{_UNREAD}: {what} is not as DynamoDB writes it.") from None


_decode = msgspec.json.Decoder(Entry).decode
_ENTRIES = 10_000


def _entry(line: bytes, summary: Summary) -> Entry:
    entry = _decode(line)
    if not entry.is_of(summary):
        raise ValueError
    return entry


def _read(path: Path, data: DataFile, summary: Summary) -> Iterator[list[Entry]]:
    """An empty partition has an empty file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if base64.b64encode(digest).decode() != data.md5:
        raise CartographError(
            f"{_UNREAD}: {data.name} differs from what was exported; copy it again."
        )
    count = 0
    try:
        with gzip.open(path, "rb") as lines:
            entries: list[Entry] = []
            for line in lines:
                entries.append(_entry(line, summary))
                if len(entries) == _ENTRIES:
                    count += len(entries)
                    yield entries
                    entries = []
        count += len(entries)
        yield entries
    except (ValueError, OverflowError, EOFError, gzip.BadGzipFile, zlib.error):
        raise CartographError(f"{_UNREAD}: {data.name} is not as DynamoDB writes it.") from None
    if count != data.items:
        raise CartographError(
            f"{_UNREAD}: {data.name} has {count:,} items where {data.items:,} were exported."
        )
