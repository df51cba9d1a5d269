"""The service as its users start it: a process of its own, over its own embedded store."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Service:
    """`token` is one of the staff. The store is another process, and counts for neither figure."""

    pid: int
    port: int
    token: str

    def cpu(self) -> float:
        """Processor seconds so far, to the clock tick (usually 10 ms)."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICK

    def resident(self) -> int:
        """Bytes of memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """On a free port, ready, with demo data."""
    with TemporaryDirectory() as state:
        settings = {name: value for name, value in os.environ.items() if "CARTOGRAPH_" not in name}
        settings["XDG_STATE_HOME"] = state
        process = await asyncio.create_subprocess_exec(
            *_command("serve", "--port", "0"), cwd=ROOT, env=settings, stderr=PIPE
        )
        said = process.stderr
        assert said  # noqa: S101 it is piped
        try:
            port = await _port(said)
            # Or the service would wait, once the pipe is full.
            draining = asyncio.create_task(said.read())
            await _until_ready(port)
            yield Service(process.pid, port, await _token(settings))
            draining.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "server", *arguments]


async def _port(said: asyncio.StreamReader) -> int:
    lines = []
    async for line in said:
        lines.append(line.decode())
        if " Serving http://" in lines[-1]:
            return int(lines[-1].partition(f"{HOST}:")[2].partition("/")[0])
    raise SystemExit(f"the service did not start:\n{''.join(lines)}")


async def _until_ready(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{HOST}:{port}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.1)


async def _token(settings: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *_command("token", "--sub", "bench", "--role", "staff"),
        cwd=ROOT,
        env=settings,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    told, _ = await process.communicate()
    return told.decode().strip()
