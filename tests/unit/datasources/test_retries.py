"""The budget of repetitions: a tenth of the calls, and a little for who makes few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datasources.retries import RetryBudget
from tests.unit.datasources.test_breaker import Clock


def spent(budget: RetryBudget, wanted: int) -> int:
    """How many of so many repetitions were granted."""
    return sum(budget.spend() for _ in range(wanted))


def test_a_process_that_has_made_no_call_yet_may_repeat_ten() -> None:
    budget = RetryBudget(Clock())

    assert spent(budget, 50) == 10
    assert budget.refused == 40


def test_of_a_thousand_calls_that_all_fail_a_tenth_is_repeated() -> None:
    budget = RetryBudget(Clock())
    granted = 0
    for _ in range(1_000):
        budget.earn()
        granted += spent(budget, 2)

    assert granted == 10 + 100


def test_what_a_long_calm_has_saved_is_bounded() -> None:
    budget = RetryBudget(Clock())
    for _ in range(1_000_000):
        budget.earn()

    assert spent(budget, 1_000) == 100


def test_a_quiet_process_gets_one_back_every_ten_seconds_up_to_ten() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    assert spent(budget, 10) == 10
    clock.now += 30
    assert spent(budget, 50) == 3
    clock.now += 1_000_000
    assert spent(budget, 50) == 10


def test_time_adds_nothing_to_what_calls_have_saved() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(500):
        budget.earn()
    clock.now += 1_000_000

    assert spent(budget, 100) == 60


EVENTS = st.lists(
    st.one_of(st.just("call"), st.just("repeat"), st.floats(0.01, 100)),
    max_size=300,
)


@given(EVENTS)
def test_whatever_happens_repetitions_are_a_tenth_of_calls_and_the_reserve(
    events: list[str | float],
) -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    calls = repeats = 0
    for event in events:
        if event == "call":
            budget.earn()
            calls += 1
        elif event == "repeat":
            repeats += budget.spend()
        else:
            clock.now += float(event)
        assert repeats <= calls * 0.1 + 10 + clock.now / 10 + 1e-6
