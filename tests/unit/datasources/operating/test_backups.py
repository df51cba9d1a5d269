"""Backups, over a client that answers from a script."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from datasources.errors import CartographError, ConfigurationError
from datasources.operating import backups
from datasources.operating.backups import Recovery
from datasources.operating.provision import read_template
from tests.support.clients import Clock, client, failed

TEMPLATE = Path(__file__).parents[4] / "infra" / "template.yaml"
TABLE, _ = read_template(TEMPLATE, "restored")
EARLY, LATE = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)


def summary(name: str, arn: str, made: datetime = EARLY) -> dict[str, Any]:
    return {
        "BackupName": name,
        "BackupArn": f"arn:{arn}",
        "BackupStatus": "AVAILABLE",
        "BackupCreationDateTime": made,
        "BackupSizeBytes": 7,
    }


def described(status: str) -> dict[str, Any]:
    return {"BackupDescription": {"BackupDetails": summary("one", "1") | {"BackupStatus": status}}}


def table(status: str, **more: Any) -> dict[str, Any]:
    return {"Table": {"TableStatus": status, **more}}


async def test_all_pages_of_backups_are_listed_the_newest_first() -> None:
    store = client(
        list_backups=[
            {"BackupSummaries": [summary("a", "1")], "LastEvaluatedBackupArn": "arn:1"},
            {"BackupSummaries": [summary("b", "2", LATE)]},
        ]
    )

    assert [each.name for each in await backups.backups_of(store, "shop")] == ["b", "a"]
    assert store.asked("list_backups")[1]["ExclusiveStartBackupArn"] == "arn:1"


@pytest.mark.parametrize(
    ("answer", "recovery"),
    [
        (
            {
                "PointInTimeRecoveryStatus": "ENABLED",
                "EarliestRestorableDateTime": EARLY,
                "LatestRestorableDateTime": LATE,
            },
            Recovery(EARLY, LATE),
        ),
        ({"PointInTimeRecoveryStatus": "ENABLED"}, Recovery(None, None)),
        ({"PointInTimeRecoveryStatus": "DISABLED"}, None),
        ({}, None),
    ],
)
async def test_the_times_that_can_be_restored_are_known(
    answer: dict[str, Any], recovery: Recovery | None
) -> None:
    description = {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": answer}}
    store = client(describe_continuous_backups=description)

    assert await backups.recovery_of(store, "shop") == recovery


async def test_a_store_without_recovery_has_none() -> None:
    store = client(describe_continuous_backups=failed("UnknownOperationException"))

    assert await backups.recovery_of(store, "shop") is None


async def test_a_backup_is_waited_for() -> None:
    store = client(
        create_backup={"BackupDetails": {"BackupArn": "arn:1"}},
        describe_backup=[described("CREATING"), described("CREATING"), described("AVAILABLE")],
    )

    made = await backups.make(store, "shop", "one", Clock().waiting)

    assert (made.name, made.arn, made.size) == ("one", "arn:1", 7)
    assert store.asked("create_backup") == [{"TableName": "shop", "BackupName": "one"}]
    assert len(store.asked("describe_backup")) == 3


async def test_a_backup_that_vanishes_is_an_error() -> None:
    store = client(
        create_backup={"BackupDetails": {"BackupArn": "arn:1"}},
        describe_backup=described("DELETED"),
    )

    with pytest.raises(CartographError, match="DELETED"):
        await backups.make(store, "shop", "one", Clock().waiting)


async def test_a_backup_is_found_by_its_arn_or_its_name() -> None:
    page = [summary("a", "1"), summary("b", "2"), summary("b", "3")]
    store = client(list_backups={"BackupSummaries": page})

    assert await backups.find(store, "shop", "arn:9") == "arn:9"
    assert await backups.find(store, "shop", "a") == "arn:1"
    with pytest.raises(ConfigurationError, match="2 backups named b"):
        await backups.find(store, "shop", "b")
    with pytest.raises(ConfigurationError, match="no backup named c"):
        await backups.find(store, "shop", "c")


@pytest.mark.parametrize(
    ("moment", "parameters"),
    [(EARLY, {"RestoreDateTime": EARLY}), (None, {"UseLatestRestorableTime": True})],
)
async def test_a_table_is_restored_to_a_moment_or_to_the_latest(
    moment: datetime | None, parameters: dict[str, Any]
) -> None:
    store = client(restore_table_to_point_in_time={})

    await backups.restore_at(store, "shop", "restored", moment)

    assert store.asked("restore_table_to_point_in_time") == [
        {"SourceTableName": "shop", "TargetTableName": "restored", **parameters}
    ]


async def test_a_restored_table_gets_its_stream_when_it_is_there() -> None:
    store = client(
        describe_table=[
            *[table("CREATING")] * 3,
            table("ACTIVE"),
            table("UPDATING"),
            table("ACTIVE", StreamSpecification={"StreamEnabled": True}),
        ],
        update_table={},
    )

    await backups.until_restored(store, TABLE, Clock().waiting)

    assert [name for name, _ in store.calls][3:] == [
        *("describe_table", "update_table"),
        *("describe_table", "describe_table"),
    ]
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert store.asked("update_table") == [{"TableName": "restored", "StreamSpecification": stream}]


async def test_a_table_with_a_stream_is_left_as_it_is() -> None:
    store = client(
        describe_table=table("ACTIVE", StreamSpecification={"StreamEnabled": True}),
    )

    await backups.until_restored(store, TABLE, Clock().waiting)

    assert len(store.calls) == 1


async def test_a_table_that_is_not_restored_is_an_error() -> None:
    store = client(describe_table=[table("CREATING"), table("DELETING")])

    with pytest.raises(CartographError, match="DELETING"):
        await backups.until_restored(store, TABLE, Clock().waiting)
