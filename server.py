"""The composition root and the command line: settings -> store -> app. No logic lives here."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import uvicorn
import uvloop

import settings as configuration
from datasources.client import CLIENT_ERRORS, Endpoint, as_store_error, open_client
from datasources.cursor import CursorCodec
from datasources.embedded import embedded_store
from datasources.erasure import erased_users, finish
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

log = logging.getLogger("cartograph")


# --- composition ----------------------------------------------------------------------------


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[DynamoDBClient]:
    """A client of the configured store; the embedded one is started and ended with it."""
    async with AsyncExitStack() as stack:
        url = settings.endpoint
        if settings.is_embedded:
            url = await stack.enter_async_context(
                embedded_store(
                    cache_dir=settings.cache_dir,
                    data_dir=settings.data_dir,
                    region=settings.region,
                    report=say,
                )
            )
        endpoint = Endpoint(settings.region, url, local=settings.is_embedded)
        yield await stack.enter_async_context(open_client(endpoint))


async def prepare_store(settings: Settings, client: DynamoDBClient) -> None:
    """The embedded store gets its tables and demo data; any other must have its tables."""
    if not settings.is_embedded:
        await check(client, settings.table, TEMPLATE)
        return
    await provision(client, settings.table, TEMPLATE)
    for tenant in settings.tenants:
        keys = Keys(tenant, settings.shards)
        await load_demo(bulk_table(settings, client), keys, datetime.now(UTC))


def bulk_table(settings: Settings, client: DynamoDBClient) -> Table:
    """The table for commands; `load` gives each batch a deadline of its own."""
    return Table(client, settings.table, asyncio.get_running_loop().time() + 30)


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
        now=lambda: datetime.now(UTC),
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

    async def readiness() -> str | None:
        try:
            async with asyncio.timeout(2):
                await client.describe_table(TableName=settings.table)
        except TimeoutError:
            return "The store did not answer within 2 seconds."
        except CLIENT_ERRORS as error:
            return as_store_error(error).message
        return None

    return build_app(
        endpoint,
        explorer=page,
        readiness=readiness,
        allowed_origins=settings.allowed_origins,
    )


# --- commands -------------------------------------------------------------------------------


async def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    listener = listen(arguments.host, arguments.port)
    async with open_store(settings) as client, aiohttp.ClientSession() as session:
        await prepare_store(settings, client)
        page = explorer(settings, trusting=is_loopback(listener))
        app = compose(settings, client, session, page)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=20,
            )
        )
        host, port = listener.getsockname()[:2]
        say(f"Serving http://{host}:{port}/graphql from the store {settings.store}")
        if page and not page.built:
            say("The GraphiQL explorer is not built; `make graphiql` builds it (needs npm)")
        # uvicorn raises a signal again once it has stopped; what is open here closes first.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        await server.serve(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, before anything costly starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); "
            "choose another, e.g. --port 9000."
        ) from None
    return listener


def is_loopback(listener: socket.socket) -> bool:
    return ip_address(listener.getsockname()[0]).is_loopback


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
        now=datetime.now(UTC),
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
            async for user in erased_users(bulk_table(settings, client), keys):
                table = bulk_table(settings, client)
                removed += await finish(table, keys, user.id, datetime.now(UTC))
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

    command = add("serve", serve, "Serves the API over HTTP.", settings_help())
    command.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    command.add_argument("--port", type=int, default=8000, help="port (default: %(default)s)")
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
    add("erase", erase, "Removes what is left of erased users; can be run again at any time.")
    return root


def settings_help() -> str:
    lines = ["settings (environment):"]
    for name, default, meaning in configuration.describe():
        lines += [f"  {name} (default: {default})", f"      {meaning}"]
    return "\n".join(lines)


def say(line: str) -> None:
    print(f"cartograph: {line}", file=sys.stderr, flush=True)  # noqa: T201


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    try:
        settings = configuration.load()
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
        )
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
