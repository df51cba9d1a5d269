"""Three times what the service can answer: how much of its best it still answers, and how soon.

`python -m bench.overload [--seconds S] [--times T] [--workloads KEYS]`. First callers that wait
for each answer find the peak; then requests come at T times that rate, whether or not those
before them were answered, as clients do who know nothing of each other. A stub DynamoDB answers,
so that nothing but the service is short. The service has a core for itself, the load and the stub
another.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
from bench.load import Caller, drive
from bench.service import HOST
from bench.shelf import stock
from bench.workloads import Workload, requests, workloads

GOAL = 0.8  # of the peak
CALLERS = 16
WARM_UP = 2.0  # seconds
SETTLING = 1.0  # seconds of overload that do not count
CALM = 4.0  # seconds until the service has forgotten it
CONNECTIONS = 1_000
ANSWERED, REFUSED = 200, 503


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
    odd: int = 0  # neither answers nor refusals
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
        if status not in {ANSWERED, REFUSED} or any(b'"errors"' in part for part in self._parts):
            self._found.odd += status != REFUSED
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


async def measure(workload: Workload, service: Contender, seconds: float, times: float) -> bool:
    """Prints a line; whether the goal is reached."""
    bodies = requests(workload, "/graphql")
    await drive(service.port, bodies, CALLERS, WARM_UP)
    before = service.cpu()
    peak = await drive(service.port, bodies, CALLERS, seconds)
    best, cost = len(peak.times) / peak.took, (service.cpu() - before) / len(peak.times)
    found, rate = Flood(), times * best
    idle = await connect(service.port, CONNECTIONS, found)
    before = service.cpu()
    await flood(found, idle, bodies, rate, seconds)
    used = service.cpu() - before
    await asyncio.sleep(CALM)
    goodput = len(found.times) / seconds
    refusal = (used - found.all_answered * cost) / max(1, found.all_refused)
    # What would come of it if the processor were the service's alone, as it should be here.
    alone = max(0.0, (1 - times * refusal / cost) / (1 - refusal / cost))
    share = goodput / best
    by_cost = f"an answer {cost * 1e6:.0f}, a refusal {refusal * 1e6:.0f}: by these {alone:.0%}"
    print(
        f"{workload.key}: peak {best:7.0f}/s   at {times:g} times {goodput:7.0f}/s = {share:4.0%}"
        f" {'ok' if share >= GOAL else 'NO'}, refused {len(found.refused) / seconds:7.0f}/s\n"
        f"   ms p50/p99: answers {_ms(found.times)}, refusals {_ms(found.refused)}, "
        f"answers at the peak {_ms(peak.times)}\n"
        f"   CPU us: {by_cost}, busy {used / (seconds + SETTLING):.0%}\n"
        f"   unsent {found.unsent}, odd {found.odd}, load late by {found.late * 1e3:.0f} ms",
        flush=True,
    )
    return share >= GOAL


def _ms(times: Sequence[float]) -> str:
    """The median and the 99th percentile."""
    ordered = sorted(times) or [0.0]
    last = len(ordered) - 1
    return "/".join(f"{ordered[int(share * last)] * 1e3:.0f}" for share in (0.5, 0.99))


async def main(seconds: float, times: float, keys: str) -> None:
    cores = Cores.found()
    os.sched_setaffinity(0, {cores.load})
    with TemporaryDirectory() as state:
        async with open_stub(cores) as stub:
            port = free_port()
            environment = settings(stub.url, port, state)
            command = (sys.executable, "-m", "server", "serve", "--port", str(port))
            async with running(command, environment, cores.server) as process:
                await until_open(process, port)
                service = Contender(process.pid, port, "", OURS)
                asked = [one for one in workloads(stock()) if one.key in keys]
                reached = [await measure(one, service, seconds, times) for one in asked]
    if not all(reached):
        raise SystemExit(f"the goal is {GOAL:.0%} of the peak")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--times", type=float, default=3.0, help="the peak")
    parser.add_argument("--workloads", default="abcd", help="by their letters")
    given = parser.parse_args()
    uvloop.run(main(given.seconds, given.times, given.workloads))
