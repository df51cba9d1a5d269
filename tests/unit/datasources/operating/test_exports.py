"""Exports, over a client that answers from a script."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datasources.errors import CartographError, ConfigurationError
from datasources.operating.exports import Export, Period, export
from tests.support.clients import Clock, client, failed

ARN = "arn:aws:dynamodb:here:1:table/shop"
START = datetime(2026, 11, 22, tzinfo=UTC)


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"ExportDescription": {"ExportStatus": status, "S3Bucket": "archive", **more}}


def store(*statuses: dict[str, Any]) -> Any:
    return client(
        describe_table={"Table": {"TableArn": ARN}},
        export_table_to_point_in_time={"ExportDescription": {"ExportArn": f"{ARN}/export/01-2d"}},
        describe_export=list(statuses),
    )


async def test_an_export_is_waited_for() -> None:
    done = described("COMPLETED", S3Prefix="all", ItemCount=3, BilledSizeBytes=99)
    at = store(described("IN_PROGRESS"), described("IN_PROGRESS"), done)

    found = await export(at, "shop", "archive", Clock().waiting, token="t", prefix="all")

    assert found == Export("archive", "all/AWSDynamoDB/01-2d", 3, 99)
    assert at.asked("export_table_to_point_in_time") == [
        {
            "TableArn": ARN,
            "S3Bucket": "archive",
            "S3Prefix": "all",
            "S3SseAlgorithm": "AES256",
            "ExportFormat": "DYNAMODB_JSON",
            "ClientToken": "t",
        }
    ]


async def test_the_changes_of_a_period_are_exported_with_both_images() -> None:
    at = store(described("COMPLETED"))
    period = Period(START, START + timedelta(hours=1))

    found = await export(at, "shop", "archive", Clock().waiting, token="t", period=period)

    assert found == Export("archive", "AWSDynamoDB/01-2d", 0, 0)
    [asked] = at.asked("export_table_to_point_in_time")
    assert asked["ExportType"] == "INCREMENTAL_EXPORT"
    assert asked["IncrementalExportSpecification"] == {
        "ExportFromTime": START,
        "ExportToTime": START + timedelta(hours=1),
        "ExportViewType": "NEW_AND_OLD_IMAGES",
    }


async def test_the_table_is_exported_as_it_was() -> None:
    at = store(described("COMPLETED"))

    await export(at, "shop", "archive", Clock().waiting, token="t", moment=START)

    [asked] = at.asked("export_table_to_point_in_time")
    assert asked["ExportTime"] == START


async def test_an_export_that_fails_says_why() -> None:
    at = store(described("FAILED", FailureCode="S3NoSuchBucket", FailureMessage="not there"))

    with pytest.raises(CartographError, match="S3NoSuchBucket: not there"):
        await export(at, "shop", "archive", Clock().waiting, token="t")


async def test_without_recovery_it_is_said_how_to_have_it() -> None:
    at = client(
        describe_table={"Table": {"TableArn": ARN}},
        export_table_to_point_in_time=failed("PointInTimeRecoveryUnavailableException", "is off"),
    )

    with pytest.raises(CartographError, match="is off; `cartograph table` switches"):
        await export(at, "shop", "archive", Clock().waiting, token="t")


@pytest.mark.parametrize("minutes", [-60, 0, 14, 24 * 60 + 1])
def test_a_period_that_aws_does_not_take_is_refused(minutes: int) -> None:
    with pytest.raises(ConfigurationError, match="--from, --to"):
        Period(START, START + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [15, 24 * 60])
def test_a_period_that_aws_takes_is_taken(minutes: int) -> None:
    Period(START, START + timedelta(minutes=minutes))
