"""The servers that are compared, each a process of its own on a core that nothing else is on."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench.load import Caller
from bench.service import HOST, ROOT, Service
from bench.workloads import SECRET

NODE = Path(__file__).parent / "peers" / "node"
OURS, STRAIGHTFORWARD, FLOOR = "Cartograph", "Strawberry + aioboto3", "DynamoDB calls alone"
APOLLO, YOGA = "Apollo Server 5", "GraphQL Yoga"
SPARED = "The same, collector spared"
BARE = "The same, caches off"
NODES = (APOLLO, YOGA)
FLOORS = (FLOOR, SPARED)
_SCHEDULED = 2  # CPUCLOCK_SCHED of the kernel
# Those that speak GraphQL, and so have subscriptions.
SERVERS = (OURS, STRAIGHTFORWARD, APOLLO, YOGA)

_COMMANDS: Mapping[str, Sequence[str]] = {
    OURS: (sys.executable, "-m", "server", "serve", "--port"),
    STRAIGHTFORWARD: (sys.executable, "-m", "bench.peers.straightforward"),
    BARE: (sys.executable, "-m", "bench.peers.straightforward", "bare"),
    APOLLO: ("node", str(NODE / "apollo.mjs")),
    YOGA: ("node", str(NODE / "yoga.mjs")),
    FLOOR: (sys.executable, "-m", "bench.peers.floor"),
    SPARED: (sys.executable, "-m", "bench.peers.floor", "spared"),
}


@dataclass(frozen=True, slots=True)
class Cores:
    """One for the server that is measured, one for the load and the stub."""

    server: int
    load: int

    @classmethod
    def found(cls) -> Cores:
        mine = sorted(os.sched_getaffinity(0))
        if len(mine) < 2:
            raise SystemExit("the comparison needs two cores")
        return cls(server=mine[1], load=mine[0])


@dataclass(frozen=True, slots=True)
class Contender(Service):
    name: str

    def cpu(self) -> float:
        return cpu_of(self.pid)

    def path(self, workload: str) -> str:
        return f"/{workload}" if self.name in FLOORS else "/graphql"


def cpu_of(pid: int) -> float:
    """Processor seconds so far, user and system of all threads, to the microsecond: by the clock
    that Linux has for every process (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


@dataclass(frozen=True, slots=True)
class Stub:
    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def ask(self, path: str, method: str = "GET") -> dict[str, float]:
        caller = await Caller.connect(self.port)
        answer = await caller.ask(f"{method} {path} HTTP/1.1\r\nHost: stub\r\n\r\n".encode())
        caller.close()
        told: dict[str, float] = orjson.loads(answer)
        return told

    async def calls(self) -> float:
        """Reads and writes of items so far; what follows the stream is not among them."""
        counts = await self.ask("/counts")
        names = ("GetItem", "BatchGetItem", "Query", "TransactWriteItems")
        return sum(counts.get(name, 0) for name in names)


@asynccontextmanager
async def open_stub(cores: Cores | None = None, *arguments: str) -> AsyncIterator[Stub]:
    port = free_port()
    command = (sys.executable, "-m", "bench.stub", str(port), *arguments)
    core = cores.load if cores else None
    async with running(command, os.environ, core) as process:
        await until_open(process, port)
        yield Stub(process.pid, port)


@asynccontextmanager
async def open_contenders(cores: Cores, stub: Stub) -> AsyncIterator[dict[str, Contender]]:
    """All of them; those that are not asked cost next to nothing meanwhile."""
    async with AsyncExitStack() as stack:
        state = stack.enter_context(TemporaryDirectory())
        contenders = {}
        for name, command in _COMMANDS.items():
            port = free_port()
            known = settings(stub.url, port, state)
            whole = (*command, str(port)) if name == OURS else command
            process = await stack.enter_async_context(running(whole, known, cores.server))
            contenders[name] = Contender(process.pid, port, "", name)
            await until_open(process, port)
        yield contenders


def settings(store: str, port: int, state: str, **more: str) -> dict[str, str]:
    """The environment of a server; `more` are settings of this service."""
    ours = {
        "STORE": store,
        "JWT_SECRET": SECRET,
        "CURSOR_KEYS": SECRET,
        "STATE_DIR": state,
        # One client stands for many here: it is counted, and never refused.
        "RATE_CAPACITY": "1000000000",
        "RATE_RESTORE": "1000000000",
        "SOCKETS_PER_PRINCIPAL": "10000",
        "SOCKETS_PER_ADDRESS": "10000",
        **more,
    }
    plain = {name: value for name, value in os.environ.items() if "CARTOGRAPH_" not in name}
    return {
        **plain,
        **{f"CARTOGRAPH_{name}": value for name, value in ours.items()},
        "STORE": store,
        "SECRET": SECRET,
        "PORT": str(port),
        "NODE_ENV": "production",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }


@asynccontextmanager
async def running(
    command: Sequence[str], environment: Mapping[str, str], core: int | None = None
) -> AsyncIterator[Process]:
    """On a core that it has for itself, or wherever there is room."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=dict(environment),
        stdout=DEVNULL,
        stderr=None if "bench.stub" in command else PIPE,
        preexec_fn=None if core is None else partial(os.sched_setaffinity, 0, {core}),
    )
    said = process.stderr
    draining = asyncio.create_task(said.read()) if said else None
    try:
        yield process
    except BaseException:
        if process.returncode is not None and draining:
            print((await draining).decode(), file=sys.stderr)
        raise
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()


async def until_open(process: Process, port: int) -> None:
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise SystemExit(f"a process ended before it served: {process}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port
