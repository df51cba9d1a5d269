"""What the pages beside the results say of the numbers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bench import store, workers
from bench.store import LARGE, SMALL, Cost
from bench.workers import Figures
from bench.workloads import Workload

QUERY = Workload("c", "a list", "{ products }", {}, False, 8, (8, 2.5, 2.5))


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
