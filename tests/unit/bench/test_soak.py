"""What a soak takes for a leak."""

from __future__ import annotations

import pytest

from bench.soak import KEPT, Look, faults

MIB = 2**20


def look(at: float, resident: float, **gauges: float) -> Look:
    return Look(at, int(resident * MIB), dict.fromkeys(KEPT, 5.0) | gauges)


def looks(*resident: float) -> list[Look]:
    """The first and the last are before anybody came and after all have gone."""
    return [look(number, each) for number, each in enumerate(resident)]


def test_a_service_that_is_as_it_was_has_no_fault() -> None:
    crowded = [look(at, 120, tasks=500.0, websockets=500.0) for at in range(1, 9)]

    assert faults([look(0, 90), *crowded, look(9, 119)], 0) == []


@pytest.mark.parametrize("name", KEPT)
def test_what_stays_is_told(name: str) -> None:
    last = look(3, 100, **{name: 6.0})

    assert faults([*looks(100, 100, 100), last], 0) == [f"{name}: 5 at the begin, 6 at the end"]


def test_a_size_that_grows_is_told() -> None:
    assert faults(looks(90, 100, 102, 104, 106, 100), 0) == [
        "the resident size has grown from 100.0 to 106.0 MiB"
    ]
    assert faults(looks(90, 100, 120, 120, 105, 200), 0) == []


def test_connections_that_the_service_has_ended_are_told() -> None:
    assert faults(looks(100, 100, 100), 2) == ["the service has ended 2 connections"]
