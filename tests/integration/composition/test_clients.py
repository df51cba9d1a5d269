"""Which client an operation has, by the settings."""

from __future__ import annotations

from typing import Any, cast

import pytest

from composition.app import open_shop
from composition.clients import open_clients
from composition.live import Feed
from datasources import dax
from datasources.client import Endpoint
from datasources.metrics import StoreMetrics
from datasources.queries import Query
from resolvers.principal import Principal
from settings import Settings
from streams.journal import MemoryJournal
from tests.support.account import ROLE, Account
from tests.support.dax import URL, StandIn
from tests.support.items import NOW
from tests.support.memory import MemoryClient

OWN = MemoryClient().as_client()
FEED = Feed(MemoryJournal(lambda: NOW), lambda: None, lambda: None)
AWS = Endpoint("eu-west-1")


def settings_of(**more: Any) -> Settings:
    return Settings(store="aws", cursor_keys=("a key of sixteen or more",), **more)


async def test_without_a_setting_it_is_the_services_own_and_nothing_is_asked() -> None:
    async with open_clients(settings_of(), AWS, OWN) as client_of:
        assert client_of is None


async def test_operations_read_with_the_credentials_of_their_tenants() -> None:
    given = settings_of(tenant_role_arn=ROLE, tenants=("one", "two"))
    async with (
        Account().running() as account,
        open_clients(given, account.endpoint(), OWN) as client_of,
    ):
        shop = open_shop(given, OWN, FEED, StoreMetrics(), client_of)
        for tenant in ("two", "one"):
            for writes in (False, True):
                principal = Principal.anonymous(tenant)
                context = shop.operation(principal, "request-1", writes=writes)
                await context.table.query(Query("t"), limit=1)
    assert [key for key, _ in account.asked] == ["two-1", "two-1", "one-1", "one-1"]


async def test_operations_read_through_dax_unless_they_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[StandIn] = []

    def connect(**parameters: Any) -> StandIn:
        made.append(StandIn(**parameters))
        return made[0]

    monkeypatch.setattr(dax, "_library", lambda: connect)
    given = settings_of(dax_endpoint=URL)
    async with open_clients(given, AWS, OWN) as client_of:
        shop = open_shop(given, OWN, FEED, StoreMetrics(), client_of)
        reads, writes = (
            shop.operation(Principal.anonymous("t"), "request-1", writes=each)
            for each in (False, True)
        )
        await reads.table.query(Query("t"), limit=1)
        await writes.table.query(Query("t", index="GSI1"), limit=1)
    assert len(made[0].cluster.rows.calls) == 1
    assert len(cast("MemoryClient", OWN).calls) == 1
