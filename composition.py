"""The composition root: settings -> store -> app. What is made here is handed down from here."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from datasources.client import Endpoint, open_client, unreachable
from datasources.cursor import CursorCodec
from datasources.embedded import embedded_store
from datasources.errors import ConfigurationError
from datasources.jwks import KeySet, download
from datasources.keys import Keys
from datasources.provision import check, provision
from datasources.secrets import embedded_secret
from datasources.seed.demo import HANAKO, STAFF, TARO, load_demo
from datasources.table import Table
from resolvers import global_ids
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.tokens import TokenVerifier, identify, mint
from schema.app import build_app
from schema.build import build_schema
from schema.explorer import Explorer, Identity
from schema.http import GraphQLEndpoint
from schema.limits import Limits
from schema.operation import Executor
from settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from types_aiobotocore_dynamodb import DynamoDBClient

ROOT = Path(__file__).parent
TEMPLATE = ROOT / "infra" / "template.yaml"
EXPLORER = ROOT / "schema" / "graphiql" / "dist"
# Whom the explorer can ask as, over the demo data: label, subject, and whether staff.
IDENTITIES = (
    ("Customer: 太郎 田中", TARO, False),
    ("Customer: 花子 佐藤", HANAKO, False),
    ("Staff: 健一 鈴木", STAFF, True),
)

Report = Callable[[str], None]


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_endpoint(settings: Settings, report: Report) -> AsyncIterator[Endpoint]:
    """Where the configured store is; the embedded one is started and ended with the block."""
    if not settings.is_embedded:
        yield Endpoint(settings.region, settings.endpoint)
        return
    async with embedded_store(
        cache_dir=settings.cache_dir,
        data_dir=settings.data_dir,
        region=settings.region,
        report=report,
    ) as url:
        yield Endpoint(settings.region, url, local=True)


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


def jwt_secret(settings: Settings) -> str | None:
    if settings.jwt_secret:
        return settings.jwt_secret.get_secret_value()
    if settings.is_embedded and not settings.jwks_url:
        return embedded_secret(settings.state_dir, "jwt-secret")
    return None


def cursor_keys(settings: Settings) -> list[str]:
    keys = [key.get_secret_value() for key in settings.cursor_keys]
    return keys or [embedded_secret(settings.state_dir, "cursor-key")]


def token_verifier(settings: Settings, session: aiohttp.ClientSession) -> TokenVerifier:
    signer: str | KeySet | None = jwt_secret(settings)
    if settings.jwks_url:
        signer = KeySet(partial(download, session, settings.jwks_url), time.monotonic)
    return TokenVerifier(
        signer, now=time.time, issuer=settings.jwt_issuer, audience=settings.jwt_audience
    )


def mint_token(settings: Settings, sub: str, *, staff: bool, tenant: str | None) -> str:
    secret = jwt_secret(settings)
    if secret is None:
        raise ConfigurationError(
            "CARTOGRAPH_JWT_SECRET: should be set, or there is nothing to sign a token with."
        )
    if tenant is not None and tenant not in settings.tenants:
        raise ConfigurationError(f"--tenant: should be one of {', '.join(settings.tenants)}.")
    return mint(
        secret,
        sub=global_ids.subject(sub),
        staff=staff,
        tenant=tenant,
        now=time.time,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


def explorer(settings: Settings, *, trusting: bool) -> Explorer | None:
    """GraphiQL; over the embedded store with tokens of customers and staff, unless others than
    this machine can come and take them."""
    if not settings.graphiql:
        return None

    def identities() -> list[Identity]:
        known = [Identity("Anonymous", None)]
        if trusting and settings.is_embedded and jwt_secret(settings):
            for label, sub, staff in IDENTITIES:
                token = mint_token(settings, sub, staff=staff, tenant=None)
                known.append(Identity(label, token))
        return known

    return Explorer(EXPLORER, identities)


def compose(
    settings: Settings,
    client: DynamoDBClient,
    session: aiohttp.ClientSession,
    page: Explorer | None,
) -> Starlette:
    """The application over an open store."""
    shop = Shop(
        client=client,
        table=settings.table,
        shards=settings.shards,
        currency=Currency(settings.currency, settings.currency_scale),
        cursors=CursorCodec(cursor_keys(settings)),
        deadline=settings.deadline,
        write_deadline=settings.write_deadline,
        read_budget=settings.read_budget,
        now=now,
    )
    verifier = token_verifier(settings, session)
    endpoint = GraphQLEndpoint(
        executor=Executor(
            build_schema(),
            limits=Limits(tokens=settings.max_tokens),
            introspection=settings.introspection,
        ),
        shop=shop,
        authenticate=partial(identify, verifier=verifier, tenants=settings.tenants),
        explorer=page,
        largest_body=settings.max_body,
        request_id=lambda: uuid.uuid4().hex,
    )

    return build_app(
        endpoint,
        explorer=page,
        readiness=partial(unreachable, client, settings.table),
        allowed_origins=settings.allowed_origins,
    )
