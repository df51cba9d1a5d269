"""Backups of a table, on demand and continuous, and tables made from them.

"Backup and restore for DynamoDB" in the Developer Guide. A restored table has rows, keys and
indexes; it has neither stream nor expiry nor recovery of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from datasources.errors import CartographError, ConfigurationError
from datasources.operating.provision import NO_SUCH_CALL, TableDefinition
from datasources.operating.refusals import explained
from datasources.operating.waiting import Waiting

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import (
        BackupSummaryTypeDef,
        ListBackupsInputTypeDef,
        PointInTimeRecoveryDescriptionTypeDef,
        TableDescriptionTypeDef,
    )

_UNLISTED = "The backups cannot be listed"
_UNMADE = "No backup was made"
_UNRESTORED = "Nothing was restored"
_UNKNOWN = "It is not known how far it is"
_ARN = "arn:"


@dataclass(frozen=True)
class Backup:
    """`size` in bytes."""

    name: str
    arn: str
    status: str
    made: datetime
    size: int


@dataclass(frozen=True)
class Recovery:
    """The times that a table can be restored to, as far as the store tells them."""

    earliest: datetime | None
    latest: datetime | None


async def backups_of(client: DynamoDBClient, table: str) -> list[Backup]:
    """The newest first."""
    with explained(_UNLISTED):
        found = [_backup(each) async for each in _summaries(client, table)]
    return sorted(found, key=lambda backup: backup.made, reverse=True)


async def _summaries(client: DynamoDBClient, table: str) -> AsyncIterator[BackupSummaryTypeDef]:
    request: ListBackupsInputTypeDef = {"TableName": table, "BackupType": "ALL"}
    while True:
        page = await client.list_backups(**request)
        for each in page.get("BackupSummaries", []):
            yield each
        if "LastEvaluatedBackupArn" not in page:
            return
        request["ExclusiveStartBackupArn"] = page["LastEvaluatedBackupArn"]


def _backup(summary: BackupSummaryTypeDef) -> Backup:
    return Backup(
        summary["BackupName"],
        summary["BackupArn"],
        summary["BackupStatus"],
        summary["BackupCreationDateTime"],
        summary.get("BackupSizeBytes", 0),
    )


async def recovery_of(client: DynamoDBClient, table: str) -> Recovery | None:
    """None where point-in-time recovery is off, or the store has none."""
    with explained(_UNLISTED):
        try:
            answer = await client.describe_continuous_backups(TableName=table)
        except ClientError as error:
            if error.response["Error"].get("Code") not in NO_SUCH_CALL:
                raise
            return None
    backups = answer["ContinuousBackupsDescription"]
    return _recovery(backups.get("PointInTimeRecoveryDescription", {}))


def _recovery(description: PointInTimeRecoveryDescriptionTypeDef) -> Recovery | None:
    if description.get("PointInTimeRecoveryStatus") != "ENABLED":
        return None
    return Recovery(
        description.get("EarliestRestorableDateTime"), description.get("LatestRestorableDateTime")
    )


async def make(client: DynamoDBClient, table: str, name: str, waiting: Waiting) -> Backup:
    """A backup, when it can be restored from."""
    with explained(_UNMADE):
        answer = await client.create_backup(TableName=table, BackupName=name)
    arn = answer["BackupDetails"]["BackupArn"]

    async def ask() -> Backup:
        with explained(_UNKNOWN):
            answer = await client.describe_backup(BackupArn=arn)
        details = answer["BackupDescription"]["BackupDetails"]
        made, size = details["BackupCreationDateTime"], details.get("BackupSizeBytes", 0)
        return Backup(details["BackupName"], arn, details["BackupStatus"], made, size)

    backup = await waiting.until(ask, lambda each: each.status != "CREATING", "Backing up")
    if backup.status != "AVAILABLE":
        raise CartographError(f"The backup came to nothing: it is {backup.status}.")
    return backup


async def find(client: DynamoDBClient, table: str, wanted: str) -> str:
    """The ARN of a backup of the table that is named by ARN or, where one alone has it, name."""
    if wanted.startswith(_ARN):
        return wanted
    found = [each for each in await backups_of(client, table) if each.name == wanted]
    if len(found) == 1:
        return found[0].arn
    how_many = f"{len(found)} backups" if found else "no backup"
    raise ConfigurationError(
        f"BACKUP: table {table} has {how_many} named {wanted}; "
        "`cartograph backup list` shows them with their ARNs, which can be given instead."
    )


async def restore(client: DynamoDBClient, backup: str, table: str) -> None:
    """Begins to make a new table of a backup, given by ARN."""
    with explained(_UNRESTORED):
        await client.restore_table_from_backup(TargetTableName=table, BackupArn=backup)


async def restore_at(
    client: DynamoDBClient, source: str, table: str, moment: datetime | None
) -> None:
    """Begins to make a new table of what a table was at a moment; None: the latest possible."""
    with explained(_UNRESTORED):
        if moment is None:
            await client.restore_table_to_point_in_time(
                SourceTableName=source, TargetTableName=table, UseLatestRestorableTime=True
            )
        else:
            await client.restore_table_to_point_in_time(
                SourceTableName=source, TargetTableName=table, RestoreDateTime=moment
            )


async def until_restored(
    client: DynamoDBClient, definition: TableDefinition, waiting: Waiting
) -> None:
    """Waits until the restored table can be used, gives it the stream without which no service
    takes it for its table."""

    async def ask() -> TableDescriptionTypeDef:
        with explained(_UNKNOWN):
            return (await client.describe_table(TableName=definition.name))["Table"]

    def active(table: TableDescriptionTypeDef) -> bool:
        return table.get("TableStatus") not in {"CREATING", "UPDATING"}

    table = await waiting.until(ask, active, "Restoring")
    if table.get("TableStatus") != "ACTIVE":
        raise CartographError(f"The table was not restored: it is {table.get('TableStatus')}.")
    if definition.stream and not table.get("StreamSpecification"):
        with explained("The table was restored, but has no stream"):
            await client.update_table(
                TableName=definition.name,
                StreamSpecification={"StreamEnabled": True, "StreamViewType": definition.stream},
            )
        await waiting.until(ask, active, "Switching on its stream")
