"""Sockets that come and go for ten minutes: whether anything of them stays.

`python -m bench.soak [--minutes M] [--sockets N]`. Each of N sockets subscribes to one product,
hears what is sold of it, asks something now and then, and goes after a while: with a word, or
without one. In the end the service should have as many tasks and subscribers as it began with,
and its resident size should not have grown after the first quarter by more than a twentieth; it
keeps an hour's changes in memory, which are little here. Exit code 1 where it is otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import aiohttp
import uvloop

from bench.contenders import (
    OURS,
    Contender,
    Stub,
    free_port,
    open_stub,
    running,
    settings,
    until_open,
)
from bench.service import HOST
from bench.shelf import stock
from bench.sockets import EventStream, Lost, Socket
from bench.workloads import EVENT, SMALL
from resolvers import global_ids

LIVES = (1.0, 30.0)  # seconds that a socket stays
SALES = 1.0  # a second
LOOKS = 40  # at the service, in all
GROWTH = 1.05
QUIET = 30.0  # seconds at most until what has gone is forgotten
STREAMS = 0.1  # of all come as event streams
_METRIC = re.compile(r"^cartograph_(\w+) ([0-9.e+]+)$", re.MULTILINE)
KEPT = ("tasks", "websockets", "event_streams", "subscription_groups", "operations")


@dataclass(frozen=True, slots=True)
class Look:
    """At the service: seconds since the begin, resident bytes, and its gauges."""

    at: float
    resident: int
    gauges: dict[str, float]

    def __str__(self) -> str:
        told = "  ".join(f"{name} {self.gauges[name]:5.0f}" for name in KEPT)
        return f"{self.at:6.0f} s  {self.resident / 2**20:7.1f} MiB  {told}"


@dataclass
class Crowd:
    """Who comes and goes, and how often that was."""

    port: int
    product: str
    size: int
    came: int = 0
    heard: int = 0
    lost: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def gather(self) -> None:
        """All of them, each replaced when it has gone, until it is over."""
        await asyncio.gather(*(self._come_and_go() for _ in range(self.size)))

    async def _come_and_go(self) -> None:
        await self._wait(random.uniform(0, LIVES[1]))  # noqa: S311 no secret
        while not self.over.is_set():
            self.came += 1
            try:
                if random.random() < STREAMS:  # noqa: S311
                    await self._stream()
                else:
                    await self._socket()
            except (Lost, OSError):
                self.lost += 1

    async def _socket(self) -> None:
        socket = await Socket.connect(self.port, self._hear)
        try:
            socket.subscribe(EVENT, {"id": self.product})
            await self._wait(random.uniform(*LIVES) / 2)  # noqa: S311
            await socket.ask(SMALL, {"id": self.product})
            await self._wait(random.uniform(*LIVES) / 2)  # noqa: S311
        finally:
            socket.close()

    async def _stream(self) -> None:
        given = {"id": self.product}
        stream = await EventStream.connect(self.port, self._hear, EVENT, given)
        try:
            await self._wait(random.uniform(*LIVES))  # noqa: S311
        finally:
            stream.close()

    def _hear(self, _event: bytes) -> None:
        self.heard += 1

    async def _wait(self, seconds: float) -> None:
        """So long, or until it is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)


async def look(service: Contender, session: aiohttp.ClientSession, began: float) -> Look:
    async with session.get(f"http://{HOST}:{service.port}/metrics") as answer:
        told = await answer.text()
    gauges = {name: float(value) for name, value in _METRIC.findall(told)}
    return Look(time.monotonic() - began, service.resident(), gauges)


async def soak(
    service: Contender, stub: Stub, session: aiohttp.ClientSession, seconds: float, size: int
) -> list[str]:
    """What is not as it should be, after so long."""
    product = global_ids.of(stock().watched)
    await _once(Crowd(service.port, product, size // 10), 2.0)  # or what is made once would count
    began = time.monotonic()
    first = await _settled(service, session, began, {})
    print(first, flush=True)
    crowd, looks = Crowd(service.port, product, size), [first]
    coming = asyncio.create_task(crowd.gather())
    while (now := time.monotonic() - began) < seconds:
        await stub.ask("/sell", "POST")
        if now >= len(looks) * seconds / LOOKS:
            looks.append(await look(service, session, began))
            print(looks[-1], flush=True)
        await asyncio.sleep(1 / SALES)
    crowd.over.set()
    await coming
    last = await _settled(service, session, began, first.gauges)
    print(last, f"\n{crowd.came} came, {crowd.heard} events heard, {crowd.lost} lost", flush=True)
    return faults([*looks, last], crowd.lost)


def faults(looks: Sequence[Look], lost: int) -> list[str]:
    """The first look is before anybody came, the last after all have gone."""
    first, last = looks[0], looks[-1]
    found = [
        f"{name}: {first.gauges[name]:.0f} at the begin, {last.gauges[name]:.0f} at the end"
        for name in KEPT
        if last.gauges[name] != first.gauges[name]
    ]
    within = looks[1:-1]
    early = max(one.resident for one in within[: max(1, len(within) // 4)])
    late = max(one.resident for one in within[-max(1, len(within) // 4) :])
    if late > early * GROWTH:
        grown = f"from {early / 2**20:.1f} to {late / 2**20:.1f} MiB"
        found.append(f"the resident size has grown {grown}")
    if lost:
        found.append(f"the service has ended {lost} connections")
    return found


async def _once(crowd: Crowd, seconds: float) -> None:
    coming = asyncio.create_task(crowd.gather())
    await asyncio.sleep(seconds)
    crowd.over.set()
    await coming


async def _settled(
    service: Contender, session: aiohttp.ClientSession, began: float, wanted: dict[str, float]
) -> Look:
    """A look at the service once its gauges are as wanted, or stay as they are."""
    end, before = time.monotonic() + QUIET, None
    while True:
        await asyncio.sleep(1)
        found = await look(service, session, began)
        now = [found.gauges[name] for name in KEPT]
        if wanted and now == [wanted[name] for name in KEPT]:
            return found
        if time.monotonic() >= end or (not wanted and now == before and not sum(now[1:])):
            return found
        before = now


async def main(minutes: float, size: int) -> list[str]:
    with TemporaryDirectory() as state:
        async with open_stub() as stub, aiohttp.ClientSession() as session:
            port = free_port()
            command = (sys.executable, "-m", "server", "serve", "--port", str(port))
            async with running(command, settings(stub.url, port, state)) as process:
                await until_open(process, port)
                service = Contender(process.pid, port, "", OURS)
                return await soak(service, stub, session, minutes * 60, size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sockets", type=int, default=500, help="at a time")
    given = parser.parse_args()
    found = uvloop.run(main(given.minutes, given.sockets))
    print("\n".join(found) or "Nothing has stayed.")
    raise SystemExit(1 if found else 0)
