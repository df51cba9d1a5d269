"""Buckets in memory: what is left in them, and what is remembered of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.guards.buckets import ROUNDING, MemoryBuckets, Rate

ME, OTHER = ("default", "me"), ("default", "other")
RATE = Rate(100, 10)


@dataclass
class Clock:
    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> MemoryBuckets:
    return MemoryBuckets(RATE, clock)


async def test_a_bucket_is_full_at_first_and_can_be_emptied(buckets: MemoryBuckets) -> None:
    assert buckets.left(ME) == 100
    assert await buckets.take(ME, 30) == pytest.approx(70)
    assert await buckets.take(ME, 70) == pytest.approx(0)
    assert await buckets.take(ME, 1) == pytest.approx(-1)


async def test_what_is_not_there_is_not_taken(buckets: MemoryBuckets) -> None:
    await buckets.take(ME, 90)

    assert await buckets.take(ME, 30) == pytest.approx(-20)
    assert buckets.left(ME) == pytest.approx(10)


async def test_points_come_back_until_the_bucket_is_full(
    buckets: MemoryBuckets, clock: Clock
) -> None:
    await buckets.take(ME, 100)
    clock.seconds += 3
    assert buckets.left(ME) == pytest.approx(30)
    clock.seconds += 60
    assert buckets.left(ME) == pytest.approx(100)


async def test_each_caller_has_a_bucket_of_its_own(buckets: MemoryBuckets) -> None:
    await buckets.take(ME, 100)

    assert await buckets.take(OTHER, 100) == pytest.approx(0)


async def test_what_was_not_used_is_given_back_and_no_more(buckets: MemoryBuckets) -> None:
    left = await buckets.take(ME, 50)
    assert buckets.settle(ME, 20, left) == pytest.approx(70)
    assert buckets.settle(ME, 1_000, left) == pytest.approx(100)


async def test_what_was_used_beyond_is_owed(buckets: MemoryBuckets, clock: Clock) -> None:
    left = await buckets.take(ME, 50)
    assert buckets.settle(ME, -70, left) == pytest.approx(-20)
    clock.seconds += 2
    assert buckets.left(ME) == pytest.approx(0)
    assert await buckets.take(ME, 1) == pytest.approx(-1)


async def test_who_was_here_long_ago_is_forgotten(buckets: MemoryBuckets, clock: Clock) -> None:
    for number in range(50):
        await buckets.take(("default", str(number)), 1)
    assert len(buckets) == 50
    for _ in range(2):
        clock.seconds += RATE.seconds
        await buckets.take(ME, 1)

    assert len(buckets) <= 2


async def test_a_flood_of_callers_takes_no_more_room(clock: Clock) -> None:
    buckets = MemoryBuckets(RATE, clock, most=10)
    for number in range(1_000):
        await buckets.take(("", str(number)), 100)
        assert len(buckets) <= 20

    assert await buckets.take(("", "999"), 1) < 0  # the last are known


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "settle", "wait"]),
        st.sampled_from([ME, OTHER]),
        st.floats(0, 120),
    ),
    max_size=40,
)


@given(STEPS)
async def test_a_bucket_is_as_one_that_is_filled_drop_by_drop(
    steps: list[tuple[str, tuple[str, str], float]],
) -> None:
    clock = Clock()
    buckets = MemoryBuckets(RATE, clock)
    model = {ME: 100.0, OTHER: 100.0}
    for step, caller, number in steps:
        if step == "wait":
            clock.seconds += number / 10
            model = {one: min(100.0, left + number) for one, left in model.items()}
        elif step == "settle":
            model[caller] = min(100.0, model[caller] + number - 60)
            buckets.settle(caller, number - 60)
        else:
            left = await buckets.take(caller, number)
            assert left == pytest.approx(model[caller] - number, abs=1e-6)
            if left > -ROUNDING:
                model[caller] = left
        # A debt beyond a bucket is let go of once the caller has kept away that long.
        if min(model.values()) > -100:
            assert buckets.left(caller) == pytest.approx(model[caller], abs=1e-6)
        else:
            return
