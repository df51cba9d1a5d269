"""What the pages beside the results say of the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pytest

from bench import overload, store, workers
from bench.load import Round
from bench.overload import Flood, Found, Overload, Peak, Traffic
from bench.shelf import stock
from bench.store import LARGE, SMALL, Cost
from bench.workers import Figures
from bench.workloads import Workload

QUERY = Workload("c", "a list", "{ products }", {}, False, 8, (8, 2.5, 2.5))
PAGES = Traffic("c", "a list", iter(()))


def last_line(lines: Iterable[str]) -> str:
    *_, last = lines
    return last


def test_a_store_page_says_how_much_more_is_within_the_goal() -> None:
    costs = {SMALL: Cost(0.001, 4, 10, b""), LARGE: Cost(0.00105, 4, 12, b"")}

    line = last_line(store.page([QUERY], {"c": costs}))

    assert line == "| a list | 1,000 | 1,050 | +5% ✓ | 4 | 4 | 10 | 12 | +20% ✗ |"


@pytest.mark.parametrize(
    ("rate", "said"), [(180, "1.80 ✓ | 1.60 | 112% ✓"), (144, "1.44 ✗ | 1.60 | 90% ✓")]
)
def test_a_workers_page_says_what_the_cores_could_give(rate: float, said: str) -> None:
    found = {("c", 1): Figures(100, 0.008, 0.002, 0), ("c", 2): Figures(rate, 0.008, 0.002, 0)}

    assert said in last_line(workers.page([QUERY], found, cores=2))


def test_with_cores_enough_all_workers_have_their_time() -> None:
    assert Figures(100, own=0.008, load=0.002, others=1).most(workers=2, cores=4) == 2


def test_what_others_take_is_not_there_for_workers() -> None:
    assert Figures(100, own=0.008, load=0.002, others=1).most(workers=2, cores=2) == 0.8


@pytest.mark.parametrize(("answered", "said"), [(850, "850 | 85% ✓"), (790, "790 | 79% ✗")])
def test_an_overload_page_says_what_is_left_of_the_peak(answered: float, said: str) -> None:
    flood = Flood(times=[0.05, 0.09, 0.12], refused=[0.001, 0.002])
    over = Overload(3_000, answered, 0.00003, 0.87, 0.99, flood)
    found = Found(PAGES, Peak(1_000, 0.0005, 1.0, [0.01, 0.02]), over)

    line = last_line(overload.page([found], 4, 5, 3))

    assert f"| c: a list | 1,000 | 3,000 | {said} | 10/10 | 90/90 | 1/1 | 500 | 30 | 87% |" in line


def test_a_peak_is_told_by_its_answers_and_what_they_cost() -> None:
    peak = Peak.of(Round([0.1] * 200, took=4), used=2.0)

    assert (peak.rate, peak.cost, peak.busy) == (50, 0.01, 0.5)


def flooded(peak_busy: float, busy: float, unsent: int = 0, useful: float = 0.87) -> Found:
    over = Overload(3_000, 850, 0.00003, useful, busy, Flood(times=[0.05], unsent=unsent))
    return Found(PAGES, Peak(1_000, 0.0005, peak_busy, [0.01]), over)


def test_what_a_shop_is_asked_is_each_workload_in_turn() -> None:
    *alone, mixed = overload.traffic(stock())
    eight = list(islice(mixed.bodies, 8))

    assert "".join(one.key for one in (*alone, mixed)) == overload.ALL
    assert eight[:3] == eight[4:7] == [next(one.bodies) for one in alone[:3]]
    assert all(b"placeOrder" in body for body in (eight[3], eight[7]))
    assert eight[3] != eight[7]


def test_a_round_counts_only_where_the_service_had_its_core_and_all_was_sent() -> None:
    assert flooded(0.95, 0.99).counts
    assert not flooded(0.95, 0.5).counts
    assert not flooded(0.5, 0.99).counts
    assert not flooded(0.95, 0.99, unsent=1).counts


def test_what_is_left_of_a_peak_is_the_less_of_rate_and_processor_time() -> None:
    assert flooded(1, 1).kept == 0.85
    assert flooded(1, 1, useful=0.7).kept == 0.7
