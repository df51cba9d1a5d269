"""What a soak takes for a leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from bench.soak import KEPT, Look, Soaked, page

MIB = 2**20


def look(at: float, resident: float, **gauges: float) -> Look:
    return Look(at, int(resident * MIB), dict.fromkeys(KEPT, 5.0) | gauges)


def soaked(resident: Sequence[float], last: Look | None = None, **lost: int) -> Soaked:
    """These sizes while everybody is there, a minute from one to the next."""
    crowded = [
        look(60.0 * at, each, tasks=500.0, websockets=500.0)
        for at, each in enumerate(resident, start=1)
    ]
    looks = [look(0, 90), *crowded, last or look(900, 200)]
    return Soaked(500, looks, 7_000, 80_000, Counter(lost))


FLAT = [100.0, 110.0, 120.0, 120.4, 119.8, 120.2, 120.0, 120.2]


def test_a_service_that_is_as_it_was_has_no_fault() -> None:
    assert soaked(FLAT).faults() == []


@pytest.mark.parametrize("name", KEPT)
def test_what_stays_is_told(name: str) -> None:
    found = soaked(FLAT, last=look(900, 100, **{name: 6.0})).faults()

    assert found == [f"{name}: 5 at the begin, 6 at the end"]


def test_a_size_that_grows_in_the_second_half_is_told() -> None:
    steadily = [100 + 0.5 * minute for minute in range(20)]  # 4.5 in the last nine

    assert soaked(steadily).faults() == [
        "the resident size has grown by 4.5 MiB in the second half"
    ]


def test_a_size_that_grows_less_than_a_line_can_tell_is_flat() -> None:
    assert soaked([100 + 0.1 * minute for minute in range(20)]).faults() == []


def test_connections_that_the_service_has_ended_are_told() -> None:
    assert soaked(FLAT, reset=2).faults() == ["lost 2 times: reset"]


def test_the_page_says_what_came_back_and_how_flat_it_was() -> None:
    told = "\n".join(page(soaked(FLAT, last=look(900, 130, tasks=6.0))))

    assert "| tasks | 5 | 500 to 500 | 6 ✗ |" in told
    assert "| operations | 5 | 5 to 5 | 5 ✓ |" in told
    assert "| resident size, MiB | 90.0 | 119.8 to 120.2 | 130.0 |" in told
    assert "7,000 came and heard 80,000 events; 0 were lost." in told
    assert "grows by 0.3 MiB in that time ✓" in told
