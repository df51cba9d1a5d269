"""One client a tenant, each with credentials that reach the rows of its tenant and no others.

They are those of a role that the service assumes with a session tag, `tenant`, on which the role's
policy goes ("Pass session tags in AWS STS" in the IAM User Guide).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from botocore.credentials import ReadOnlyCredentials

from datasources.assumed import Assumed, AssumedCredentials, RoleClient, RoleUnavailableError
from datasources.client import Endpoint, open_client, open_sts_client, sessions
from datasources.errors import ConfigurationError

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

# The most that a role is had for by one that is assumed itself, as a task's is.
_SECONDS = 3_600
_LONGEST_NAME = 64


@asynccontextmanager
async def open_tenants(
    endpoint: Endpoint, role: str, tenants: Sequence[str]
) -> AsyncIterator[Mapping[str, DynamoDBClient]]:
    """The clients by their tenants. `role` is an ARN.

    Raises ConfigurationError where the role is not had for the first tenant; for the others it is
    assumed when they come.
    """
    async with AsyncExitStack() as stack:
        sts = await stack.enter_async_context(open_sts_client(endpoint))
        session_with = sessions(endpoint)
        clients: dict[str, DynamoDBClient] = {}
        for tenant in tenants:
            credentials = AssumedCredentials(
                f"tenant {tenant}", partial(assume, sts, role, tenant), time.time
            )
            stack.callback(credentials.close)
            if not clients:
                await _try(credentials, tenant)
            opening = open_client(endpoint, session_with(credentials))
            clients[tenant] = await stack.enter_async_context(opening)
        yield clients


async def assume(sts: RoleClient, role: str, tenant: str) -> Assumed:
    """The role for one tenant; raises what the client does."""
    answer = await sts.assume_role(
        RoleArn=role,
        RoleSessionName=f"cartograph-{tenant}"[:_LONGEST_NAME],
        DurationSeconds=_SECONDS,
        Tags=[{"Key": "tenant", "Value": tenant}],
    )
    given = answer["Credentials"]
    return Assumed(
        ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]),
        given["Expiration"].timestamp(),
    )


async def _try(credentials: AssumedCredentials, tenant: str) -> None:
    try:
        await credentials.get()
    except RoleUnavailableError as error:
        raise ConfigurationError(
            f"CARTOGRAPH_TENANT_ROLE_ARN: should be a role that can be had for tenant {tenant}: "
            f"{error}"
        ) from None
