import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from botocore.exceptions import ClientError

from datasources.errors import StoreError
from datasources.operating import provision
from datasources.operating.provision import Index, TableDefinition, read_template

TEMPLATE = Path(__file__).parents[4] / "infra" / "template.yaml"


def keys(prefix: str = "") -> provision.Keys:
    return ((f"{prefix}PK", "S"), (f"{prefix}SK", "S"))


def test_the_main_table_is_the_one_of_the_template() -> None:
    main, _ = read_template(TEMPLATE, "shop")

    assert main == TableDefinition(
        name="shop",
        keys=keys(),
        indexes=(
            Index("GSI1", keys("GSI1"), "ALL"),
            Index("GSI2", keys("GSI2"), "ALL"),
            Index("GSI3", keys("GSI3"), "KEYS_ONLY"),
        ),
        stream="NEW_AND_OLD_IMAGES",
        ttl="ttl",
        recovery=True,
        encrypted=True,
        protected=False,
    )


def test_the_system_table_has_no_index_and_no_stream() -> None:
    _, system = read_template(TEMPLATE, "shop")

    assert system == TableDefinition(
        name="shop-system", keys=keys(), ttl="ttl", recovery=True, encrypted=True
    )


def test_production_alone_protects_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    protected = {}
    for environment in ("dev", "staging", "prod"):
        monkeypatch.setitem(provision.PARAMETERS, "Environment", environment)
        protected[environment] = {t.protected for t in read_template(TEMPLATE, "shop")}

    assert protected == {"dev": {False}, "staging": {False}, "prod": {True}}


def test_what_a_condition_leaves_out_is_left_out(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    text = TEMPLATE.read_text()
    stream = "StreamSpecification:\n        StreamViewType: NEW_AND_OLD_IMAGES"
    assert stream in text
    without = "StreamSpecification: !If [IsProduction, {StreamViewType: X}, !Ref AWS::NoValue]"
    template.write_text(text.replace(stream, without))

    main, _ = read_template(template, "shop")

    assert main.stream is None


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeContinuousBackups")


RECOVERING = TableDefinition(name="shop", keys=keys(), recovery=True)


@pytest.mark.parametrize("code", sorted(provision.NO_SUCH_CALL))
async def test_a_store_without_recovery_is_no_failure(code: str) -> None:
    client = Mock(describe_continuous_backups=AsyncMock(side_effect=refusal(code)))

    assert await provision._recovery(client, RECOVERING) == []


async def test_a_refused_permission_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "_describe", AsyncMock(return_value=None))
    monkeypatch.setattr(provision, "_create", AsyncMock())
    denied = AsyncMock(side_effect=refusal("AccessDeniedException"))
    enabled = {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}}
    client = Mock(
        get_waiter=Mock(return_value=Mock(wait=AsyncMock())),
        describe_time_to_live=AsyncMock(return_value=enabled),
        describe_continuous_backups=denied,
    )

    with pytest.raises(StoreError, match="AccessDeniedException"):
        await provision.provision(client, "shop", TEMPLATE)


async def test_recovery_of_a_young_table_is_asked_for_until_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NotYetError(Exception): ...

    waits: list[float] = []

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", no_wait)
    answers: list[Any] = [NotYetError, NotYetError, {}]
    client = Mock(
        exceptions=Mock(ContinuousBackupsUnavailableException=NotYetError),
        update_continuous_backups=AsyncMock(side_effect=answers),
    )

    await provision._recover(client, "shop")

    assert waits == [1, 1]
    assert client.update_continuous_backups.await_count == 3
