"""Exports as DynamoDB writes them, and an S3 that keeps them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasources.attributes import encode_row
from tests.support.clients import failed

ID = "01693685827463-2d8752fd"
PLACE = f"backups/AWSDynamoDB/{ID}"
SHARED = "backups/AWSDynamoDB/data"
LIST = "manifest-files.json"
BOTH = "NEW_AND_OLD_IMAGES"


def full(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"Item": encode_row(row)} for row in rows]


def change(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, micros: int
) -> dict[str, Any]:
    known = new or old or {}
    keys = {name: known[name] for name in ("PK", "SK")}
    images = {"OldImage": old, "NewImage": new}
    return {
        "Metadata": {"WriteTimestampMicros": {"N": str(micros)}},
        "Keys": encode_row(keys),
        **{name: encode_row(image) for name, image in images.items() if image},
    }


def files(
    lists: Sequence[Sequence[Mapping[str, Any]]], *, data: str = f"{PLACE}/data", **summary: Any
) -> dict[str, bytes]:
    """The objects of an export by their keys: a data file for each list of lines."""
    # Of an empty partition there is an empty file.
    contents = [gzip.compress(b"".join(map(_line, lines))) if lines else b"" for lines in lists]
    entries = [
        {
            "itemCount": len(lines),
            "md5Checksum": base64.b64encode(hashlib.md5(content).digest()).decode(),  # noqa: S324
            "etag": "0-1",
            "dataFileS3Key": f"{data}/{number}.json.gz",
        }
        for number, (lines, content) in enumerate(zip(lists, contents, strict=True))
    ]
    about = {
        "version": "2020-06-30",
        "s3Bucket": "archive",
        "s3Prefix": "backups",
        "manifestFilesS3Key": f"{PLACE}/{LIST}",
        "itemCount": sum(map(len, lists)),
        "outputFormat": "DYNAMODB_JSON",
        **summary,
    }
    objects = {
        f"{PLACE}/manifest-summary.json": json.dumps(about).encode(),
        f"{PLACE}/{LIST}": b"".join(map(_line, entries)),
        f"{PLACE}/_started": b"",
    }
    for entry, content in zip(entries, contents, strict=True):
        objects[str(entry["dataFileS3Key"])] = content
    return objects


def incremental(changes: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """An export of changes, whose data file is where those of all exports of changes are."""
    return files([changes], data=SHARED, exportType="INCREMENTAL_EXPORT", outputView=BOTH)


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def copied(objects: Mapping[str, bytes], to: Path) -> Path:
    """The folder of the export's manifests in a copy of the bucket."""
    for key, content in objects.items():
        path = to / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return to / PLACE


class Bucket:
    """What is used of an S3 client, over objects by their keys."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects

    async def get_object(self, **parameters: Any) -> dict[str, Any]:
        key = parameters["Key"]
        if parameters["Bucket"] != "archive" or key not in self._objects:
            raise failed("NoSuchKey", "The specified key does not exist.")
        return {"Body": _Body(self._objects[key])}


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content

    async def iter_chunks(self, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), size):
            yield self._content[start : start + size]
