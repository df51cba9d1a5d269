"""The checker sees each thing that must not be."""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import replace

import pytest

from tests.chaos.clients import Listener, ended
from tests.chaos.history import Change, Gap, History, Outcome, Placed, Stored, violations

PEN = {"pen": 2}
OUTCOME = Outcome(
    orders=[Stored("a", "o1", False, PEN), Stored("b", "o2", True, {"pen": 1})],
    stock_before={"pen": 10},
    stock_after={"pen": 8},
    listens={"l": "pen"},
)


def history() -> History:
    """One that fits."""
    found = History(
        placed=[Placed("a", "k1", "o1", PEN), Placed("b", "k2", "o2", {"pen": 1})],
        cancelled={"o2"},
        gaps=[Gap("l", 9.0, restarting=True), Gap("l", 60.0, restarting=False)],
    )
    found.heard["l"] = [Change(10, 8), Change(8, 7), Change(7, 8)]
    return found


def test_what_fits_is_no_violation() -> None:
    assert violations(history(), OUTCOME) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"orders": OUTCOME.orders[1:], "stock_after": {"pen": 10}}, "order o1 of a is lost"),
        ({"orders": [*OUTCOME.orders, OUTCOME.orders[1]]}, "stored twice"),
        ({"orders": [*OUTCOME.orders, Stored("a", "o3", True, PEN)]}, "never answered for"),
        ({"orders": [Stored("a", "o1", False, {"pen": 3}), OUTCOME.orders[1]]}, "not what a"),
        ({"orders": [OUTCOME.orders[0], Stored("b", "o2", False, {"pen": 1})]}, "and is not"),
        ({"orders": [Stored("a", "o1", True, PEN), OUTCOME.orders[1]]}, "nobody did that"),
        ({"stock_after": {"pen": 7}}, "should have 8 in stock and has 7"),
        ({"stock_before": {"pen": 11}, "stock_after": {"pen": 9}}, "event 0 of l begins at 10"),
    ],
)
def test_a_store_that_does_not_fit_is_seen(changed: dict[str, object], said: str) -> None:
    found = violations(history(), replace(OUTCOME, **changed))  # type: ignore[arg-type]

    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([Change(10, 8), Change(7, 8)], "event 1 of l begins at 7"),
        ([Change(10, 8), Change(10, 8), Change(8, 7), Change(7, 8)], "event 1 of l"),
        ([Change(8, 7), Change(10, 8), Change(7, 8)], "event 0 of l"),
        ([Change(10, 8), Change(8, 7)], "l heard of 7 last"),
        ([], "l heard of 10 last"),
    ],
    ids=["lost", "doubled", "in another order", "the last lost", "nothing heard"],
)
def test_events_that_do_not_fit_are_seen(events: list[Change], said: str) -> None:
    found = history()
    found.heard["l"] = events
    outcome = OUTCOME if events else replace(OUTCOME, stock_after={"pen": 8})

    assert any(said in each for each in violations(found, outcome))


def test_two_orders_of_one_key_are_seen() -> None:
    found = history()
    found.placed.append(Placed("a", "k1", "o2", PEN))

    assert any("two orders" in each for each in violations(found, OUTCOME))


def test_one_order_for_two_keys_is_seen() -> None:
    found = history()
    found.placed.append(Placed("a", "k3", "o1", PEN))

    assert any("one order" in each for each in violations(found, OUTCOME))


async def test_a_socket_that_is_away_when_all_is_over_has_been_so_since_its_restart() -> None:
    found, met = History(), asyncio.Event()
    restarting = iter([True])
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        listener = Listener(
            "l",
            "",
            ["http://{}:{}".format(*taken.getsockname())],
            "pen",
            found,
            Hurried(met),
            is_restarting=lambda: next(restarting, False),
        )
        listening = asyncio.create_task(listener.listen())
        await asyncio.wait_for(met.wait(), 20)
        await ended([listening])
    listener.leave()

    assert [(gap.listener, gap.restarting) for gap in found.gaps] == [("l", True)]


class Hurried(random.Random):
    """Tells of each pause that is drawn, and makes it short."""

    def __init__(self, met: asyncio.Event) -> None:
        super().__init__(1)
        self._met = met

    def uniform(self, a: float, b: float) -> float:
        self._met.set()
        return 0.0


def test_a_socket_that_is_long_in_coming_back_is_seen() -> None:
    found = history()
    found.gaps.append(Gap("l", 10.5, restarting=True))

    assert violations(found, OUTCOME) == ["l was away for 10.5 s of a restart"]
