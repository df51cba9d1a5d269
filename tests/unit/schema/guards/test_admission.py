"""Places for operations: how many there are, who waits for one, and who is turned away."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schema.guards.admission import GATHERED_IN, Admission, Door, Places
from tests.unit.datasources.test_breaker import Clock
from tests.unit.streams.virtual import VirtualLoop

FEW = Places(first=2, least=1, most=4, lag=0.01, patience=60)
LATE, IN_TIME = 0.1, 0.0


def admission(places: Places = FEW) -> Admission:
    return Admission(Clock(), places)


async def taken(places: Places = FEW) -> Admission:
    """One whose places are all taken."""
    found = admission(places)
    for _ in range(places.first):
        assert await found.enter()
    return found


async def queued(found: Admission, count: int = 1) -> list[asyncio.Task[bool]]:
    """Those who have begun to wait."""
    waiting = [asyncio.create_task(found.enter()) for _ in range(count)]
    await asyncio.sleep(0)
    return waiting


async def test_who_comes_while_there_are_places_has_one() -> None:
    found = await taken()

    assert (found.running, found.waiting, found.refused) == (2, 0, 0)


async def test_who_finds_none_waits_until_one_is_free_in_the_order_of_coming() -> None:
    found = await taken()
    first, second = await queued(found, 2)
    found.leave()
    assert await first
    assert not second.done()
    found.leave()
    assert await second


async def test_nobody_overtakes_who_waits() -> None:
    found = await taken()
    [waiting] = await queued(found)
    found.leave()
    [late] = await queued(found)

    assert await waiting
    assert not late.done()
    found.leave()
    assert await late


async def test_those_who_wait_get_places_together_when_half_are_free() -> None:
    found = await taken(Places(first=8, least=8, patience=60))
    waiting = await queued(found, 5)
    for _ in range(3):
        found.leave()
    assert found.running == 5
    found.leave()

    assert found.running == 8
    await asyncio.sleep(0)
    assert [each.done() for each in waiting] == [True] * 4 + [False]


def test_they_do_not_wait_for_many_places_for_long() -> None:
    async def run() -> None:
        found = await taken(Places(first=8, least=8, patience=60))
        waiting = await queued(found, 3)
        found.leave()
        await asyncio.sleep(0.6 * GATHERED_IN)
        found.leave()
        await asyncio.sleep(0.3 * GATHERED_IN)
        assert not any(each.done() for each in waiting)
        await asyncio.sleep(0.2 * GATHERED_IN)

        assert [each.done() for each in waiting] == [True, True, False]
        assert found.running == 8

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def test_after_places_were_handed_on_others_are_gathered_anew() -> None:
    async def run() -> None:
        found = await taken(Places(first=8, least=8, patience=60))
        waiting = await queued(found, 6)
        found.leave()
        await asyncio.sleep(0.6 * GATHERED_IN)
        for _ in range(4):
            found.leave()  # the fourth of all is half: the fifth is the first of the next
        await asyncio.sleep(0.6 * GATHERED_IN)
        assert sum(each.done() for each in waiting) == 4
        await asyncio.sleep(0.6 * GATHERED_IN)

        assert sum(each.done() for each in waiting) == 5

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


async def test_while_places_are_gathered_as_many_may_come_as_there_is_room_for() -> None:
    found = await taken(Places(first=4, least=4, patience=60))
    await queued(found, 4)
    assert found.is_full()
    found.leave()
    assert not found.is_full()
    *_, last = await queued(found, 2)

    assert (found.running, found.waiting, found.refused) == (3, 5, 1)
    assert not await last


async def test_who_has_waited_long_enough_is_refused() -> None:
    found = await taken(Places(first=2, least=1, patience=0.01))
    waiting = await queued(found, 2)

    assert await asyncio.gather(*waiting) == [False, False]
    assert (found.running, found.waiting, found.refused) == (2, 0, 2)


async def test_who_could_not_be_served_in_time_is_refused_at_once() -> None:
    found = await taken()
    waiting = await queued(found, 2)

    assert found.is_full()
    assert not await found.enter()
    for _ in waiting:
        found.leave()
    assert all(await asyncio.gather(*waiting))


async def test_who_leaves_the_queue_leaves_no_gap() -> None:
    found = await taken()
    gone, stays = await queued(found, 2)
    gone.cancel()
    await asyncio.wait({gone})
    assert found.waiting == 1
    found.leave()

    assert await stays
    assert found.running == 2


async def test_a_place_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    found = await taken()
    gone, stays = await queued(found, 2)
    found.leave()  # to the first
    gone.cancel()
    await asyncio.wait({gone})

    assert gone.cancelled()
    assert await stays
    assert found.running == 2


def observed(found: Admission, lags: Sequence[float]) -> float:
    for lag in lags:
        found.observe(lag)
    return found.limit


async def test_a_loop_that_lags_time_after_time_has_fewer_places() -> None:
    found = await taken(Places(first=100, least=10, most=100))

    assert observed(found, [LATE] * 2) == pytest.approx(50)
    assert observed(found, [LATE] * 50) == 10


async def test_places_that_nobody_has_are_lost_at_once() -> None:
    found = await taken(Places(first=60, least=10))
    found.limit = 100

    assert observed(found, [LATE] * 2) == pytest.approx(30)


async def test_a_loop_that_lags_for_other_reasons_keeps_its_places() -> None:
    found = admission(Places(first=100, least=10))
    for _ in range(49):
        assert await found.enter()
    assert observed(found, [LATE] * 50) == 100
    assert await found.enter()

    assert observed(found, [LATE]) == pytest.approx(25)  # half of those taken


async def test_a_little_too_late_costs_a_little() -> None:
    found = await taken(Places(first=100, least=10, most=100, lag=0.010))

    assert observed(found, [0.011] * 4) == pytest.approx(100 * 10 / 11)


@pytest.mark.parametrize("lags", [[1.0], [0.02, 0.02], [0.01, 0.01, 0.01]])
async def test_a_loop_that_lags_now_and_then_keeps_its_places(lags: list[float]) -> None:
    found = await taken(Places(first=100))

    assert observed(found, [*lags, IN_TIME] * 20) >= 100


async def test_places_that_were_lost_come_back_when_the_loop_is_in_time() -> None:
    found = await taken(Places(first=100, least=10))
    assert observed(found, [LATE] * 50) == 10
    for _ in range(100):
        found.leave()

    assert 100 <= observed(found, [IN_TIME] * 100) <= 110


async def test_there_are_more_while_all_are_taken_and_the_loop_is_in_time() -> None:
    found = await taken()
    waiting = await queued(found, 2)

    assert observed(found, [IN_TIME]) == 3
    assert await waiting[0]
    assert observed(found, [IN_TIME] * 10) == 4
    assert await waiting[1]


async def test_places_that_nobody_needs_are_not_added() -> None:
    found = admission()
    assert await found.enter()

    assert observed(found, [IN_TIME] * 10) == 2


async def test_as_many_may_wait_as_are_done_in_that_time() -> None:
    places = Places(first=10, least=10, most=10, patience=0.1)
    found = await taken(places)
    for _ in range(20):
        for _ in range(50):  # a thousand a second: a hundred in a tenth
            found.leave()
            assert await found.enter()
        found.observe(0.0)

    assert 45 <= may_come(found) <= 50


async def test_what_little_was_asked_does_not_say_how_many_may_wait() -> None:
    places = Places(first=10, least=10, most=10, patience=0.1)
    found = admission(places)
    for _ in range(20):
        assert await found.enter()
        found.leave()
        found.observe(0.0)  # twenty a second
    for _ in range(10):
        assert await found.enter()

    assert may_come(found) == 10


def may_come(found: Admission) -> int:
    """How many are let in that find no place."""
    return sum(1 for _ in iter(found.let_in, False))


def test_the_loop_is_looked_after_twenty_times_a_second() -> None:
    seconds = itertools.count()  # a loop that is late by one each time
    found = Admission(lambda: next(seconds), Places(first=100, least=1, most=100))

    async def look() -> None:
        for _ in range(100):
            await found.enter()
        watching = asyncio.create_task(found.watch())
        await asyncio.sleep(0.225)
        watching.cancel()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(look())

    assert found.limit == pytest.approx(12.5)  # after four looks, three of them late for long


# --- the door --------------------------------------------------------------------------------


def door(found: Admission) -> Door:
    return Door(found, b"/graphql", lambda: "made-here")


async def full() -> Admission:
    found = await taken()
    while found.let_in():
        pass
    found.refused = 0
    return found


POST: tuple[bytes, bytes, list[tuple[bytes, bytes]]] = (b"POST", b"/graphql", [(b"host", b"shop")])


async def test_while_there_are_places_nobody_is_turned_away() -> None:
    assert door(admission()).turn_away(*POST) is None


async def test_while_there_are_none_the_answer_is_503_and_when_to_try_again() -> None:
    found = await full()
    response = door(found).turn_away(*POST)

    assert response is not None
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["retry-after"] == "1"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"] == "made-here"
    assert int(headers["content-length"]) == len(body)
    [error] = orjson.loads(body)["errors"]
    assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryable": True}
    assert found.refused == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [(b"mine-1", "mine-1"), (b"", "made-here"), (b"a b", "made-here"), (b"x" * 65, "made-here")],
)
async def test_a_request_keeps_its_id_if_it_is_one(given: bytes, told: str) -> None:
    headers = [(b"x-request-id", given)]
    response = door(await full()).turn_away(b"POST", b"/graphql", headers)

    assert response is not None
    assert f"\r\nx-request-id: {told}\r\n".encode() in response


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        (b"GET", b"/healthz", []),
        (b"GET", b"/readyz", []),
        (b"GET", b"/metrics", []),
        (b"POST", b"/graphqlx", []),
        (b"OPTIONS", b"/graphql", []),
        (b"POST", b"/graphql", [(b"origin", b"https://shop.example")]),
    ],
)
async def test_probes_and_what_is_answered_elsewhere_go_on(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    assert door(await full()).turn_away(method, target, headers) is None


async def test_a_query_in_the_address_is_turned_away_as_well() -> None:
    assert door(await full()).turn_away(b"GET", b"/graphql?query={a}", []) is not None


async def test_those_who_come_together_are_counted_before_they_enter() -> None:
    found = await taken()
    let_in = sum(door(found).turn_away(*POST) is None for _ in range(20))
    assert let_in == 2
    await asyncio.sleep(0)

    assert door(found).turn_away(*POST) is None


async def test_nor_are_more_let_in_while_all_places_are_free() -> None:
    found = admission()

    assert sum(door(found).turn_away(*POST) is None for _ in range(20)) == 4


# --- whatever happens ------------------------------------------------------------------------


class Model(RuleBasedStateMachine):
    """Operations come, wait, give up, and end in any order, and the loop lags or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.found = admission()
        self.coming: list[asyncio.Task[bool]] = []
        self.inside = 0

    def turn(self) -> None:
        async def pass_by() -> None:
            await asyncio.sleep(2 * GATHERED_IN)

        self.runner.run(pass_by())
        for task in [task for task in self.coming if task.done()]:
            self.coming.remove(task)
            self.inside += not task.cancelled() and task.result()

    @rule()
    def come(self) -> None:
        async def begin() -> asyncio.Task[bool]:
            return asyncio.create_task(self.found.enter())

        self.coming.append(self.runner.run(begin()))
        self.turn()

    @precondition(lambda self: self.coming)
    @rule(which=st.integers(0, 9))
    def give_up(self, which: int) -> None:
        self.coming[which % len(self.coming)].cancel()
        self.turn()

    @precondition(lambda self: self.inside and self.coming)
    @rule(which=st.integers(0, 9))
    def end_as_another_gives_up(self, which: int) -> None:
        self.end(which)

    @precondition(lambda self: self.inside)
    @rule(which=st.none() | st.integers(0, 9))
    def end(self, which: int | None) -> None:
        async def leave() -> None:
            self.found.leave()
            if which is not None and self.coming:
                self.coming[which % len(self.coming)].cancel()

        self.inside -= 1
        self.runner.run(leave())
        self.turn()

    @rule(lag=st.sampled_from([0.0, 0.02, 0.5]))
    def look(self, lag: float) -> None:
        async def observe() -> None:
            self.found.observe(lag)

        self.runner.run(observe())
        self.turn()

    @invariant()
    def places_are_counted(self) -> None:
        found = self.found
        assert found.running == self.inside
        assert found.waiting == len(self.coming)
        assert FEW.least <= found.limit <= FEW.most

    @invariant()
    def nobody_waits_beside_a_free_place(self) -> None:
        assert not self.coming or self.found.running >= self.found.limit

    def teardown(self) -> None:
        while self.inside:
            self.end(None)
        assert not self.coming
        assert self.found.running == 0
        self.runner.close()


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase
