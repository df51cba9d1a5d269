"""Waiting for what takes its time."""

from __future__ import annotations

import pytest

from datasources.errors import CartographError, ServiceUnavailable
from datasources.operating.waiting import duration
from tests.support.clients import Clock, client


async def waited(*answers: object) -> tuple[object, Clock]:
    clock = Clock()
    store = client(ask=list(answers))
    found = await clock.waiting.until(store.ask, lambda each: each == "done", "Copying")
    return found, clock


async def test_an_answer_that_is_done_is_not_waited_for() -> None:
    assert await waited("done") == ("done", Clock())


async def test_it_is_told_now_and_then_how_long_it_takes() -> None:
    _, clock = await waited(*["going on"] * 30, "done")

    assert len(clock.reports) == 4
    assert all(each.startswith("Copying: ") for each in clock.reports)
    assert 120 < clock.seconds < 150


async def test_a_failure_of_the_moment_does_not_end_the_waiting() -> None:
    broken = ServiceUnavailable("gone")

    assert (await waited(*[broken] * 5, "going on", *[broken] * 5, "done"))[0] == "done"


async def test_a_failure_that_lasts_does() -> None:
    with pytest.raises(ServiceUnavailable):
        await waited(ServiceUnavailable("gone"))


async def test_a_refusal_ends_it_at_once() -> None:
    with pytest.raises(CartographError, match="not yours"):
        await waited("going on", CartographError("not yours"), "done")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (200, "3 min 20 s"), (7_500, "2 h 5 min")]
)
def test_a_duration_is_told_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text
