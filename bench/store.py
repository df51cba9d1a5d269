"""The same queries on a small and on a large store: what an answer costs must not grow with it.

`python -m bench.store [--seconds S] [--rounds N]` writes `bench/STORE.md`. The large store has
what the small one has and many more products, all of them older, so that both give the same
answers, which is checked. Linux alone: it binds processes to cores.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
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
from bench.load import Caller, data_of, drive
from bench.report import about
from bench.shelf import Shelf, stock
from bench.workloads import Workload, requests, workloads

RESULTS = Path(__file__).parent / "STORE.md"
SMALL, LARGE = 1_000, 100_000  # products
PAGE = 50  # of a category, which the small store has no hundred of
GOAL = 0.1  # by so much may an answer of the large store cost more
WARM_UP = 1.0  # seconds of each query before it counts
NEWEST = """query($first: Int!) { products(first: $first) { nodes {
  id name price { amount currencyCode } inventory inStock createdAt } } }"""


@dataclass(frozen=True, slots=True)
class Cost:
    """`cpu`: processor seconds of the service, an answer; `requests` and `units`: of DynamoDB, as
    the answer says; `data`: the answer."""

    cpu: float
    requests: float
    units: float
    data: bytes


Costs = Mapping[int, Cost]


async def main(seconds: float, rounds: int) -> None:
    cores = Cores.found()
    os.sched_setaffinity(0, {cores.load})
    asked = queries(stock(SMALL))
    found = {}
    async with open_services(cores) as services:
        for query in asked:
            answers = {size: await ask(query, one) for size, one in services.items()}
            cpu: dict[int, list[float]] = {size: [] for size in services}
            for one in services.values():
                await spend(query, one, WARM_UP)
            for _ in range(rounds):
                for size, one in services.items():
                    cpu[size].append(await spend(query, one, seconds))
            found[query.key] = {
                size: replace(each, cpu=min(cpu[size])) for size, each in answers.items()
            }
            check(query, found[query.key])
    RESULTS.write_text("\n".join(page(asked, found)) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


def queries(shelf: Shelf) -> list[Workload]:
    a, b, c, *_ = workloads(shelf)
    listed = replace(
        c, title=f"{PAGE} products of a category", variables={**c.variables, "first": PAGE}
    )
    newest = replace(
        a, key="n", title=f"the {PAGE} newest products", query=NEWEST, variables={"first": PAGE}
    )
    return [a, b, listed, newest]


@asynccontextmanager
async def open_services(cores: Cores) -> AsyncIterator[dict[int, Contender]]:
    """A service over a store of each size."""
    async with AsyncExitStack() as stack:
        state = stack.enter_context(TemporaryDirectory())
        services = {}
        for size in (SMALL, LARGE):
            opening = open_stub(cores, str(SMALL), str(size - SMALL))
            stub = await stack.enter_async_context(opening)
            port = free_port()
            command = (sys.executable, "-m", "server", "serve", "--port", str(port))
            known = settings(stub.url, port, state)
            process = await stack.enter_async_context(running(command, known, cores.server))
            await until_open(process, port)
            services[size] = Contender(process.pid, port, "", OURS)
        yield services


async def ask(query: Workload, service: Contender) -> Cost:
    caller = await Caller.connect(service.port)
    answer = await caller.ask(next(requests(query, "/graphql")))
    caller.close()
    actual = orjson.loads(answer)["extensions"]["cost"]["actual"]
    return Cost(0, actual["requests"], actual["readUnits"], data_of(answer))


async def spend(query: Workload, service: Contender, seconds: float) -> float:
    """Processor seconds an answer."""
    before = service.cpu()
    done = await drive(service.port, requests(query, "/graphql"), query.callers, seconds)
    return (service.cpu() - before) / len(done.times)


def check(query: Workload, costs: Costs) -> None:
    for size, cost in costs.items():
        print(
            f"{query.key}  {size:7,} products  {cost.cpu * 1e6:7.0f} us  {cost.requests:g} "
            f"requests  {cost.units:g} units",
            flush=True,
        )
    if costs[SMALL].data != costs[LARGE].data:
        raise SystemExit(f"{query.key}: the answers differ")


def page(asked: list[Workload], found: Mapping[str, Costs]) -> Iterator[str]:
    yield "# What an answer costs, by the size of the store\n"
    yield f"`make bench-store` writes this page; {about()}.\n"
    yield (
        f"The same queries over {SMALL:,} and over {LARGE:,} products, with the same answers, "
        "byte for byte.\nProcessor time is the service's, in the round that cost it least; "
        "requests and read units are those\nthat each answer tells in its `extensions.cost`, by "
        "what a stub DynamoDB counts for the rows it reads.\nThe goal is at most "
        f"{GOAL:.0%} more.\n"
    )
    yield (
        f"| query | CPU µs, {SMALL:,} | {LARGE:,} | more | requests, {SMALL:,} | {LARGE:,} "
        f"| read units, {SMALL:,} | {LARGE:,} | more |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for query in asked:
        small, large = found[query.key][SMALL], found[query.key][LARGE]
        yield (
            f"| {query.title} | {small.cpu * 1e6:,.0f} | {large.cpu * 1e6:,.0f} "
            f"| {_more(small.cpu, large.cpu)} | {small.requests:g} | {large.requests:g} "
            f"| {small.units:g} | {large.units:g} | {_more(small.units, large.units)} |"
        )


def _more(small: float, large: float) -> str:
    more = large / small - 1
    return f"{more:+.0%} {'✓' if more <= GOAL else '✗'}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round of one query")
    parser.add_argument("--rounds", type=int, default=12, help="each asks both stores")
    given = parser.parse_args()
    uvloop.run(main(given.seconds, given.rounds))
