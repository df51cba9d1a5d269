"""The composition root and the command line: settings -> store -> app. No logic lives here."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import uvloop
from jwt.warnings import InsecureKeyLengthWarning

import settings as configuration
from datasources.client import (
    Endpoint,
    open_client,
    open_streams_client,
    unreachable,
)
from datasources.cursor import CursorCodec
from datasources.embedded import embedded_store
from datasources.erasure import finish_all
from datasources.errors import CartographError, ConfigurationError
from datasources.jwks import KeySet, download
from datasources.keys import Keys
from datasources.provision import check, provision
from datasources.secrets import embedded_secret
from datasources.seed.demo import HANAKO, STAFF, TARO, load_demo
from datasources.seed.generate import generate
from datasources.seed.load import load
from datasources.table import Table
from resolvers import global_ids
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.tokens import TokenVerifier, identify, mint
from schema.app import build_app
from schema.build import build_schema, export_sdl
from schema.explorer import Explorer, Identity
from schema.http import GraphQLEndpoint
from schema.limits import Limits
from schema.operation import Executor
from schema.serving import address, is_loopback, listen, serve_app
from settings import Settings
from streams.processor import following

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from types_aiobotocore_dynamodb import DynamoDBClient

ROOT = Path(__file__).parent
TEMPLATE = ROOT / "infra" / "template.yaml"
EXPLORER = ROOT / "schema" / "graphiql" / "dist"
SECRET_LENGTH = 32  # bytes, RFC 7518, section 3.2
# Whom the explorer can ask as, over the demo data: label, subject, and whether staff.
IDENTITIES = (
    ("Customer: 太郎 田中", TARO, False),
    ("Customer: 花子 佐藤", HANAKO, False),
    ("Staff: 健一 鈴木", STAFF, True),
)


def now() -> datetime:
    return datetime.now(UTC)


# --- composition ----------------------------------------------------------------------------


@asynccontextmanager
async def open_endpoint(settings: Settings) -> AsyncIterator[Endpoint]:
    """Where the configured store is; the embedded one is started and ended with the block."""
    if not settings.is_embedded:
        yield Endpoint(settings.region, settings.endpoint)
        return
    async with embedded_store(
        cache_dir=settings.cache_dir,
        data_dir=settings.data_dir,
        region=settings.region,
        report=say,
    ) as url:
        yield Endpoint(settings.region, url, local=True)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[DynamoDBClient]:
    async with open_endpoint(settings) as endpoint, open_client(endpoint) as client:
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


# --- commands -------------------------------------------------------------------------------


async def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    listener = listen(arguments.host, arguments.port)
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(open_endpoint(settings))
        client = await stack.enter_async_context(open_client(endpoint))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await prepare_store(settings, client)
        if settings.is_embedded:
            streams = await stack.enter_async_context(open_streams_client(endpoint))
            await stack.enter_async_context(following(client, streams, settings.table, now=now))
        if settings.jwt_secret and len(settings.jwt_secret.get_secret_value()) < SECRET_LENGTH:
            say(f"CARTOGRAPH_JWT_SECRET is under {SECRET_LENGTH} bytes: for development alone")
        page = explorer(settings, trusting=is_loopback(listener))
        say(f"Serving http://{address(listener)}/graphql from the store {settings.store}")
        if page and not page.built:
            say("The GraphiQL explorer is not built; `make graphiql` builds it (needs npm)")
        await serve_app(compose(settings, client, session, page), listener)


async def process(settings: Settings, _arguments: argparse.Namespace) -> None:
    if settings.is_embedded:
        raise ConfigurationError(
            "CARTOGRAPH_STORE: should not be embedded here: the service that starts that store "
            "processes its events itself."
        )
    async with (
        open_endpoint(settings) as endpoint,
        open_client(endpoint) as client,
        open_streams_client(endpoint) as streams,
    ):
        await check(client, settings.table, TEMPLATE)
        async with following(client, streams, settings.table, now=now) as follower:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, follower.cancel)
            say(f"Following the changes of table {settings.table}")
            with suppress(asyncio.CancelledError):
                await follower


async def create_table(settings: Settings, _arguments: argparse.Namespace) -> None:
    keep_rows(settings)
    async with open_store(settings) as client:
        done = await provision(client, settings.table, TEMPLATE)
    for line in done or ["Nothing to do: the tables are there, as they should be"]:
        say(line)


async def seed(settings: Settings, arguments: argparse.Namespace) -> None:
    keep_rows(settings)
    say("Drawing the data")
    shop = generate(
        Keys(settings.tenants[0], settings.shards),
        users=arguments.users,
        products=arguments.products,
        orders=arguments.orders,
        reviews=arguments.reviews,
        seed=arguments.seed,
        now=now(),
    )
    async with open_store(settings) as client:
        if settings.is_embedded:
            await provision(client, settings.table, TEMPLATE)
        else:
            await check(client, settings.table, TEMPLATE)
        table = bulk_table(settings, client)
        written = await load(table, shop, total=len(shop), progress=True)
    say(f"Wrote {written} rows to table {settings.table}")


async def erase(settings: Settings, _arguments: argparse.Namespace) -> None:
    keep_rows(settings)
    removed = 0
    async with open_store(settings) as client:
        await check(client, settings.table, TEMPLATE)
        for tenant in settings.tenants:
            keys = Keys(tenant, settings.shards)
            removed += await finish_all(partial(bulk_table, settings, client), keys, now())
    say(f"Removed {removed} addresses from finished orders of erased users")


def keep_rows(settings: Settings) -> None:
    if settings.is_embedded and settings.data_dir is None:
        raise ConfigurationError(
            "CARTOGRAPH_DATA_DIR: should be set, or the embedded store ends with this command "
            "and its rows with it."
        )


async def token(settings: Settings, arguments: argparse.Namespace) -> None:
    staff = arguments.role == "staff"
    print(mint_token(settings, arguments.sub, staff=staff, tenant=arguments.tenant))  # noqa: T201


async def schema(_settings: Settings, _arguments: argparse.Namespace) -> None:
    print(export_sdl(), end="")  # noqa: T201


# --- the command line -----------------------------------------------------------------------

Command = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, None]]


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, exit code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    root = Parser(prog="cartograph", description="A GraphQL API for a shop in one DynamoDB table.")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, run: Command, summary: str, epilog: str | None = None) -> Parser:
        command: Parser = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    command = add("serve", serve, "Serves the API over HTTP.", configuration.help_text())
    command.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    command.add_argument("--port", type=port, default=8000, help="port (default: %(default)s)")
    add("schema", schema, "Prints the schema in the schema definition language.")
    command = add("token", token, "Prints a token for development, good for a day.")
    command.add_argument("--sub", required=True, help="the user's ID, raw or global")
    command.add_argument("--role", choices=["staff"], help="a role that counts")
    command.add_argument("--tenant", help="one of CARTOGRAPH_TENANTS")
    add("table", create_table, "Creates the tables in the configured store, where missing.")
    command = add("seed", seed, "Fills the configured store with believable data.")
    for name, amount in (("users", 200), ("products", 200), ("orders", 600), ("reviews", 1000)):
        command.add_argument(
            f"--{name}", type=int, default=amount, metavar="N", help="(default: %(default)s)"
        )
    command.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same data")
    add("process", process, "Follows the table's stream and keeps ratings and counts.")
    add("erase", erase, "Removes what is left of erased users; can be run again at any time.")
    return root


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"should be 0 to 65535, not {number}")
    return number


def say(line: str) -> None:
    print(f"cartograph: {line}", file=sys.stderr, flush=True)  # noqa: T201


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    try:
        settings = configuration.load()
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
        )
        for library in ("aiobotocore", "botocore"):  # which tell where credentials were found
            logging.getLogger(library).setLevel(logging.WARNING)
        # `serve` says so in a line of its own.
        warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(arguments.run(settings, arguments))
    except ConfigurationError as error:
        say(error.message)
        sys.exit(2)
    except CartographError as error:
        say(error.message)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
