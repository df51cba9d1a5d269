"""What was measured, as `RESULTS.md` and a chart. What stands there behind the notes' mark is
written by hand, and kept."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from statistics import median, median_low, quantiles

from bench.contenders import BARE, FLOOR, NODES, OURS, SPARED, STRAIGHTFORWARD
from bench.crowd import LISTENERS, Events
from bench.load import Round
from bench.workloads import Workload

RESULTS = Path(__file__).parent / "RESULTS.md"
CHART = Path(__file__).parent / "results.svg"
NOTES = "<!-- notes -->"

# Of events to listeners: times less than the straightforward server, than the better Node server;
# microseconds a listener, milliseconds to the last, KB a connection at most.
EVENT_GOALS = (15, 2.5, 25, 40, 35)


@dataclass(frozen=True, slots=True)
class Figures:
    """`cpus`: processor seconds a request, of each round; `cpu`: the median of them, of whose
    round the others are. `rate`: requests a second; `half` and `worst`: seconds in which half of
    them and 99 of 100 were answered; `calls`: of the store, a request."""

    cpus: Sequence[float]
    cpu: float
    rate: float
    half: float
    worst: float
    calls: float


def figures(rounds: Sequence[tuple[Round, float]], calls: float) -> Figures:
    cpus = [used / len(done.times) for done, used in rounds]
    cpu = median_low(cpus)
    typical = rounds[cpus.index(cpu)][0]
    cuts = quantiles(typical.times, n=100, method="inclusive")
    return Figures(
        cpus=cpus,
        cpu=cpu,
        rate=len(typical.times) / typical.took,
        half=cuts[49],
        worst=cuts[98],
        calls=calls,
    )


def times(one: Figures, other: Figures) -> float:
    """How many times as much as `other` one costs: the median of what each round says, for the
    machine may be slower in one than in the next."""
    return median(mine / its for mine, its in zip(one.cpus, other.cpus, strict=True))


Found = Mapping[str, Mapping[str, Figures]]


def write(
    workloads: Sequence[Workload],
    found: Found,
    sizes: Mapping[str, tuple[int, int]],
    events: Mapping[str, Events],
) -> None:
    parts = [
        _HEAD.format(about=about(), rounds=_rounds(found)),
        "\n".join(_goals(workloads, found, events)),
        *("\n".join(_workload(each, found[each.key])) for each in workloads),
        "\n".join(_events(events)) if events else "",
        "\n".join(_sizes(sizes)),
        NOTES + _notes(),
    ]
    RESULTS.write_text("\n\n".join(part for part in parts if part), encoding="utf-8")
    CHART.write_text(chart(workloads, found, events), encoding="utf-8")
    print(f"wrote {RESULTS} and {CHART}")


def _rounds(found: Found) -> int:
    return max(len(one.cpus) for by in found.values() for one in by.values())


_HEAD = """\
# What a request costs

`make bench` writes this page; {about}.
Processor time is user and system of the server's process, the median of {rounds} rounds. In each of
them the servers take turns, and a ratio is the median of what each round says: for the machine may
be slower in one than in the next. Times are those of 8 callers at once, so they hold the wait for
one another; b has one caller, whose 40 calls at once fill a pool of connections. Each server has a
core for itself, the load and a stub DynamoDB the other. The stub answers from memory, so nothing
here is DynamoDB's own time.

- **Cartograph**: `cartograph serve` as it is, following the table's stream as it does.
- **Strawberry + aioboto3**: [as their own pages teach it](peers/straightforward), parser and
  validation caches on; and once more without them, as those have it who never heard of them, and
  as it was when the goals were set.
- **Apollo Server 5**, **GraphQL Yoga**: [over AWS SDK v3 and `dataloader`](peers/node), with
  `NODE_ENV=production` and their own caches.
- **DynamoDB calls alone**: [the same calls](peers/floor) through raw aiohttp with a signature
  and orjson, the answer put together by hand, on uvicorn; no GraphQL. It is measured twice: with
  Python as it comes, which the goals are of, and with its garbage collector kept from looking at
  what was imported, as Cartograph does (`schema/serving/server.py`).

Before anything is measured, all of them have given the same bytes of data, field for field.
Pages of their own say [what an answer costs by the size of the store](STORE.md), which `make
bench-store` writes, and [what two workers give](WORKERS.md), which `make bench-workers` writes.

![Processor time of each server](results.svg)"""


def _goals(
    workloads: Sequence[Workload], found: Found, events: Mapping[str, Events]
) -> Iterator[str]:
    yield "## The goals\n"
    yield (
        "| workload | straightforward | its caches off | goal | better Node | goal "
        "| times the calls alone | goal |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for one in workloads:
        by = found[one.key]
        own = by[OURS]
        cells = (
            _goal(times(by[STRAIGHTFORWARD], own), one.goals[0])[0],
            *_goal(times(by[BARE], own), one.goals[0]),
            *_goal(min(times(by[name], own) for name in NODES), one.goals[1]),
            *_goal(times(own, by[FLOOR]), one.goals[2], most=True),
        )
        yield f"| {one.key}: {one.title} | {' | '.join(cells)} |"
    if not events:
        return
    ours, node = events[OURS], min(events[name].cpu for name in NODES)
    straightforward, other, micro, last, kilo = EVENT_GOALS
    pair = (
        _goal(events[STRAIGHTFORWARD].cpu / ours.cpu, straightforward)[0],
        "",
        _goal(0, straightforward)[1],
        *_goal(node / ours.cpu, other),
    )
    yield f"| e: one event, {LISTENERS:,} listeners | {' | '.join(pair)} | | |"
    yield "\n| e: absolute | is | goal |"
    yield "|---|---|---|"
    for what, value, goal in (
        ("µs a listener", ours.cpu * 1e6, micro),
        ("ms to the last listener", ours.last * 1e3, last),
        ("KB a connection", ours.connection / 1024, kilo),
    ):
        yield f"| {what} | {' | '.join(_goal(value, goal, most=True, unit=''))} |"


def _goal(
    value: float, goal: float, *, most: bool = False, unit: str = "\u00d7"
) -> tuple[str, str]:
    reached = value <= goal if most else value >= goal
    sign = "at most " if most else ""
    return f"{value:.1f}{unit} {'✓' if reached else '✗'}", f"{sign}{goal:g}{unit}"


def _workload(workload: Workload, by: Mapping[str, Figures]) -> Iterator[str]:
    yield f"## {workload.key}: {workload.title}\n"
    yield "| server | CPU µs | requests/s | p50 ms | p99 ms | calls |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, one in by.items():
        yield (
            f"| {name} | {one.cpu * 1e6:,.0f} | {one.rate:,.0f} | {one.half * 1e3:.1f} "
            f"| {one.worst * 1e3:.1f} | {one.calls:g} |"
        )


def _events(events: Mapping[str, Events]) -> Iterator[str]:
    yield f"## e: one event, {LISTENERS:,} websocket listeners\n"
    yield "| server | CPU µs a listener | last listener ms | KB a connection |"
    yield "|---|---:|---:|---:|"
    for name, one in events.items():
        yield (
            f"| {name} | {one.cpu * 1e6:.1f} | {one.last * 1e3:.0f} | {one.connection / 1024:.1f} |"
        )
    yield (
        "\nThe time begins when the event is at the server. Cartograph reads it from the table's "
        "stream, and its\nfigure holds that; the others are told by a request, in memory of "
        "their own."
    )


def _sizes(sizes: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    yield "## Resident size\n"
    yield "| server | MB at first | MB at the end |"
    yield "|---|---:|---:|"
    for name, (before, after) in sizes.items():
        yield f"| {name} | {before / 2**20:.0f} | {after / 2**20:.0f} |"


def about() -> str:
    """The day and the machine."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", info)
    name = model[1] if model else platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {python} on {os.cpu_count()} cores of {name}"


def _notes() -> str:
    if not RESULTS.exists():
        return "\n"
    return RESULTS.read_text(encoding="utf-8").partition(NOTES)[2]


# --- the chart ------------------------------------------------------------------------------

_WIDTH, _LABELS, _BAR, _GAP, _TITLE = 760, 190, 18, 22, 24
_COLOURS = {OURS: "#2563eb", FLOOR: "#94a3b8", SPARED: "#94a3b8"}
_OTHERS = "#d6a34a"


def chart(workloads: Sequence[Workload], found: Found, events: Mapping[str, Events]) -> str:
    """Bars of processor time, each workload on a scale of its own."""
    panels = [
        (
            f"{one.key}: {one.title}, ms of processor time a request",
            {name: figure.cpu * 1e3 for name, figure in found[one.key].items()},
        )
        for one in workloads
    ]
    if events:
        title = f"e: one event to {LISTENERS:,} listeners, µs of processor time a listener"
        panels.append((title, {name: each.cpu * 1e6 for name, each in events.items()}))
    drawn, y = [], 10
    for title, bars in panels:
        drawn.append(f'<text x="0" y="{y + 14}" font-weight="600">{escape(title)}</text>')
        y += _TITLE
        scale = (_WIDTH - _LABELS - 70) / max(bars.values())
        for name, value in bars.items():
            drawn += _bar(name, value, value * scale, y)
            y += _BAR + 4
        y += _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n<g fill="#1f2937">\n'
        + "\n".join(drawn)
        + "\n</g>\n</svg>\n"
    )


def _bar(name: str, value: float, length: float, y: int) -> Iterator[str]:
    middle = y + _BAR - 5
    yield f'<text x="{_LABELS - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>'
    yield (
        f'<rect x="{_LABELS}" y="{y}" width="{max(1, length):.1f}" height="{_BAR}" rx="2" '
        f'fill="{_COLOURS.get(name, _OTHERS)}"/>'
    )
    yield f'<text x="{_LABELS + max(1, length) + 6:.1f}" y="{middle}">{value:.3g}</text>'
