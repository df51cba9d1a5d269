"""The store: where it is, and that its tables are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datasources.client import Endpoint, open_client
from datasources.embedded import embedded_store
from datasources.keys import Keys
from datasources.operating.provision import check, provision
from datasources.seed.demo import load_demo
from datasources.table import Table
from settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "infra" / "template.yaml"

Report = Callable[[str], None]


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_endpoint(settings: Settings, report: Report) -> AsyncIterator[Endpoint]:
    """Where the configured store is; the embedded one is started and ended with the block."""
    if not settings.is_embedded:
        yield Endpoint(settings.region, settings.endpoint, fast=settings.fast_calls)
        return
    async with embedded_store(
        cache_dir=settings.cache_dir,
        data_dir=settings.data_dir,
        region=settings.region,
        report=report,
    ) as url:
        yield Endpoint(settings.region, url, local=True, fast=settings.fast_calls)


@asynccontextmanager
async def open_store(settings: Settings, report: Report) -> AsyncIterator[DynamoDBClient]:
    async with open_endpoint(settings, report) as endpoint, open_client(endpoint) as client:
        yield client


async def prepare_store(settings: Settings, client: DynamoDBClient) -> None:
    """The embedded store gets its tables and demo data; any other must have its tables."""
    if not settings.is_embedded:
        await check(client, settings.table, TEMPLATE)
        return
    await provision(client, settings.table, TEMPLATE)
    for tenant in settings.tenants:
        keys = Keys(tenant, settings.shards)
        await load_demo(bulk_table(settings, client), keys, now())


def bulk_table(settings: Settings, client: DynamoDBClient) -> Table:
    """The table for commands, which nobody waits for as for an answer: an hour's time."""
    return Table(client, settings.table, asyncio.get_running_loop().time() + 3_600)
