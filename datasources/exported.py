"""A finished export, read: its manifests and its data files, from S3 or from a folder that they
were copied to. The format is that of "DynamoDB table export output format" in the Developer Guide.
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
from datasources.refusals import explained

S = TypeVar("S", bound=Struct)
Change = Literal["INSERT", "MODIFY", "REMOVE"]  # as streams have it

SUMMARY = "manifest-summary.json"
_FORMAT = "DYNAMODB_JSON"
_UNREAD = "The export cannot be read"


class Summary(Struct, frozen=True):
    """`manifest` is the key of the list of data files."""

    manifest: str = field(name="manifestFilesS3Key")
    items: int = field(name="itemCount")
    format: str = field(name="outputFormat")
    type: str = field(name="exportType", default="FULL_EXPORT")
    view: str | None = field(name="outputView", default=None)


class DataFile(Struct, frozen=True):
    items: int = field(name="itemCount")
    md5: str = field(name="md5Checksum")  # in base64
    key: str = field(name="dataFileS3Key")

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name


# msgspec has no Raw that is optional.
_NOTHING = Raw()


def _is_there(part: Raw) -> bool:
    return len(memoryview(part)) > 0


class _Number(Struct, frozen=True):
    number: str = field(name="N")


class _Metadata(Struct, frozen=True):
    written: _Number | None = field(name="WriteTimestampMicros", default=None)


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
        written = self.metadata and self.metadata.written
        if not written:
            return None
        seconds, micros = divmod(int(written.number), 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


class Files(Protocol):
    """Where an export is kept."""

    async def text(self, key: str) -> bytes:
        """A whole small file by its key, or by its name in the export's own folder."""

    async def fetch(self, key: str, to: Path) -> None: ...


@dataclass(frozen=True)
class FolderFiles:
    """A copy of the folder that has the manifests. The data files are in `data`, in it or, of an
    incremental export, beside it."""

    folder: Path

    async def text(self, key: str) -> bytes:
        return self._read(self.folder / PurePosixPath(key).name)

    async def fetch(self, key: str, to: Path) -> None:
        name = PurePosixPath(key).name
        inside, beside = (each / "data" / name for each in (self.folder, self.folder.parent))
        try:
            shutil.copyfile(inside if inside.exists() else beside, to)
        except OSError as error:
            raise _unreadable(inside, error) from None

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from None


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

    async def text(self, key: str) -> bytes:
        with explained(_UNREAD):
            key = key if "/" in key else f"{self.folder}/{key}"
            answer = await self.client.get_object(Bucket=self.bucket, Key=key)
            content: bytes = await answer["Body"].read()
        return content

    async def fetch(self, key: str, to: Path) -> None:
        with explained(_UNREAD):
            answer = await self.client.get_object(Bucket=self.bucket, Key=key)
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
        return self.summary.type == "INCREMENTAL_EXPORT"

    async def entries(self) -> AsyncIterator[list[Entry]]:
        """All of it, in lists of many. CartographError for a file that is not as it was
        exported."""
        manifest = await self.files.text(self.summary.manifest)
        with TemporaryDirectory(prefix="cartograph-") as folder:
            copy = Path(folder) / "data.json.gz"
            for line in manifest.splitlines():
                data = _decoded(line, DataFile, "its list of files")
                await self.files.fetch(data.key, copy)
                for entries in _read(copy, data):
                    yield entries


async def open_export(files: Files) -> Exported:
    summary = _decoded(await files.text(SUMMARY), Summary, SUMMARY)
    if summary.format != _FORMAT:
        raise ConfigurationError(f"{_UNREAD}: it is {summary.format}, not {_FORMAT}.")
    if summary.view == "NEW_IMAGE":
        raise ConfigurationError(f"{_UNREAD}: of its changes it has the new images alone.")
    return Exported(files, summary)


def _decoded(text: bytes, kind: type[S], what: str) -> S:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        raise CartographError(f"{_UNREAD}: {what} is not as DynamoDB writes it.") from None


_decode_entry = msgspec.json.Decoder(Entry).decode
_ENTRIES = 10_000


def _read(path: Path, data: DataFile) -> Iterator[list[Entry]]:
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
                entries.append(_decode_entry(line))
                if len(entries) == _ENTRIES:
                    count += len(entries)
                    yield entries
                    entries = []
        count += len(entries)
        yield entries
    except (msgspec.DecodeError, EOFError, gzip.BadGzipFile, zlib.error):
        raise CartographError(f"{_UNREAD}: {data.name} is not as DynamoDB writes it.") from None
    if count != data.items:
        raise CartographError(
            f"{_UNREAD}: {data.name} has {count:,} items where {data.items:,} were exported."
        )
