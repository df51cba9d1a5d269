"""Exports of a table to S3 ("DynamoDB data export to Amazon S3" in the Developer Guide), which read
the continuous backup and cost the table nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from datasources.errors import CartographError, ConfigurationError
from datasources.operating.refusals import explained
from datasources.operating.waiting import Waiting

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import (
        ExportDescriptionTypeDef,
        ExportTableToPointInTimeInputTypeDef,
    )

SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(hours=24)

_UNDONE = "Nothing was exported"
_UNKNOWN = "It is not known how far it is"


@dataclass(frozen=True)
class Export:
    """What was exported: `items`, and `size` in bytes. `folder` is where its manifests are."""

    bucket: str
    folder: str
    items: int
    size: int


@dataclass(frozen=True)
class Period:
    """The changes from `start`, inclusive, to `end`, exclusive; ConfigurationError for a period
    that AWS takes no export of."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        length = self.end - self.start
        if not SHORTEST <= length <= LONGEST:
            raise ConfigurationError(
                "--from, --to: should be 15 minutes to 24 hours apart, the first before the second."
            )


async def export(
    client: DynamoDBClient,
    table: str,
    bucket: str,
    waiting: Waiting,
    *,
    token: str,
    prefix: str | None = None,
    moment: datetime | None = None,
    period: Period | None = None,
) -> Export:
    """Exports the whole table as it was at a moment (None: now), or the changes of a period.

    The same `token` within 8 hours is the same export.
    """
    with explained(_UNDONE):
        described = await client.describe_table(TableName=table)
    request: ExportTableToPointInTimeInputTypeDef = {
        "TableArn": described["Table"]["TableArn"],
        "S3Bucket": bucket,
        "ClientToken": token,
        "ExportFormat": "DYNAMODB_JSON",
        "S3SseAlgorithm": "AES256",
    }
    if prefix:
        request["S3Prefix"] = prefix
    if period:
        request["ExportType"] = "INCREMENTAL_EXPORT"
        request["IncrementalExportSpecification"] = {
            "ExportFromTime": period.start,
            "ExportToTime": period.end,
            "ExportViewType": "NEW_AND_OLD_IMAGES",
        }
    elif moment:
        request["ExportTime"] = moment
    with explained(_UNDONE):
        answer = await client.export_table_to_point_in_time(**request)
    return await _finished(client, answer["ExportDescription"]["ExportArn"], waiting)


async def _finished(client: DynamoDBClient, arn: str, waiting: Waiting) -> Export:
    async def ask() -> ExportDescriptionTypeDef:
        with explained(_UNKNOWN):
            return (await client.describe_export(ExportArn=arn))["ExportDescription"]

    done = await waiting.until(ask, lambda each: each["ExportStatus"] != "IN_PROGRESS", "Exporting")
    if done["ExportStatus"] != "COMPLETED":
        why = f"{done.get('FailureCode', 'no reason given')}: {done.get('FailureMessage', '')}"
        raise CartographError(f"The export came to nothing: {why.rstrip(': ')}")
    folder = "/".join(filter(None, (done.get("S3Prefix"), "AWSDynamoDB", arn.rpartition("/")[2])))
    return Export(
        done["S3Bucket"], folder, done.get("ItemCount", 0), done.get("BilledSizeBytes", 0)
    )
