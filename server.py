"""The command line. What its commands work with is put together in `composition/`.

Commands import what they alone need, such as the schema: that takes longer than most of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop

import settings as configuration
from composition import logs
from composition.commands import archive, backup, deploy, export, partiql
from composition.commands.adding import Command, Parser, Work
from composition.store import (
    TEMPLATE,
    bulk_table,
    now,
    open_endpoint,
    open_store,
)
from composition.terminal import say
from datasources.client import open_client
from datasources.erasure import finish_all
from datasources.errors import CartographError, ConfigurationError
from datasources.keys import Keys
from datasources.operating.provision import check, provision
from datasources.operating.recount import recount as recount_all
from datasources.seed.generate import generate
from datasources.seed.load import load
from settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from streams.dead_letters import QueueDeadLetters
    from streams.relay import Relay

MOST_WORKERS = 64


def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    from composition.identity import allow_short_secrets
    from composition.serving import answer, check_workers, introduction
    from composition.workers import Worker, fork_workers
    from schema.serving.server import is_loopback, listen

    allow_short_secrets()
    if arguments.workers > 1:
        check_workers(settings)
    listener = listen(arguments.host, arguments.port)
    local = is_loopback(listener)
    lines = introduction(settings, listener, local=local, workers=arguments.workers)

    def announce() -> None:
        for line in lines:
            say(line)

    source: socket.socket | Worker = listener
    if arguments.workers > 1:
        source = fork_workers(listener, arguments.workers, announce=announce, say=say)
    in_loop(answer(settings, source, local=local, announce=announce, report=say))


async def process(settings: Settings, arguments: argparse.Namespace) -> None:
    from prometheus_client import CollectorRegistry

    from composition.live import open_letters, open_processor
    from schema.serving.server import listen
    from streams.metrics import StreamMetrics

    if settings.is_embedded:
        raise ConfigurationError(
            "CARTOGRAPH_STORE: should not be embedded here: the service that starts that store "
            "processes its events itself."
        )
    listener = None if arguments.port is None else listen(arguments.host, arguments.port)
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(open_endpoint(settings, say))
        client = await stack.enter_async_context(open_client(endpoint))
        await check(client, settings.table, TEMPLATE)
        opening = open_processor(settings, endpoint, client, StreamMetrics(registry))
        relay = await stack.enter_async_context(opening)
        if arguments.redrive:
            letters = await stack.enter_async_context(open_letters(settings))
            return await redrive(settings, relay, letters)
        if settings.redis_url is None:
            say("CARTOGRAPH_REDIS_URL is not set: changes are reacted to, and told to nobody")
        following = await stack.enter_async_context(relay.running())
        say(f"Following the changes of table {settings.table}")
        if listener is None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
            with suppress(asyncio.CancelledError):
                await following
        else:
            await watch(relay, following, registry, listener)
    return None


async def watch(
    relay: Relay,
    following: asyncio.Task[None],
    registry: CollectorRegistry,
    listener: socket.socket,
) -> None:
    """Answers probes and scrapers until told to end; raises what ends the following."""
    from starlette.applications import Starlette

    from composition.app import new_request_id
    from schema.app import probes
    from schema.serving.server import address, serve_app

    async def missing() -> str | None:
        return relay.missing

    say(f"Answering probes on http://{address(listener)}")
    app = Starlette(routes=probes(missing, registry))
    serving = serve_app(app, listener, request_id=new_request_id)
    answering = asyncio.create_task(serving)
    await asyncio.wait({answering, following}, return_when=asyncio.FIRST_COMPLETED)
    await (following if following.done() else answering)


async def redrive(settings: Settings, relay: Relay, letters: QueueDeadLetters | None) -> None:
    from streams.redrive import Redrive

    if letters is None:
        raise ConfigurationError(
            "CARTOGRAPH_DEAD_LETTER_QUEUE: should be set, or there is nothing to take up again."
        )
    stream = await relay.stream()
    again = Redrive(relay.streams, letters, stream, relay.reactions, relay.patience, say)
    say(f"Dead letters: {await again.run()}")


async def create_table(settings: Settings, _arguments: argparse.Namespace) -> None:
    keep_rows(settings)
    async with open_store(settings, say) as client:
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
    async with open_store(settings, say) as client:
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
    async with open_store(settings, say) as client:
        await check(client, settings.table, TEMPLATE)
        for tenant in settings.tenants:
            keys = Keys(tenant, settings.shards)
            removed += await finish_all(partial(bulk_table, settings, client), keys, now())
    say(f"Removed {removed} addresses from finished orders of erased users")


async def recount(settings: Settings, arguments: argparse.Namespace) -> None:
    keep_rows(settings)
    wrong = 0
    async with open_store(settings, say) as client:
        await check(client, settings.table, TEMPLATE)
        table = partial(bulk_table, settings, client)
        for tenant in settings.tenants:
            keys = Keys(tenant, settings.shards)
            found = await recount_all(table, keys, mend=arguments.mend, report=say)
            say(f"Tenant {tenant}: {found}")
            wrong += not found.is_right
    if wrong:
        raise CartographError("Not all ratings and counts are right; --mend sets them right.")


def keep_rows(settings: Settings) -> None:
    if settings.is_embedded and settings.data_dir is None:
        raise ConfigurationError(
            "CARTOGRAPH_DATA_DIR: should be set, or the embedded store ends with this command "
            "and its rows with it."
        )


async def token(settings: Settings, arguments: argparse.Namespace) -> None:
    from composition.identity import allow_short_secrets, mint_token

    allow_short_secrets()
    staff = arguments.role == "staff"
    print(mint_token(settings, arguments.sub, staff=staff, tenant=arguments.tenant))  # noqa: T201


async def schema(_settings: Settings, _arguments: argparse.Namespace) -> None:
    from schema.build import export_sdl

    print(export_sdl(), end="")  # noqa: T201


# --- the command line -----------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    root = Parser(prog="cartograph", description="A GraphQL API for a shop in one DynamoDB table.")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, run: Command | Work, summary: str, epilog: str | None = None) -> Parser:
        command: Parser = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run, serving=False)
        return command

    command = add("serve", serve, "Serves the API over HTTP.", configuration.help_text())
    command.set_defaults(serving=True)
    command.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    command.add_argument("--port", type=port, default=8000, help="port (default: %(default)s)")
    command.add_argument(
        "--workers",
        type=workers,
        default=1,
        metavar="N",
        help="processes; above 1 they need a broker (default: %(default)s)",
    )
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
    command = add("process", process, "Follows the table's stream, for all that serve.")
    command.set_defaults(serving=True)
    command.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    command.add_argument(
        "--port", type=port, help="where /healthz, /readyz and /metrics are; without it nowhere"
    )
    command.add_argument(
        "--redrive", action="store_true", help="takes dead letters up again instead, and ends"
    )
    command = add("recount", recount, "Compares every rating and count with a fresh count.")
    command.add_argument(
        "--mend",
        action="store_true",
        help="sets right what differs; the stream must be followed meanwhile",
    )
    add("erase", erase, "Removes what is left of erased users; can be run again at any time.")
    for module in (partiql, backup, export, archive, deploy):
        module.add(add)
    return root


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"should be 0 to 65535, not {number}")
    return number


def workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"should be 1 to {MOST_WORKERS}, not {number}")
    return number


def in_loop(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    try:
        settings = configuration.load(serving=arguments.serving)
        logs.configure(settings.log_level, settings.log_format)
        if work := arguments.run(settings, arguments):
            in_loop(work)
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
