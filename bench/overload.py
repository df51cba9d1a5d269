"""Three times what the service can answer: how much of its best it still answers, and how soon.

`python -m bench.overload [--seconds S] [--rounds N] [--times T] [--workloads KEYS]` writes
`bench/OVERLOAD.md`, unless it is of some workloads only. First callers that wait for each answer
find the peak; then requests come at T times that rate, whether or not those before them were
answered, as clients do who know nothing of each other. A stub DynamoDB answers, so that nothing
but the service is short. The service has a core for itself, the load and the stub another. Linux
alone: it binds processes to cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.contenders import (
    OURS,
    Contender,
    Cores,
    free_port,
    open_stub,
    running,
    settings,
    until_open,
)
from bench.load import Caller, Refusal, Round, drive
from bench.report import about
from bench.service import HOST
from bench.shelf import Shelf, stock
from bench.workloads import requests, workloads

RESULTS = Path(__file__).parent / "OVERLOAD.md"
GOAL = 0.8  # of the peak
BUSY = 0.9  # of its core, which the service has to have had in a round that counts
TRIES = 4  # for each round
CALLERS = 16
WARM_UP = 2.0  # seconds
SETTLING = 2.0  # seconds of overload that do not count
CALM = 4.0  # seconds until the service has forgotten it
CONNECTIONS = 1_000
ANSWERED, REFUSED = 200, 503
PATH = "/graphql"
ALL = "abcdm"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is asked, without end."""

    key: str
    title: str
    bodies: Iterator[bytes]


def traffic(shelf: Shelf) -> list[Traffic]:
    """Each workload by itself, and all of them, as a shop is asked."""
    alone = [Traffic(one.key, one.title, requests(one, PATH)) for one in workloads(shelf)]
    each = [requests(one, PATH) for one in workloads(shelf)]
    return [*alone, Traffic("m", "these four in turn", chain.from_iterable(zip(*each)))]  # noqa: B905


@dataclass
class Flood:
    """What became of requests that came at a rate. Times are seconds from when one was due to its
    answer or refusal, but for those that came first; the numbers are of all."""

    times: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    all_answered: int = 0
    all_refused: int = 0
    unsent: int = 0  # no connection was free
    lost: int = 0  # connections
    odd: Counter[str] = field(default_factory=Counter)  # neither answers nor refusals
    late: float = 0.0  # seconds that the load itself took for one turn

    def note(self, due: float, *, answered: bool, counts: bool) -> None:
        self.all_answered += answered
        self.all_refused += not answered
        if counts:
            (self.times if answered else self.refused).append(time.perf_counter() - due)


class Flooding(Caller):
    """A connection that requests are sent over as they come due."""

    def __init__(self, found: Flood, idle: deque[Flooding]) -> None:
        super().__init__()
        self._found = found
        self._idle = idle
        self._due = 0.0
        self._counts = False

    def send(self, request: bytes, due: float, *, counts: bool) -> None:
        self._due, self._counts = due, counts
        self._transport.write(request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._found.lost += 1
        with suppress(ValueError):
            self._idle.remove(self)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._found.note(self._due, answered=status == ANSWERED, counts=self._counts)
        if status != REFUSED:
            body = b"".join(self._parts)
            if status != ANSWERED or b'"errors"' in body:
                self._found.odd[f"{status} {body[:500].decode()}"] += 1
        self._idle.append(self)


async def connect(port: int, count: int, found: Flood) -> deque[Flooding]:
    # Who has waited longest goes first, so that no connection is left idle and closed.
    idle: deque[Flooding] = deque()
    loop = asyncio.get_running_loop()
    for _ in range(count):
        _, one = await loop.create_connection(lambda: Flooding(found, idle), HOST, port)
        idle.append(one)
    return idle


async def flood(
    found: Flood, idle: deque[Flooding], bodies: Iterator[bytes], rate: float, seconds: float
) -> None:
    """So many requests a second, each in its time; returns when what was sent is answered."""
    connections = tuple(idle)
    began = time.perf_counter()
    counted, end = began + SETTLING, began + SETTLING + seconds
    sent = 0
    while (now := time.perf_counter()) < end:
        while (due := began + sent / rate) <= now:
            sent += 1
            if idle:
                idle.popleft().send(next(bodies), due, counts=counted <= due < end)
            else:
                found.unsent += 1
        found.late = max(found.late, time.perf_counter() - now)
        await asyncio.sleep(0.001)
    while len(idle) < len(connections) - found.lost:  # noqa: ASYNC110 nothing tells of the last
        await asyncio.sleep(0.01)
    for each in connections:
        each.close()


@dataclass(frozen=True, slots=True)
class Peak:
    """`rate`: answers a second; `cost`: processor seconds of the service, an answer; `busy`: the
    part of its core that it had."""

    rate: float
    cost: float
    busy: float
    times: Sequence[float]

    @classmethod
    def of(cls, done: Round, used: float) -> Peak:
        answers = len(done.times)
        return cls(answers / done.took, used / answers, used / done.took, done.times)


@dataclass(frozen=True, slots=True)
class Overload:
    """`rate`: answers a second while `offered` requests come; `refusal`: processor seconds of the
    service, a refusal, if answers cost what they cost at the peak; `useful`: the part of its
    processor time that answers had, by the same; `busy`: the part of its core that it had."""

    offered: float
    rate: float
    refusal: float
    useful: float
    busy: float
    found: Flood


@dataclass(frozen=True, slots=True)
class Found:
    """A round: its peak, and what was left of that when more came. Of several the median counts,
    for what else the machine does may take from either."""

    traffic: Traffic
    peak: Peak
    overload: Overload

    @property
    def share(self) -> float:
        return self.overload.rate / self.peak.rate

    @property
    def counts(self) -> bool:
        """Whether nothing but the service was short: all was sent, and it had its core."""
        return not self.overload.found.unsent and min(self.peak.busy, self.overload.busy) >= BUSY

    @property
    def kept(self) -> float:
        """Of the peak by the clock, or of processor time, whichever is less: what else the machine
        does in one of the two alone is in the first, and not in the second."""
        return min(self.share, self.overload.useful)


async def measure(
    traffic: Traffic, service: Contender, seconds: float, rounds: int, times: float
) -> Found:
    bodies = traffic.bodies
    with suppress(Refusal):
        await drive(service.port, bodies, CALLERS, WARM_UP)
    found: list[Found] = []
    for _ in range(TRIES * rounds):
        before = service.cpu()
        try:
            done = await drive(service.port, bodies, CALLERS, seconds)
            peak = Peak.of(done, service.cpu() - before)
            over = await overload(bodies, service, seconds, times, peak)
        except Refusal as refusal:  # a machine that stands still makes the store's calls late
            print(f"a round that does not count: {refusal}"[:200], file=sys.stderr)
            continue
        finally:
            await asyncio.sleep(CALM)
        if (one := Found(traffic, peak, over)).counts:
            found.append(one)
        if len(found) == rounds:
            return sorted(found, key=lambda one: one.kept)[rounds // 2]
    raise SystemExit("the machine does too much else to measure the service alone")


async def overload(
    bodies: Iterator[bytes], service: Contender, seconds: float, times: float, peak: Peak
) -> Overload:
    found = Flood()
    # Each is used every two seconds at least, or the service would close it meanwhile.
    count = min(CONNECTIONS, int(2 * times * peak.rate))
    idle = await connect(service.port, count, found)
    before = service.cpu()
    await flood(found, idle, bodies, times * peak.rate, seconds)
    used = service.cpu() - before
    refusals = used - found.all_answered * peak.cost
    if found.odd:
        raise Refusal(f"neither answers nor refusals: {found.odd}")
    if found.lost:
        raise Refusal(f"{found.lost} connections were lost")
    return Overload(
        offered=times * peak.rate,
        rate=len(found.times) / seconds,
        refusal=max(0.0, refusals / max(1, found.all_refused)),
        useful=found.all_answered * peak.cost / used,
        busy=used / (seconds + SETTLING),
        found=found,
    )


def line(one: Found) -> str:
    peak, over = one.peak, one.overload
    sign = "✓" if one.kept >= GOAL else "✗"
    return (
        f"| {one.traffic.key}: {one.traffic.title} | {peak.rate:,.0f} | {over.offered:,.0f} "
        f"| {over.rate:,.0f} | {one.share:.0%} {sign} | {_ms(peak.times)} "
        f"| {_ms(over.found.times)} | {_ms(over.found.refused)} | {peak.cost * 1e6:,.0f} "
        f"| {over.refusal * 1e6:,.0f} | {over.useful:.0%} | {over.busy:.0%} |"
    )


def page(measured: Sequence[Found], seconds: float, rounds: int, times: float) -> Iterator[str]:
    yield f"# {times:g} times what the service can answer\n"
    yield f"`make bench-overload` writes this page; {about()}.\n"
    yield (
        f"The peak is of {CALLERS} callers who each wait for their answer. Then requests come at "
        f"{times:g} times that rate over up\nto {CONNECTIONS:,} connections, whether or not those "
        f"before them were answered. Each line is of the median of {rounds} rounds, both "
        f"of {seconds:g} seconds, one\nafter the other. The service has a core for itself, the "
        "load and a stub DynamoDB\nthe other; *busy* is what it had of it, and *useful* what of "
        "that went into answers, if these cost what\nthey cost at the peak; the rest is "
        f"refusals'. Rounds in which it had less than {BUSY:.0%} of its core do not\ncount. Times "
        f"are from when a request was due. The goal is {GOAL:.0%}, of the peak and of its "
        "processor\ntime.\n"
    )
    yield (
        "| workload | peak/s | come/s | answered/s | of the peak | at the peak, p50/p99 ms "
        "| answers, p50/p99 ms | refusals, p50/p99 ms | CPU µs an answer | a refusal | useful "
        "| busy |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for one in measured:
        yield line(one)


def _ms(times: Sequence[float]) -> str:
    """The median and the 99th percentile."""
    ordered = sorted(times) or [0.0]
    last = len(ordered) - 1
    return "/".join(f"{ordered[int(share * last)] * 1e3:.0f}" for share in (0.5, 0.99))


async def main(seconds: float, rounds: int, times: float, keys: str) -> list[Found]:
    cores = Cores.found()
    os.sched_setaffinity(0, {cores.load})
    measured = []
    with TemporaryDirectory() as state:
        async with open_stub(cores) as stub:
            port = free_port()
            environment = settings(stub.url, port, state)
            command = (sys.executable, "-m", "server", "serve", "--port", str(port))
            async with running(command, environment, cores.server) as process:
                await until_open(process, port)
                service = Contender(process.pid, port, "", OURS)
                for each in traffic(stock()):
                    if each.key in keys:
                        found = await measure(each, service, seconds, rounds, times)
                        print(line(found), flush=True)
                        measured.append(found)
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5, help="at the peak, and above it")
    parser.add_argument("--times", type=float, default=3.0, help="the peak")
    parser.add_argument(
        "--workloads", default=ALL, help="by their letters, m for all of them in turn"
    )
    given = parser.parse_args()
    measured = uvloop.run(main(given.seconds, given.rounds, given.times, given.workloads))
    if set(given.workloads) == set(ALL):
        told = "\n".join(page(measured, given.seconds, given.rounds, given.times))
        RESULTS.write_text(f"{told}\n", encoding="utf-8")
        print(f"wrote {RESULTS}")
    if any(one.kept < GOAL for one in measured):
        raise SystemExit(f"the goal is {GOAL:.0%} of the peak")
