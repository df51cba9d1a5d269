"""`cartograph archive`: an export as Parquet files, for analysis."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from composition.commands.adding import Add, elsewhere
from composition.store import open_endpoint
from composition.terminal import printable, say, show
from datasources.client import open_s3_client
from datasources.errors import ConfigurationError
from datasources.operating import archive as archiving
from datasources.operating.exported import BucketFiles, Files, FolderFiles, open_export
from settings import Settings

S3 = "s3://"


def add(to: Add) -> None:
    command = to("archive", archive, "Makes Parquet files of a finished export, one for each kind.")
    command.add_argument(
        "export",
        metavar="EXPORT",
        help="where its manifests are: a folder, or s3://BUCKET/FOLDER as `cartograph export` says",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="a new folder, e.g. shop.parquet")


async def archive(settings: Settings, arguments: argparse.Namespace) -> None:
    if arguments.out.exists():
        raise ConfigurationError(f"OUT: {arguments.out} is there already; should be a new folder.")
    async with files_of(settings, arguments.export) as files:
        exported = await open_export(files)
        say(f"Reading {exported.summary.items:,} items")
        counts = await archiving.archive(exported, arguments.out, say)
    for name, count in sorted(counts.items()):
        show(f"{count:>12,}  {printable(str(arguments.out / name.lower()))}.parquet")


@asynccontextmanager
async def files_of(settings: Settings, place: str) -> AsyncIterator[Files]:
    if not place.startswith(S3):
        yield FolderFiles(Path(place))
        return
    elsewhere(settings)
    bucket, _, folder = place.removeprefix(S3).rstrip("/").partition("/")
    if not bucket or not folder:
        raise ConfigurationError("EXPORT: should be a folder or s3://BUCKET/FOLDER.")
    async with (
        open_endpoint(settings, say) as endpoint,
        open_s3_client(endpoint) as client,
    ):
        yield BucketFiles(client, bucket, folder)
