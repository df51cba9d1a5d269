"""`cartograph export`: the table, or what changed in it, to S3."""

from __future__ import annotations

import argparse
import uuid

from composition.commands.adding import Add, elsewhere, moment
from composition.store import now, open_store
from composition.terminal import say, show
from datasources.errors import ConfigurationError
from datasources.operating import exports
from datasources.operating.exports import Period
from datasources.operating.waiting import Waiting
from settings import Settings


def add(to: Add) -> None:
    command = to("export", export, "Exports the table to S3, and waits for it.")
    command.add_argument("bucket", metavar="BUCKET", help="the name of an S3 bucket")
    command.add_argument("--prefix", metavar="PREFIX", help="a folder in it")
    command.add_argument(
        "--at", type=moment, metavar="TIME", help="the table as it was then (default: as it is)"
    )
    command.add_argument(
        "--from",
        dest="start",
        type=moment,
        metavar="TIME",
        help="instead of the table what changed in it since, at most 24 hours of it",
    )
    command.add_argument(
        "--to", dest="end", type=moment, metavar="TIME", help="until then (default: until now)"
    )


async def export(settings: Settings, arguments: argparse.Namespace) -> None:
    elsewhere(settings)
    period = period_of(arguments)
    async with open_store(settings, say) as client:
        say(f"Exporting table {settings.table}; AWS goes on with it if this command is ended")
        done = await exports.export(
            client,
            settings.table,
            arguments.bucket,
            Waiting(say, pause=10.0),
            token=str(uuid.uuid4()),
            prefix=arguments.prefix,
            moment=arguments.at,
            period=period,
        )
    say(f"Exported {done.items:,} items, {done.size:,} bytes; `cartograph archive` reads them")
    show(f"s3://{done.bucket}/{done.folder}")


def period_of(arguments: argparse.Namespace) -> Period | None:
    if arguments.start is None:
        if arguments.end is not None:
            raise ConfigurationError("--to: should go with --from.")
        return None
    if arguments.at is not None:
        raise ConfigurationError("--at: is for the whole table, --from for what changed in it.")
    return Period(arguments.start, arguments.end or now())
