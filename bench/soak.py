"""Sockets that come and go for ten minutes: whether anything of them stays.

`python -m bench.soak [--minutes M] [--sockets N]` writes `bench/SOAK.md`. Each of N sockets
subscribes to one product, hears what is sold of it, asks something now and then, and goes after a
while, without a word. In the end the service should have as many tasks and subscribers as it began
with, and its resident size should be flat: a line through its second half should rise by less than
GROWTH. The changes that the service keeps for an hour are few here, and still a part of that.
Exit code 1 where it is otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
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
from bench.report import about
from bench.service import HOST
from bench.shelf import stock
from bench.sockets import EventStream, Lost, Socket
from bench.workloads import EVENT, SMALL
from resolvers import global_ids

RESULTS = Path(__file__).parent / "SOAK.md"
LIVES = (1.0, 30.0)  # seconds that a socket stays
SALE = 5.0  # seconds from one to the next
LOOKS = 120  # at the service, in all
GROWTH = 2**20  # bytes
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
    lost: Counter[str] = field(default_factory=Counter)
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
            except (Lost, OSError) as error:
                self.lost[str(error)[:200]] += 1

    async def _socket(self) -> None:
        socket = await Socket.connect(self.port, self._hear)
        try:
            socket.subscribe(EVENT, {"id": self.product})
            await self._wait(random.uniform(*LIVES) / 2)  # noqa: S311
            if self.over.is_set():  # for all at once: too much at a time is not what this is about
                return
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


@dataclass(frozen=True, slots=True)
class Soaked:
    """All looks, the first before anybody came, the last after all have gone."""

    size: int
    looks: Sequence[Look]
    came: int
    heard: int
    lost: Counter[str]

    @property
    def crowded(self) -> Sequence[Look]:
        """The second half of those with everybody there."""
        within = self.looks[1:-1]
        return within[len(within) // 2 :]

    @property
    def growth(self) -> float:
        """Bytes that the resident size has grown in the second half, by a line through it."""
        crowded = self.crowded
        line = linear_regression([one.at for one in crowded], [one.resident for one in crowded])
        return line.slope * (crowded[-1].at - crowded[0].at)

    def faults(self) -> list[str]:
        first, last = self.looks[0], self.looks[-1]
        found = [
            f"{name}: {first.gauges[name]:.0f} at the begin, {last.gauges[name]:.0f} at the end"
            for name in KEPT
            if last.gauges[name] != first.gauges[name]
        ]
        if self.growth >= GROWTH:
            found.append(
                f"the resident size has grown by {_mib(self.growth)} MiB in the second half"
            )
        found += [f"lost {times} times: {why}" for why, times in self.lost.items()]
        return found


async def soak(
    service: Contender, stub: Stub, session: aiohttp.ClientSession, seconds: float, size: int
) -> Soaked:
    product = global_ids.of(stock().watched)
    await _once(Crowd(service.port, product, size // 10), 2.0)  # or what is made once would count
    began = time.monotonic()
    first = await _settled(service, session, began, {})
    print(first, flush=True)
    crowd, looks = Crowd(service.port, product, size), [first]
    coming = asyncio.create_task(crowd.gather())
    selling = asyncio.create_task(_sell(stub))
    while time.monotonic() - began < seconds:
        await asyncio.sleep(seconds / LOOKS)
        looks.append(await look(service, session, began))
        print(looks[-1], flush=True)
    selling.cancel()
    crowd.over.set()
    await coming
    last = await _settled(service, session, began, first.gauges)
    print(last, flush=True)
    return Soaked(size, [*looks, last], crowd.came, crowd.heard, crowd.lost)


async def _sell(stub: Stub) -> None:
    while True:
        await stub.ask("/sell", "POST")
        await asyncio.sleep(SALE)


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


def page(soaked: Soaked) -> Iterator[str]:
    first, *_, last = soaked.looks
    crowded, sizes = soaked.crowded, [one.resident for one in soaked.crowded]
    minutes = (crowded[-1].at - first.at) / 60
    hourly = soaked.growth / (crowded[-1].at - crowded[0].at) * 3_600
    yield "# Sockets that come and go\n"
    yield f"`make soak` writes this page; {about()}.\n"
    yield (
        f"{soaked.size} sockets at a time for {minutes:.0f} minutes, one in ten of them an event "
        f"stream. Each stays for\n{LIVES[0]:.0f} to {LIVES[1]:.0f} seconds, hears of each of the "
        f"sales of one product, one in {SALE:.0f} seconds, asks something,\nand goes without a "
        "word; another comes in its place.\n"
    )
    yield "| | before | the second half | after |"
    yield "|---|---:|---:|---:|"
    for name in KEPT:
        told = [one.gauges[name] for one in crowded]
        sign = "✓" if first.gauges[name] == last.gauges[name] else "✗"
        yield (
            f"| {name.replace('_', ' ')} | {first.gauges[name]:.0f} "
            f"| {min(told):.0f} to {max(told):.0f} | {last.gauges[name]:.0f} {sign} |"
        )
    yield (
        f"| resident size, MiB | {_mib(first.resident)} | {_mib(min(sizes))} to "
        f"{_mib(max(sizes))} | {_mib(last.resident)} |"
    )
    sign = "✓" if soaked.growth < GROWTH else "✗"
    yield (
        f"\n{soaked.came:,} came and heard {soaked.heard:,} events; {soaked.lost.total()} were "
        "lost.\nBy a line through its second half the resident size grows by "
        f"{_mib(soaked.growth)} MiB in that time {sign}, {_mib(hourly)} MiB an hour.\nThe goal is "
        f"less than {_mib(GROWTH)} MiB in that time: a line through so little tells nothing finer."
        "\nThe changes that are kept for an hour, for who comes back, are in it."
    )


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f}"


async def main(minutes: float, size: int) -> Soaked:
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
    soaked = uvloop.run(main(given.minutes, given.sockets))
    told = "\n".join(page(soaked))
    RESULTS.write_text(f"{told}\n", encoding="utf-8")
    found = soaked.faults()
    print("\n".join([told, *found]))
    raise SystemExit(1 if found else 0)
