"""The breaker: what opens it, what does not, and how it finds out that the store is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from datasources.breaker import Breaker, NotAsked, State
from datasources.errors import (
    ConditionFailed,
    Conflict,
    DeadlineExceeded,
    ServiceUnavailable,
    StoreError,
    Throttled,
    TransactionThrottled,
)

FAILURE = ServiceUnavailable("out of order")


class Clock:
    """Stands still until it is put forward."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def new(clock: Clock, uniform: Callable[[float, float], float] = max) -> Breaker:
    return Breaker("shop", clock, uniform)


async def answered() -> str:
    return "rows"


async def failing(error: BaseException = FAILURE) -> None:
    raise error


async def fail(breaker: Breaker, times: int = 1, error: BaseException = FAILURE) -> None:
    """Calls that are let through, and fail."""
    for _ in range(times):
        with pytest.raises(type(error)):
            await breaker.run(failing, error)


async def opened(clock: Clock) -> Breaker:
    """One that has just opened."""
    breaker = new(clock)
    await fail(breaker, 4)
    clock.now += 1.0
    await fail(breaker)
    assert breaker.state is State.OPEN
    return breaker


async def test_a_store_that_keeps_failing_is_not_asked_any_more() -> None:
    breaker = await opened(Clock())
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1

    with pytest.raises(NotAsked) as raised:
        await breaker.run(ask)

    assert asked == 0
    assert (raised.value.code, raised.value.retryable) == ("SERVICE_UNAVAILABLE", True)
    assert breaker.opened == 1


async def test_calls_that_fail_together_do_not_open_it() -> None:
    clock = Clock()
    breaker = new(clock)
    await fail(breaker, 500)
    clock.now += 0.9
    await fail(breaker, 500)

    assert breaker.state is State.CLOSED


async def test_a_burst_is_forgotten_with_the_first_answers() -> None:
    clock = Clock()
    breaker = new(clock)
    await fail(breaker, 500)
    for _ in range(3):
        await breaker.run(answered)
    clock.now += 60
    await fail(breaker, 4)

    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(("answers", "state"), [(1, State.OPEN), (2, State.CLOSED)])
async def test_it_opens_where_fewer_than_one_call_in_five_is_answered(
    answers: int, state: State
) -> None:
    clock = Clock()
    breaker = new(clock)
    for number in range(600):
        clock.now += 0.1
        if breaker.state is State.CLOSED:
            breaker.settle(breaker.admit(), number % (8 + answers) >= 8)

    assert breaker.state is state


@pytest.mark.parametrize(
    "error",
    [
        Throttled("slower"),
        TransactionThrottled("slower"),
        Conflict("others"),
        ConditionFailed("no"),
        StoreError("ValidationException: nonsense"),
        NotAsked("no connection is free"),
        ZeroDivisionError(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_no_fault_of_the_store_does_not_open_it(error: BaseException) -> None:
    clock = Clock()
    breaker = new(clock)
    for _ in range(100):
        clock.now += 1
        await fail(breaker, error=error)

    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(("seconds", "state"), [(0.9, State.CLOSED), (1.0, State.OPEN)])
async def test_a_call_cut_off_by_its_deadline_has_failed_if_it_had_a_second(
    seconds: float, state: State
) -> None:
    clock = Clock()
    breaker = new(clock)

    async def cut_off() -> None:
        clock.now += seconds
        raise DeadlineExceeded("over")

    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            await breaker.run(cut_off)

    assert breaker.state is state


async def test_one_call_probes_after_a_pause_and_its_answer_closes_it() -> None:
    clock = Clock()
    breaker = await opened(clock)
    clock.now += 0.49
    with pytest.raises(NotAsked):
        await breaker.run(answered)
    clock.now += 0.01
    probe = breaker.admit()
    with pytest.raises(NotAsked):
        await breaker.run(answered)

    breaker.settle(probe, True)

    assert breaker.state is State.CLOSED
    assert await breaker.run(answered) == "rows"
    await fail(breaker, 4)
    clock.now += 60
    assert breaker.state is State.CLOSED


async def test_pauses_double_up_to_five_seconds_and_begin_anew() -> None:
    clock = Clock()
    breaker = await opened(clock)
    for pause in (0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
        began = clock.now
        clock.now = began + pause - 0.001
        with pytest.raises(NotAsked):
            breaker.admit()
        clock.now = began + pause
        await fail(breaker)
    clock.now += 5.0
    await breaker.run(answered)
    await fail(breaker, 4)
    clock.now += 1.0
    await fail(breaker)
    clock.now += 0.5

    assert await breaker.run(answered) == "rows"


async def test_pauses_are_drawn_so_that_processes_do_not_probe_together() -> None:
    drawn: list[tuple[float, float]] = []

    def least(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    clock = Clock()
    breaker = new(clock, least)
    await fail(breaker, 4)
    clock.now += 1.0
    await fail(breaker)
    clock.now += 0.25
    await fail(breaker)

    assert drawn == [(0.25, 0.5), (0.5, 1.0)]


async def test_a_probe_that_is_given_up_leaves_its_place_to_the_next_call() -> None:
    clock = Clock()
    breaker = await opened(clock)
    clock.now += 0.5
    await fail(breaker, error=asyncio.CancelledError())

    assert await breaker.run(answered) == "rows"
    assert breaker.state is State.CLOSED


async def test_a_probe_of_which_nothing_is_heard_is_replaced_and_says_nothing_later() -> None:
    clock = Clock()
    breaker = await opened(clock)
    clock.now += 0.5
    silent = breaker.admit()
    clock.now += 4.9
    with pytest.raises(NotAsked):
        breaker.admit()
    clock.now += 0.1
    breaker.admit()

    breaker.settle(silent, True)

    assert breaker.state is State.HALF_OPEN


async def test_what_was_asked_before_it_opened_does_not_close_it() -> None:
    clock = Clock()
    breaker = new(clock)
    before = breaker.admit()
    await fail(breaker, 4)
    clock.now += 1.0
    await fail(breaker)

    breaker.settle(before, True)

    assert breaker.state is State.OPEN


class Model(RuleBasedStateMachine):
    """Calls begin and end in any order, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = new(self.clock)
        self.under_way: list[int] = []
        self.probe: int | None = None
        self.probed_at = 0.0
        self.opened_at = 0.0
        # Outcomes since the breaker last closed, as it may know them.
        self.failed_at: list[float] = []

    @rule()
    def begin(self) -> None:
        before, now = self.breaker.state, self.clock.now
        try:
            turn = self.breaker.admit()
        except NotAsked:
            assert before is not State.CLOSED
            return
        if before is not State.CLOSED:
            # One at a time, unless nothing is heard of it.
            assert self.probe is None or now - self.probed_at >= 5.0
            assert now - self.opened_at >= 0.5
            self.probe, self.probed_at = turn, now
        self.under_way.append(turn)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 99), outcome=st.sampled_from([True, False, False, False, None]))
    def end(self, which: int, outcome: bool | None) -> None:
        turn = self.under_way.pop(which % len(self.under_way))
        before = self.breaker.state
        if before is State.CLOSED and outcome is False:
            self.failed_at.append(self.clock.now)
        self.breaker.settle(turn, outcome)
        after = self.breaker.state
        if turn == self.probe:
            self.probe = None
            if outcome is not None:
                assert after is (State.CLOSED if outcome else State.OPEN)
        elif before is not State.CLOSED:
            assert after is before  # what is not the probe says nothing
        if before is State.CLOSED and after is State.OPEN:
            assert outcome is False
            assert len(self.failed_at) >= 5
            assert self.failed_at[-1] - self.failed_at[0] >= 1.0
        if after is State.OPEN and outcome is False and before is not State.OPEN:
            self.opened_at = self.clock.now
        if after is State.CLOSED and before is not State.CLOSED:
            self.failed_at.clear()

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def half_open_is_one_probe(self) -> None:
        if self.breaker.state is State.HALF_OPEN:
            assert self.probe is not None

    def teardown(self) -> None:
        """Whatever happened, a store that answers is asked again within five seconds."""
        self.clock.now += 5.0
        if self.breaker.state is not State.CLOSED:
            self.breaker.settle(self.breaker.admit(), True)
        assert self.breaker.state is State.CLOSED


Model.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestModel = Model.TestCase
