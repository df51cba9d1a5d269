"""One worker, and two: what they answer a second, and what an answer costs then.

`python -m bench.workers [--seconds S] [--rounds N]` writes `bench/WORKERS.md`; it needs
redis-server. The load and the stub are on the same cores as the workers, so it also says what is
left to these: more than that nothing could give.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import uvloop

from bench.contenders import Stub, cpu_of, free_port, open_stub, running, settings, until_open
from bench.load import Caller, data_of, drive
from bench.report import about
from bench.service import HOST
from bench.shelf import stock
from bench.workloads import Workload, requests, workloads

RESULTS = Path(__file__).parent / "WORKERS.md"
COUNTS = (1, 2)  # of workers
CALLERS = 8
WORKLOADS = "bc"  # in which the load costs least beside the service
GOAL = 1.7  # times the answers a second of one worker
WARM_UP = 2.0  # seconds of each query before it counts


@dataclass(frozen=True, slots=True)
class Figures:
    """`rate`: answers a second; `own` and `load`: processor seconds an answer, of the service and
    of who asks it and is asked by it; `others`: cores that nobody of these had meanwhile."""

    rate: float
    own: float
    load: float
    others: float

    def most(self, workers: int, cores: int) -> float:
        """How many workers' time the cores have for so many workers, with the load beside."""
        return min(workers, (cores - self.others) * self.own / (self.own + self.load))


@dataclass(frozen=True, slots=True)
class Service:
    pid: int
    port: int

    def cpu(self) -> float:
        """Of the supervisor and all workers."""
        return sum(map(cpu_of, (self.pid, *self.workers())))

    def workers(self) -> list[int]:
        told = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="utf-8")
        return [int(pid) for pid in told.split()]


async def main(seconds: float, rounds: int) -> None:
    asked = [replace(one, callers=CALLERS) for one in workloads(stock()) if one.key in WORKLOADS]
    found: dict[tuple[str, int], Figures] = {}
    async with open_stub() as stub, open_services(stub) as services:
        for query in asked:
            await check(query, services)
            for service in services.values():
                await drive(service.port, requests(query, "/graphql"), CALLERS, WARM_UP)
            for _ in range(rounds):
                for count, service in services.items():
                    one = await measure(query, service, stub, seconds)
                    best = found.setdefault((query.key, count), one)
                    # Whatever else the machine does can only take from it.
                    if one.rate > best.rate:
                        found[query.key, count] = one
            show(query, found)
    cores = len(os.sched_getaffinity(0))
    RESULTS.write_text("\n".join(page(asked, found, cores)) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


@asynccontextmanager
async def open_services(stub: Stub) -> AsyncIterator[dict[int, Service]]:
    """By the number of their workers, with a broker beside them."""
    redis = which("redis-server")
    if redis is None:
        raise SystemExit("several workers need a broker: install redis-server")
    async with AsyncExitStack() as stack:
        folder, broker = stack.enter_context(TemporaryDirectory()), str(free_port())
        command = (redis, "--bind", HOST, "--port", broker, "--dir", folder, "--save", "")
        process = await stack.enter_async_context(running(command, os.environ))
        await until_open(process, int(broker))
        services = {}
        for count in COUNTS:
            port = free_port()
            known = settings(stub.url, port, folder, REDIS_URL=f"redis://{HOST}:{broker}")
            serve = ("serve", "--port", str(port), "--workers", str(count))
            process = await stack.enter_async_context(
                running((sys.executable, "-m", "server", *serve), known)
            )
            await until_open(process, port)
            services[count] = Service(process.pid, port)
        yield services


async def check(query: Workload, services: Mapping[int, Service]) -> None:
    """That every worker answers, and the same."""
    answers = set()
    for count, service in services.items():
        for _ in range(2 * count):
            caller = await Caller.connect(service.port)
            answers.add(data_of(await caller.ask(next(requests(query, "/graphql")))))
            caller.close()
    if len(answers) != 1:
        raise SystemExit(f"workload {query.key}: the answers differ")


async def measure(query: Workload, service: Service, stub: Stub, seconds: float) -> Figures:
    def used() -> tuple[float, float, float]:
        return service.cpu(), time.process_time() + cpu_of(stub.pid), cpu_of_all()

    before = used()
    done = await drive(service.port, requests(query, "/graphql"), CALLERS, seconds)
    own, load, everything = (now - then for now, then in zip(used(), before, strict=True))
    count = len(done.times)
    others = max(0.0, everything - own - load) / done.took
    return Figures(count / done.took, own / count, load / count, others)


def cpu_of_all() -> float:
    """Processor seconds of the whole machine, and those that its host kept: proc(5)'s stat."""
    first, _, _ = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")
    user, nice, system, _idle, _waiting, irq, softirq, steal, *_ = map(int, first.split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def show(query: Workload, found: Mapping[tuple[str, int], Figures]) -> None:
    for count in COUNTS:
        one = found[query.key, count]
        print(
            f"{query.key}  {count} workers  {one.rate:8.1f}/s  {one.own * 1e6:7.0f} us  "
            f"load {one.load * 1e6:6.0f} us  others {one.others:.2f} cores",
            flush=True,
        )


def page(
    asked: Sequence[Workload], found: Mapping[tuple[str, int], Figures], cores: int
) -> Iterator[str]:
    yield "# One worker, and two\n"
    yield f"`make bench-workers` writes this page; {about()}.\n"
    yield (
        f"`cartograph serve --workers N` with {CALLERS} callers, a stub DynamoDB and a Redis "
        f"beside it, all on the same {cores} cores.\nThe load (callers and stub) and whatever "
        "else the machine does take their parts of them: *cores allow* is how\nmany workers' "
        "time is left then, and *of that* what came of it. Each line is the best of several "
        f"rounds.\nThe goal is {GOAL} times one worker, {GOAL / 2:.0%} of what two could give. "
        "Two workers cost nothing by being two where\na request takes no more processor time "
        "than of one.\n"
    )
    yield (
        "| workload | workers | requests/s | times one | cores allow | of that "
        "| CPU µs a request | of the load | cores of others |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for query in asked:
        one = found[query.key, COUNTS[0]]
        for count in COUNTS:
            this = found[query.key, count]
            times, most = this.rate / one.rate, this.most(count, cores)
            reached = times >= GOAL, times / most >= GOAL / 2
            signs = [" ✓" if each else " ✗" for each in reached] if count > 1 else ["", ""]
            yield (
                f"| {query.key}: {query.title} | {count} | {this.rate:,.0f} "
                f"| {times:.2f}{signs[0]} | {most:.2f} | {times / most:.0%}{signs[1]} "
                f"| {this.own * 1e6:,.0f} | {this.load * 1e6:,.0f} | {this.others:.2f} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round of one query")
    parser.add_argument("--rounds", type=int, default=7, help="each asks one worker, and two")
    given = parser.parse_args()
    uvloop.run(main(given.seconds, given.rounds))
