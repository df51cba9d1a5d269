"""The comparison: this service, the same written by others, and what the store alone costs.

`python -m bench.compare [--seconds S] [--rounds N] [--only KEYS]` writes `bench/RESULTS.md` and
its chart, unless it is of some workloads only. Servers take turns on one core, the stub and the
load have another; every server's answers are compared before any is measured. Linux alone: it
binds processes to cores.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

import uvloop

from bench.contenders import (
    FLOOR,
    NODES,
    OURS,
    SERVERS,
    Contender,
    Cores,
    Stub,
    open_contenders,
    open_stub,
)
from bench.crowd import Events, follow
from bench.load import Caller, Round, data_of, drive
from bench.report import Figures, figures, times, write
from bench.shelf import Shelf, stock
from bench.workloads import Workload, requests, workloads
from resolvers import global_ids

# Seconds of each workload before it counts: Node compiles what it has seen often enough.
WARM_UP, WARM_UP_OF_NODE = 1.0, 6.0


async def main(seconds: float, rounds: int, only: str) -> None:
    cores, shelf = Cores.found(), stock()
    os.sched_setaffinity(0, {cores.load})
    chosen = [one for one in workloads(shelf) if one.key in only]
    async with open_stub(cores) as stub, open_contenders(cores, stub) as contenders:
        fresh = {name: one.resident() for name, one in contenders.items()}
        # First, for what other workloads free would be used again by the connections.
        events = await listen(shelf, stub, contenders) if "e" in only else {}
        calls = {one.key: await check(one, contenders, stub) for one in chosen}
        for workload in chosen:
            for name, contender in contenders.items():
                await run(workload, contender, WARM_UP_OF_NODE if name in NODES else WARM_UP)
        measured = await measure(chosen, contenders, seconds, rounds)
        found = {
            workload.key: {
                name: figures(measured[workload.key, name], calls[workload.key][name])
                for name in contenders
            }
            for workload in chosen
        }
        for workload in chosen:
            show(workload, found[workload.key])
        sizes = {name: (before, contenders[name].resident()) for name, before in fresh.items()}
    if len(chosen) == len(workloads(shelf)) and events:
        write(chosen, found, sizes, events)


Measured = dict[tuple[str, str], list[tuple[Round, float]]]


async def check(
    workload: Workload, contenders: Mapping[str, Contender], stub: Stub
) -> dict[str, float]:
    """That all answer the same; the calls that each makes for it."""
    answers, calls = {}, {}
    for name, contender in contenders.items():
        before = await stub.calls()
        caller = await Caller.connect(contender.port)
        request = next(requests(workload, contender.path(workload.key)))
        answers[name] = data_of(await caller.ask(request))
        caller.close()
        calls[name] = await stub.calls() - before
    for name, answer in answers.items():
        if answer != answers[OURS]:
            raise SystemExit(
                f"workload {workload.key}: {name} answers otherwise:\n"
                f"{answer.decode()}\n{OURS}:\n{answers[OURS].decode()}"
            )
    print(f"{workload.key}: all answer the same {len(answers[OURS])} bytes", flush=True)
    return calls


async def measure(
    chosen: Sequence[Workload],
    contenders: Mapping[str, Contender],
    seconds: float,
    rounds: int,
) -> Measured:
    measured: Measured = defaultdict(list)
    for _ in range(rounds):
        for workload in chosen:
            for name, contender in contenders.items():
                measured[workload.key, name].append(await run(workload, contender, seconds))
    return measured


async def run(workload: Workload, contender: Contender, seconds: float) -> tuple[Round, float]:
    """A round, and the processor seconds that the server has used in it."""
    asked = requests(workload, contender.path(workload.key))
    before = contender.cpu()
    done = await drive(contender.port, asked, workload.callers, seconds)
    return done, contender.cpu() - before


async def listen(
    shelf: Shelf, stub: Stub, contenders: Mapping[str, Contender]
) -> dict[str, Events]:
    found = {}
    for name in SERVERS:
        found[name] = await follow(global_ids.of(shelf.watched), stub, contenders[name])
        print(f"e  {name:24} {found[name]}", flush=True)
    heard = {events.heard for events in found.values()}
    if len(heard) != 1:
        raise SystemExit(f"workload e: not all tell the same: {heard}")
    return found


def show(workload: Workload, found: Mapping[str, Figures]) -> None:
    for name, one in found.items():
        floors = times(one, found[FLOOR])
        print(
            f"{workload.key}  {name:24} {one.cpu * 1e6:9.0f} us  {floors:6.2f} floors  "
            f"{one.rate:8.1f}/s  {one.half * 1e3:7.2f} ms  {one.worst * 1e3:7.2f} ms  "
            f"{one.calls:g} calls",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.7, help="of a round of one server")
    parser.add_argument("--rounds", type=int, default=15, help="each asks every server everything")
    parser.add_argument("--only", default="abcde", metavar="KEYS", help="workloads, such as abc")
    given = parser.parse_args()
    uvloop.run(main(given.seconds, given.rounds, given.only))
