import asyncio

import pytest

from datasources.errors import StoreError, Throttled
from streams.patience import Patience


async def test_pauses_grow_to_ten_seconds_with_jitter_below() -> None:
    ceilings: list[float] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def half(low: float, high: float) -> float:
        assert low == 0
        ceilings.append(high)
        return high / 2

    patience = Patience(sleep, half)
    for attempt in (1, 2, 3, 7, 8, 100, 100_000):
        await patience.pause(attempt)
    assert ceilings == pytest.approx([0.1, 0.2, 0.4, 6.4, 10, 10, 10])
    assert slept == [ceiling / 2 for ceiling in ceilings]


async def test_what_does_not_pass_is_raised_at_once() -> None:
    async def sleep(_seconds: float) -> None:
        raise AssertionError("waited")

    async def call() -> None:
        raise StoreError("Refused.")

    with pytest.raises(StoreError, match="Refused"):
        await Patience(sleep, max).insist(call, "It")


async def test_what_passes_is_waited_for() -> None:
    faults: list[StoreError] = [Throttled("Slower.")] * 30

    async def sleep(_seconds: float) -> None:
        return None

    async def call() -> str:
        if faults:
            raise faults.pop()
        return "done"

    assert await Patience(sleep, max).insist(call, "It") == "done"


async def test_an_event_ends_a_wait_and_is_cleared() -> None:
    async def sleep(_seconds: float) -> None:
        await asyncio.Event().wait()

    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await Patience(sleep, max).wait(event, 5)
    assert not event.is_set()


async def test_a_wait_without_the_event_has_an_end() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    event = asyncio.Event()
    assert not await Patience(sleep, max).wait(event, 5)
    await asyncio.sleep(0)
    assert slept == [5]
    assert not event.is_set()


@pytest.mark.parametrize(("failures", "pauses"), [(0, 0), (2, 2), (4, 4)])
async def test_a_call_that_succeeds_in_time_is_no_failure(failures: int, pauses: int) -> None:
    slept, call = await tried([ValueError()] * failures)
    assert (slept, call) == (pauses, None)


async def test_after_the_last_try_its_error_is_told() -> None:
    errors = [ValueError(str(number)) for number in range(9)]
    slept, error = await tried(list(errors))
    assert (slept, error) == (4, errors[4])


async def test_a_failure_that_passes_is_not_counted_as_a_try() -> None:
    with pytest.raises(Throttled):
        await tried([ValueError(), Throttled("Slower.")])


async def tried(errors: list[Exception]) -> tuple[int, Exception | None]:
    """How many pauses there were, and what is told after five tries of a call that raises these."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def call() -> None:
        if errors:
            raise errors.pop(0)

    error = await Patience(sleep, max).persist(call, 5)
    return len(slept), error
