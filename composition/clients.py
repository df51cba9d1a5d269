"""Which client an operation has, where it is not the service's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from datasources.client import Endpoint
from datasources.dax import open_dax
from datasources.tenants import open_tenants
from settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

# By the tenant, and whether what is read has to be fresh.
ClientOf = Callable[[str, bool], "DynamoDBClient"]


@asynccontextmanager
async def open_clients(
    settings: Settings, endpoint: Endpoint, client: DynamoDBClient
) -> AsyncIterator[ClientOf | None]:
    """None: `client`, for everybody. Raises ConfigurationError."""
    if settings.tenant_role_arn:
        async with open_tenants(endpoint, settings.tenant_role_arn, settings.tenants) as clients:
            yield lambda tenant, _fresh: clients[tenant]
    elif settings.dax_endpoint:
        async with open_dax(settings.dax_endpoint, settings.region, client) as reading:
            yield lambda _tenant, fresh: client if fresh else reading
    else:
        yield None
