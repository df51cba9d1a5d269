"""The real embedded store, one for each test process, spoken to over real HTTP."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from datasources.client import Endpoint, new_session, open_client
from datasources.embedded import embedded_store
from datasources.provision import provision
from streams.broker import open_redis
from tests.support.broker import Broker, broker
from tests.support.shop import TestShop, keep_what_expires

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

REGION = "ap-northeast-1"
TABLE = "cartograph"
TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartograph"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """The store with its tables; tests share it and keep apart by tenant."""
    ready: Queue[Endpoint | BaseException] = Queue()
    done = threading.Event()

    async def run() -> None:
        async with embedded_store(
            cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
        ) as url:
            found = Endpoint(REGION, url, local=True)
            async with open_client(found) as client:
                await provision(client, TABLE, TEMPLATE)
                await keep_what_expires(client, TABLE)
            ready.put(found)
            await asyncio.to_thread(done.wait)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            ready.put(error)

    keeper = threading.Thread(target=thread)
    keeper.start()
    found = ready.get()
    if isinstance(found, BaseException):
        raise found
    yield found
    done.set()
    keeper.join()


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
