"""Which worker is started when, and who gets the next connection."""

from __future__ import annotations

import pytest

from composition.workers import FIRST, LONGEST, STEADY, Roster, _in_turn


def begun(roster: Roster, now: float = 0.0) -> list[int]:
    """Starts all that are due; each serves at once."""
    numbers = []
    while (number := roster.due(now)) is not None:
        roster.started(number, now)
        roster.serves(number)
        numbers.append(number)
    return numbers


def test_until_one_serves_only_one_is_started() -> None:
    roster = Roster(3)
    roster.started(0, 0.0)

    assert roster.due(1_000) is None
    assert roster.patience(1_000) is None
    roster.serves(0)
    assert roster.due(1_000) == 1


def test_all_are_started_once_one_serves() -> None:
    assert begun(Roster(3)) == [0, 1, 2]


def test_one_that_died_is_started_again_after_a_pause() -> None:
    roster = Roster(2)
    begun(roster)

    pause = roster.ended(1, STEADY)

    assert pause == FIRST
    assert roster.due(STEADY + FIRST / 2) is None
    assert roster.patience(STEADY) == pytest.approx(FIRST)
    assert roster.due(STEADY + FIRST * 1.01) == 1


def test_pauses_grow_from_death_to_death_up_to_the_longest() -> None:
    roster, now, pauses = Roster(2), 0.0, []
    begun(roster)
    for _ in range(12):
        pauses.append(roster.ended(1, now))
        now += pauses[-1]
        begun(roster, now)

    assert pauses[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert pauses[-1] == LONGEST


def test_a_long_life_makes_the_next_pause_short_again() -> None:
    roster = Roster(2)
    begun(roster)
    for now in (1.0, 100.0):
        roster.ended(1, now)
        begun(roster, now + 1)

    assert roster.ended(1, 101 + STEADY) == FIRST


def test_one_that_takes_no_more_connections_does_not_serve() -> None:
    roster = Roster(2)
    begun(roster)

    roster.leaves(0)

    assert roster.serving == [1]


@pytest.mark.parametrize(
    ("last", "order"), [(0, [1, 3, 0]), (1, [3, 0, 1]), (2, [3, 0, 1]), (3, [0, 1, 3])]
)
def test_connections_go_around(last: int, order: list[int]) -> None:
    assert _in_turn([3, 0, 1], last) == order
