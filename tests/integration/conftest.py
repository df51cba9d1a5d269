"""The real embedded store, spoken to over real HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from datasources.client import Endpoint, new_session, open_client
from datasources.operating.provision import provision
from streams.broker import open_redis
from tests.conftest import REGION
from tests.support.broker import Broker, broker
from tests.support.shop import TestShop, keep_what_expires

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TABLE = "cartograph"
TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"


@pytest.fixture(scope="session")
def endpoint(store: str) -> Endpoint:
    """The store with the tables; tests share them and keep apart by tenant."""
    found = Endpoint(REGION, store, local=True)
    asyncio.run(_provisioned(found))
    return found


async def _provisioned(endpoint: Endpoint) -> None:
    async with open_client(endpoint) as client:
        await provision(client, TABLE, TEMPLATE)
        await keep_what_expires(client, TABLE)


@pytest.fixture(scope="session")
def session(endpoint: Endpoint) -> Any:
    """Shared by the clients of all tests, each of which has an event loop of its own."""
    return new_session(endpoint)


@pytest.fixture
async def client(endpoint: Endpoint, session: Any) -> AsyncIterator[DynamoDBClient]:
    async with open_client(endpoint, session) as opened:
        yield opened


@pytest.fixture
def shop(client: DynamoDBClient) -> TestShop:
    """A shop of its own for each test."""
    return TestShop(client, TABLE, tenant=f"t-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    """A Redis of the test's own."""
    with broker(tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def redis(server: Broker) -> AsyncIterator[Redis]:
    async with open_redis(server.url) as client:
        yield client
