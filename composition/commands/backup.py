"""`cartograph backup`: lists backups, makes one, makes a new table of one."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from composition.commands.adding import Add, elsewhere, moment
from composition.store import TEMPLATE, open_store
from composition.terminal import aligned, printable, say, show
from datasources.errors import ConfigurationError
from datasources.operating import backups
from datasources.operating.backups import Recovery
from datasources.operating.provision import read_template
from datasources.operating.waiting import Waiting
from settings import Settings

LATEST = "latest"


def add(to: Add) -> None:
    command = to("backup", backup, "Lists backups of the table, makes one or restores one.")
    actions = command.add_subparsers(
        title="actions", dest="action", required=True, metavar="ACTION"
    )
    summary = "Lists the table's backups, and the times that it can be restored to."
    actions.add_parser("list", help=summary, description=summary)
    summary = "Makes a backup, and waits for it."
    making = actions.add_parser("make", help=summary, description=summary)
    making.add_argument("name", metavar="NAME", help="its name, 3 to 255 of A-Z a-z 0-9 _ . -")
    summary = "Makes a new table of a backup, or of the table as it was."
    restoring = actions.add_parser("restore", help=summary, description=summary)
    restoring.add_argument("backup", nargs="?", metavar="BACKUP", help="its name or ARN")
    restoring.add_argument("table", metavar="TABLE", help="the new table")
    restoring.add_argument(
        "--at",
        type=instant,
        metavar="TIME",
        help=f"instead of BACKUP: the table as it was then, e.g. 2026-11-22T10:00:00Z; or {LATEST}",
    )


async def backup(settings: Settings, arguments: argparse.Namespace) -> None:
    elsewhere(settings)
    if arguments.action == "restore" and (arguments.backup is None) == (arguments.at is None):
        raise ConfigurationError("restore: should have either BACKUP or --at, and TABLE.")
    actions = {"list": listed, "make": made, "restore": restored}
    await actions[arguments.action](settings, arguments)


async def listed(settings: Settings, _arguments: argparse.Namespace) -> None:
    async with open_store(settings, say) as client:
        found = await backups.backups_of(client, settings.table)
        recovery = await backups.recovery_of(client, settings.table)
    if found:
        lines = [
            [printable(each.name), each.status, written(each.made), f"{each.size:,}", each.arn]
            for each in found
        ]
        show(aligned([["NAME", "STATUS", "MADE", "BYTES", "ARN"], *lines]))
    else:
        say(f"Table {settings.table} has no backups")
    say(f"Table {settings.table} {window(recovery)}")


def window(recovery: Recovery | None) -> str:
    if recovery is None:
        return "has no point-in-time recovery; `cartograph table` switches it on"
    if recovery.earliest is None or recovery.latest is None:
        return "has point-in-time recovery"
    earliest, latest = written(recovery.earliest), written(recovery.latest)
    return f"can be restored to any second from {earliest} to {latest}"


async def made(settings: Settings, arguments: argparse.Namespace) -> None:
    async with open_store(settings, say) as client:
        say(f"Backing up table {settings.table}")
        backup = await backups.make(client, settings.table, arguments.name, Waiting(say))
    say(f"Made backup {backup.name} of {backup.size:,} bytes")
    show(backup.arn)


async def restored(settings: Settings, arguments: argparse.Namespace) -> None:
    source, table = settings.table, arguments.table
    definition, _system = read_template(TEMPLATE, table)
    async with open_store(settings, say) as client:
        if arguments.at is None:
            arn = await backups.find(client, source, arguments.backup)
            await backups.restore(client, arn, table)
        else:
            at = None if arguments.at == LATEST else arguments.at
            await backups.restore_at(client, source, table, at)
        say(f"Restoring table {table}; AWS goes on with it if this command is ended")
        await backups.until_restored(client, definition, Waiting(say))
    say(f"Restored table {table}")
    say(f"To serve it, run `cartograph table` with CARTOGRAPH_TABLE={table}: expiry is off in it")


def instant(text: str) -> datetime | str:
    return LATEST if text == LATEST else moment(text)


def written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
