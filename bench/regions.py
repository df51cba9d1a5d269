"""What last-writer-wins would do to stock, if orders were written in two Regions.

`python -m bench.regions` prints the tables of docs/scaling.md. A replica takes another's row whole,
where that was written later than its own ("How global tables work" in the Developer Guide): what is
replicated is how many there are left, not that one was sold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from random import Random

LAG = 1.0  # seconds from a write to its replica, "within a second" by the guide
STOCK = 100
RATES = (0.1, 1, 10, 100)  # orders a second, both Regions together
RUNS = 200


@dataclass(slots=True)
class Replica:
    """`stock` as it stands here, and when that was written, wherever that was."""

    stock: int
    written: float = -inf

    def order(self, now: float) -> bool:
        """Takes one, on the condition that there is one here."""
        if self.stock < 1:
            return False
        self.stock, self.written = self.stock - 1, now
        return True

    def receive(self, stock: int, written: float) -> None:
        if written > self.written:
            self.stock, self.written = stock, written


@dataclass(slots=True)
class Outcome:
    sold: int = 0
    replicas: list[Replica] = field(default_factory=list)


def sell(stock: int, orders: Sequence[tuple[float, int]], lag: float) -> Outcome:
    """`orders`: when, in seconds from 0 on and each at a time of its own, and in which Region of
    the two."""
    outcome = Outcome(replicas=[Replica(stock), Replica(stock)])
    # What is to happen: when, of several at once in which order, where, and what has been written.
    todo: list[tuple[float, int, int, tuple[int, float] | None]] = []
    for number, (when, region) in enumerate(orders):
        heappush(todo, (when, number, region, None))
    while todo:
        now, number, region, written = heappop(todo)
        here = outcome.replicas[region]
        if written:
            here.receive(*written)
        elif here.order(now):
            outcome.sold += 1
            replica = (now + lag, number, 1 - region, (here.stock, now))
            heappush(todo, replica)
    return outcome


def arrivals(rate: float, count: int, regions: int, random: Random) -> list[tuple[float, int]]:
    """Orders by Poisson's law, `regions` of the two being written to."""
    now, found = 0.0, []
    for _ in range(count):
        now += random.expovariate(rate)
        found.append((now, random.randrange(regions)))
    return found


def oversold(rate: float, regions: int, *, lag: float = LAG, runs: int = RUNS) -> float:
    """How many are sold that there are not, of `STOCK`, on average."""
    random, more = Random(1), 0  # noqa: S311 no secret
    for _ in range(runs):
        orders = arrivals(rate, STOCK * 4, regions, random)
        more += sell(STOCK, orders, lag).sold - STOCK
    return more / runs


def table() -> Iterator[str]:
    yield f"Sold of {STOCK} that there are, {LAG:g} s from a Region to the other:\n"
    yield "| orders a second | written in one Region | written in two |"
    yield "|---:|---:|---:|"
    for rate in RATES:
        one, two = (STOCK + oversold(rate, regions) for regions in (1, 2))
        yield f"| {rate:g} | {one:.0f} | {two:.0f} |"


def last_item() -> Iterator[str]:
    """Two orders of the last item, told step by step."""
    outcome = sell(1, [(0.0, 0), (0.3, 1)], LAG)
    left = [replica.stock for replica in outcome.replicas]
    yield f"Two orders of the last one, 0.3 s apart: {outcome.sold} sold, {left} left.\n"


def main() -> None:
    for line in (*last_item(), *table()):
        print(line)


if __name__ == "__main__":
    main()
