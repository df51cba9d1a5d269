"""One client a tenant: what is sent to get its credentials, and by which its calls are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from datasources.client import Endpoint, open_client
from datasources.errors import ConfigurationError, ServiceUnavailable
from datasources.fast.client import FastClient
from datasources.keys import Keys
from datasources.operating.provision import provision
from datasources.queries import Query
from datasources.table import Table
from datasources.tenants import open_tenants
from tests.support.account import REGION, ROLE, Account
from tests.support.items import user
from tests.support.shop import TestShop

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
READ: dict[str, Any] = {
    "TableName": "shop",
    "KeyConditionExpression": "#pk = :pk",
    "ExpressionAttributeNames": {"#pk": "PK"},
    "ExpressionAttributeValues": {":pk": {"S": "t"}},
}


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with Account().running() as running:
        yield running


@pytest.mark.parametrize("fast", [True, False])
async def test_each_tenants_calls_are_made_with_credentials_of_its_own(
    account: Account, fast: bool
) -> None:
    async with open_tenants(account.endpoint(fast=fast), ROLE, ["one", "two"]) as clients:
        for _ in range(2):
            await clients["one"].query(**READ)
            await clients["two"].query(**READ)
        assert {isinstance(client, FastClient) for client in clients.values()} == {fast}
    assert account.asked == [("one-1", "token-one-1"), ("two-1", "token-two-1")] * 2


async def test_the_role_is_asked_for_with_the_tenant_as_a_session_tag(account: Account) -> None:
    async with open_tenants(account.endpoint(), ROLE, ["one"]):
        pass
    [asked] = account.assumed
    asked.pop("Version")
    assert asked == {
        "Action": "AssumeRole",
        "RoleArn": ROLE,
        "RoleSessionName": "cartograph-one",
        "DurationSeconds": "3600",
        "Tags.member.1.Key": "tenant",
        "Tags.member.1.Value": "one",
    }


async def test_a_role_is_had_for_the_longest_tenants_name(account: Account) -> None:
    name = "t" * 64
    async with open_tenants(account.endpoint(), ROLE, [name]):
        pass
    assert len(account.assumed[0]["RoleSessionName"]) == 64
    assert account.assumed[0]["Tags.member.1.Value"] == name


async def test_only_the_first_tenants_role_is_assumed_before_it_is_needed_and_each_once(
    account: Account,
) -> None:
    async with open_tenants(account.endpoint(), ROLE, ["one", "two", "three"]) as clients:
        assert len(account.assumed) == 1
        await asyncio.gather(*(clients["two"].query(**READ) for _ in range(20)))
    assert [each["Tags.member.1.Value"] for each in account.assumed] == ["one", "two"]
    assert account.asked == [("two-1", "token-two-1")] * 20


async def test_credentials_that_are_about_to_end_are_renewed_between_two_calls(
    account: Account,
) -> None:
    account.seconds = 30
    async with open_tenants(account.endpoint(), ROLE, ["one"]) as clients:
        await clients["one"].query(**READ)
        account.seconds = 3_600
        for _ in range(3):
            await clients["one"].query(**READ)
    assert [key for key, _ in account.asked] == ["one-2", "one-3", "one-3", "one-3"]


async def test_a_role_that_is_refused_is_a_setting_that_is_wrong(account: Account) -> None:
    account.refused = {"one"}
    with pytest.raises(ConfigurationError, match=r"TENANT_ROLE_ARN: .*AccessDenied") as no:
        async with open_tenants(account.endpoint(), ROLE, ["one"]):
            pass
    assert "\n" not in str(no.value)


async def test_where_nobody_gives_roles_the_setting_is_wrong_too() -> None:
    nowhere = Endpoint(REGION, "http://127.0.0.1:1", local=True)
    with pytest.raises(ConfigurationError, match=r"TENANT_ROLE_ARN: .*127\.0\.0\.1:1"):
        async with open_tenants(nowhere, ROLE, ["one"]):
            pass


async def test_a_tenant_whose_role_is_refused_later_is_alone_without_answers(
    account: Account,
) -> None:
    account.refused = {"two"}
    query = Query("t")
    async with open_tenants(account.endpoint(), ROLE, ["one", "two"]) as clients:
        soon = asyncio.get_running_loop().time() + 10
        with pytest.raises(ServiceUnavailable):
            await Table(clients["two"], "shop", soon).query(query, limit=1)
        page = await Table(clients["one"], "shop", soon).query(query, limit=1)
    assert page.rows == []
    assert [key for key, _ in account.asked] == ["one-1"]
    assert len(account.assumed) == 2  # not tried again at once


@pytest.fixture
def moto() -> Iterator[Endpoint]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Endpoint(REGION, f"http://{host}:{port}", local=True)
    server.stop()


async def test_the_clients_of_two_tenants_write_and_read_where_an_engine_gives_the_role(
    moto: Endpoint,
) -> None:
    async with open_client(moto) as client:
        await provision(client, "shop", TEMPLATE)
    tenants = ["one", "two"]
    # Its accounts are apart: the table is in the one that its callers without a role are of.
    role = ROLE.replace("000000000000", "123456789012")
    async with open_tenants(moto, role, tenants) as clients:
        shops = {each: TestShop(clients[each], "shop", tenant=each) for each in tenants}
        for number, shop in enumerate(shops.values()):
            await shop.put(user(number))
        for number, (tenant, shop) in enumerate(shops.items()):
            keys = Keys(tenant, 4)
            found = await shop.table().batch_get([keys.user(f"user-{n}") for n in range(2)])
            assert set(found) == {keys.user(f"user-{number}")}
