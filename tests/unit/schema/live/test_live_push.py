"""Events that are pushed past the task that waits for them: none is lost, told twice or told out
of order, whatever the listeners do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import told
from schema.live.subscriptions import MOST_WAITING, Subscription
from schema.operations.operation import Refused
from schema.running import deliver
from streams.journal import Position
from tests.unit.schema.live.test_subscriptions import (
    ANYONE,
    EXECUTOR,
    PRODUCTS,
    Rig,
    selling,
    settle,
)

CROWD = 300  # listeners


class Listener:
    """A client, and the task that has its results sent. `pushed` and `sent` are the stock that
    it was told of, either way, `heard` both; with the door shut it takes nothing."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.pushed: list[int] = []
        self.sent: list[int] = []
        self.last = ""  # the cursor of what came last
        self.door = asyncio.Event()
        self.door.set()
        self._news = asyncio.Event()
        self.then: Callable[[], object] = lambda: None  # called when something was pushed
        self.subscription: Subscription
        self.task: asyncio.Task[None]

    async def subscribe(self, rig: Rig, **variables: Any) -> Listener:
        operation = EXECUTOR.prepare(PRODUCTS, None, variables)
        self.subscription = await rig.live.subscribe(operation, ANYONE, "request-1", self.push)
        self.task = asyncio.create_task(deliver(self.subscription, self.send))
        await settle()
        return self

    def push(self, result: bytes) -> bool:
        if not self.door.is_set():
            return False
        self._hear(result, self.pushed)
        self.then()
        return True

    async def send(self, result: bytes) -> None:
        await self.door.wait()
        self._hear(result, self.sent)

    def _hear(self, result: bytes, way: list[int]) -> None:
        change = orjson.loads(result)["data"]["productChanged"]
        self.last = change["cursor"]
        for each in (way, self.heard):
            each.append(change["product"]["inventory"])
        self._news.set()

    async def until(self, events: int) -> None:
        while len(self.heard) < events:
            self._news.clear()
            await self._news.wait()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_an_event_goes_past_who_waits_for_it() -> None:
    rig, listener = Rig(), Listener()
    await listener.subscribe(rig)
    await rig.happen(*selling(3, 2, 1, 0))
    assert (listener.pushed, listener.sent) == ([2, 1, 0], [])
    await listener.leave()


async def test_what_is_pushed_never_overtakes_what_waits() -> None:
    rig, first, second = Rig(), Listener(), Listener()
    await first.subscribe(rig)
    await second.subscribe(rig)
    second.door.clear()
    await rig.happen(*selling(9, 8, 7))
    # There is room again just before the next is pushed, and nobody has yet sent what waits.
    first.then = second.door.set
    await rig.happen(*selling(7, 6, 5))
    assert second.heard == [8, 7, 6, 5]
    assert (second.sent, second.pushed) == ([8, 7, 6], [5])
    for one in (first, second):
        await one.leave()


STEPS = st.sampled_from(["event", "events", "shut", "open", "settle", "come back"])


@given(steps=st.lists(STEPS, max_size=40))
async def test_each_event_comes_once_and_in_order_whichever_way(steps: list[str]) -> None:
    rig, listener = Rig(), Listener()
    listener.last = rig.cursor()
    await listener.subscribe(rig)
    stock = iter(range(1_000, 0, -1))
    left = before = next(stock)
    for step in [*steps, "open", "event", "settle"]:
        match step:
            case "event" | "events":
                happening = list(selling(left, *(next(stock) for _ in step)))
                left -= len(happening)
                await rig.journal.append(happening)
            case "shut":
                listener.door.clear()
            case "open":
                listener.door.set()
            case "settle":
                await settle()
            case "come back":
                await listener.leave()
                await listener.subscribe(rig, after=listener.last)
    await asyncio.wait_for(listener.until(before - left), 10)
    assert listener.heard == list(range(before - 1, left - 1, -1))
    await listener.leave()


async def test_what_was_missed_comes_before_what_is_pushed() -> None:
    rig, listener = Rig(), Listener()
    begin = rig.cursor()
    await rig.happen(*selling(9, 8, 7))
    await listener.subscribe(rig, after=begin)
    await rig.happen(*selling(7, 6))
    assert (listener.sent, listener.pushed) == ([8, 7], [6])
    await listener.leave()


async def test_who_stops_reading_ends_with_the_cursor_of_what_was_pushed_last() -> None:
    rig, slow, quick = Rig(), Listener(), Listener()
    await slow.subscribe(rig)
    await quick.subscribe(rig)
    await rig.happen(*selling(900, 899, 898))
    slow.door.clear()
    # One is being sent, and then as many wait as may.
    stock = range(898, 898 - MOST_WAITING - 3, -1)
    await rig.happen(*selling(*stock))
    assert slow.task.done() is False
    slow.door.set()
    with pytest.raises(Refused) as refused:
        await asyncio.wait_for(slow.task, 10)
    (error,) = told(refused.value.errors, "request-1")
    assert error["extensions"]["code"] == "SLOW_CONSUMER"
    assert slow.heard == [899, 898, 897]
    assert quick.pushed == [899, *stock]
    resumed = Listener()
    await resumed.subscribe(rig, after=error["extensions"]["cursor"])
    assert slow.heard + resumed.heard == quick.heard
    for one in (quick, resumed):
        await one.leave()


async def test_the_cursor_to_resume_from_is_that_of_what_was_pushed_last() -> None:
    rig, listener = Rig(), Listener()
    await listener.subscribe(rig)
    await rig.happen(*selling(3, 2))
    listener.door.clear()
    for number in range(MOST_WAITING + 1):  # before anybody has a turn
        listener.subscription.push(Position("epoch", 0, number), b"")
    with pytest.raises(Refused) as refused:
        await asyncio.wait_for(listener.task, 10)
    (error,) = refused.value.errors
    assert error.extensions == {"code": "SLOW_CONSUMER", "cursor": listener.last}


# --- many listeners -------------------------------------------------------------------------


async def crowd(rig: Rig) -> list[Listener]:
    listeners = [Listener() for _ in range(CROWD)]
    for one in listeners:
        await one.subscribe(rig)
    assert rig.live.groups == 1
    return listeners


async def test_who_leaves_in_the_midst_of_a_push_hears_no_more_and_the_others_all() -> None:
    rig = Rig()
    listeners = await crowd(rig)
    first, *rest = listeners
    # Of those who leave, some are in the same turn and some in later ones.
    leaving = rest[::10]
    first.then = lambda: [one.task.cancel() for one in leaving]
    await rig.happen(*selling(3, 2))
    await rig.happen(*selling(2, 1))
    gone = set(leaving)
    assert all(one.heard == [] for one in leaving)
    assert all(one.heard == [2, 1] for one in listeners if one not in gone)
    for one in listeners:
        await one.leave()


async def test_who_comes_in_the_midst_of_a_push_hears_what_comes_after() -> None:
    rig = Rig()
    listeners = await crowd(rig)
    late, coming = Listener(), list[asyncio.Task[Listener]]()
    listeners[0].then = lambda: coming.append(asyncio.create_task(late.subscribe(rig)))
    await rig.journal.append(list(selling(3, 2)))
    await settle()
    listeners[0].then = lambda: None
    await rig.happen(*selling(2, 1))
    assert all(one.heard == [2, 1] for one in listeners)
    assert late.heard == [1]
    for one in [*listeners, late]:
        await one.leave()


async def test_a_request_has_its_turn_before_the_last_listener_has_heard() -> None:
    rig = Rig()
    listeners = await crowd(rig)
    heard: list[int] = []

    async def request() -> None:
        heard.append(sum(len(one.heard) for one in listeners))

    requests = list[asyncio.Task[None]]()
    listeners[0].then = lambda: requests.append(asyncio.create_task(request()))
    await rig.happen(*selling(2, 1))
    assert 1 <= heard[0] < CROWD / 2
    assert all(one.pushed == [1] for one in listeners)
    for one in listeners:
        await one.leave()
