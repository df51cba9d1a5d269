"""Who asks for too much, or has too much open, over each of the three ways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest

from resolvers.principal import Principal
from schema.guards.buckets import MemoryBuckets, Rate
from schema.guards.seats import SeatLimits, Seats
from schema.guards.throttle import PREPARING, Throttle
from schema.headers import JSON
from schema.http import GRAPHQL
from schema.live.sockets import SocketEndpoint
from schema.live.sse import EventStreams
from tests.support.endpoint import HELLO, Service, code, only_error
from tests.support.sockets import THREE, TICKS, Closed, Peer, World, connected
from tests.unit.schema.live.test_sse import asked


def throttle(capacity: float = 2, now: Callable[[], float] = lambda: 1_000.0) -> Throttle:
    """With so many operations for everybody, which take ten seconds each to come back."""
    rate = Rate(capacity, 0.1)
    return Throttle(MemoryBuckets(rate, now), MemoryBuckets(rate, now), None, now)


# --- HTTP -----------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_an_answer_tells_what_is_left_and_a_refusal_when_there_is_more(accept: str) -> None:
    service = Service(throttle=throttle())
    costs = [(await service.post(HELLO, accept=accept)).json()["extensions"]["cost"] for _ in "12"]
    refused = await service.post(HELLO, accept=accept)

    assert [cost["throttle"]["currentlyAvailable"] for cost in costs] == [1, 0]
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "10"
    assert refused.headers["content-type"].startswith(accept)
    extensions = only_error(refused)["extensions"]
    assert extensions == {"code": "RATE_LIMITED", "retryable": True, "retryAfterMs": 10_000}
    assert refused.json()["extensions"]["cost"] == {
        "requested": 0,
        "throttle": {"maximumAvailable": 2, "currentlyAvailable": 0, "restoreRate": 0.1},
    }


async def test_a_mutation_that_is_refused_does_not_run() -> None:
    service = Service(throttle=throttle(1))
    await service.post(HELLO)

    assert (await service.post({"query": "mutation { add }"})).status_code == 429
    assert service.store.count == 0


async def test_without_a_throttle_nothing_is_said_of_it() -> None:
    response = await Service().post(HELLO)

    assert set(response.json()["extensions"]["cost"]) == {"requested", "actual"}


async def test_what_is_no_request_and_what_is_no_operation_is_not_charged() -> None:
    service = Service(throttle=throttle(1))
    for body in ({}, {"query": "{"}, {"query": "{ nothing }"}, {"query": TICKS}):
        await service.post(body)
    await service.get(query="mutation { add }")

    assert (await service.post(HELLO)).status_code == 200


async def test_who_sends_ever_new_documents_that_take_long_is_refused_before_they_are_read() -> (
    None
):
    seconds = iter(range(1_000))

    def now() -> float:
        return next(seconds)

    preparing = MemoryBuckets(PREPARING, lambda: 1_000.0)
    rates = [MemoryBuckets(Rate(100, 1), lambda: 1_000.0) for _ in range(2)]
    service = Service(throttle=Throttle(rates[0], rates[1], preparing, now))
    statuses = [(await service.post({"query": "{ nothing }"})).status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]
    refused = await service.post(HELLO)
    assert code(refused) == "RATE_LIMITED"
    assert "extensions" not in refused.json()


# --- server-sent events ---------------------------------------------------------------------


async def test_a_stream_that_is_refused_is_so_by_its_status(world: World) -> None:
    limited = throttle(1)
    async with asked(world, TICKS, throttle=limited) as first:
        assert first.status == 200
        async with asked(world, TICKS, throttle=limited) as second:
            assert (second.status, second.headers["retry-after"]) == (429, "10")
            assert second.headers["content-type"] == "application/json; charset=utf-8"
            result = orjson.loads(await second.hear())
    told = result["errors"][0]["extensions"]
    assert (told["code"], told["retryAfterMs"]) == ("RATE_LIMITED", 10_000)
    assert result["extensions"]["cost"]["throttle"]["currentlyAvailable"] == 0


@pytest.mark.parametrize(
    ("limits", "status", "expected"),
    [
        (SeatLimits(all=1), 503, "SERVICE_UNAVAILABLE"),
        (SeatLimits(address=1), 429, "RATE_LIMITED"),
    ],
)
async def test_a_stream_too_many_is_refused(
    world: World, limits: SeatLimits, status: int, expected: str
) -> None:
    streams = replace(world.streams(), seats=Seats(limits))
    async with asked(world, TICKS, streams=streams):
        async with asked(world, TICKS, streams=streams) as refused:
            assert (refused.status, refused.headers["retry-after"]) == (status, "5")
            (error,) = orjson.loads(await refused.hear())["errors"]
            assert (error["extensions"]["code"], error["extensions"]["retryable"]) == (
                expected,
                True,
            )
        assert streams.seats.taken == 1
    assert streams.seats == Seats(limits)  # nothing is remembered


async def test_a_stream_that_has_no_seat_is_charged_for_being_asked_for_alone(
    world: World,
) -> None:
    limited = throttle(50)
    streams = replace(world.streams(), seats=Seats(SeatLimits(all=0)))
    async with asked(world, TICKS, streams=streams, throttle=limited) as refused:
        assert refused.status == 503
    async with asked(world, "{ hello }", throttle=limited) as client:
        left = (await client.result())["extensions"]["cost"]["throttle"]["currentlyAvailable"]
    assert left == 50 - 2


# --- websockets -----------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    return World()


async def test_an_operation_too_many_is_refused_and_the_socket_stays(world: World) -> None:
    endpoint = replace(world.sockets(), throttle=throttle(2))
    async with connected(endpoint) as peer:
        peer.subscribe("1", "{ hello }")
        assert (await heard(peer, "next"))["payload"]["extensions"]["cost"]["throttle"] == {
            "maximumAvailable": 2,
            "currentlyAvailable": 1,
            "restoreRate": 0.1,
        }
        peer.subscribe("2", TICKS)
        results = await world.source.next()
        peer.subscribe("3", "{ hello }")
        (error,) = (await heard(peer, "error"))["payload"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["retryAfterMs"] == 10_000
        results.put(1)
        assert (await heard(peer, "next"))["id"] == "2"


async def test_an_operation_that_is_completed_before_it_begins_is_paid_back(world: World) -> None:
    endpoint = replace(world.sockets(), throttle=throttle(5))
    async with connected(endpoint) as peer:
        peer.subscribe("1", THREE)
        peer.say({"type": "complete", "id": "1"})
        for number in "23":
            peer.subscribe(number, "{ hello }")
            payload = (await heard(peer, "next"))["payload"]
            assert payload["data"] == {"hello": "hello you"}
        assert payload["extensions"]["cost"]["throttle"]["currentlyAvailable"] == 2


async def heard(peer: Peer, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        message = await peer.hear()
        assert isinstance(message, dict)
        if message["type"] == kind:
            return message


def seated(world: World, limits: SeatLimits) -> SocketEndpoint:
    return replace(world.sockets(), seats=Seats(limits))


async def closed(peer: Peer) -> Closed:
    while not isinstance(message := await peer.hear(), Closed):
        pass
    return message


@pytest.mark.parametrize("limits", [SeatLimits(all=2), SeatLimits(address=2)])
async def test_a_socket_too_many_is_closed_before_anybody_is_asked_who_it_is(
    world: World, limits: SeatLimits
) -> None:
    endpoint = seated(world, limits)
    async with connected(endpoint), connected(endpoint):
        async with connected(endpoint, initialised=False) as third:
            end = await closed(third)
            assert end.code == 1013
            assert end.reason.startswith("Too many connections are open ")
        assert len(world.authenticated) == 2
        assert len(endpoint.sockets) == 2
    assert endpoint.seats == Seats(limits)
    async with connected(endpoint):
        assert endpoint.seats.taken == 1


async def test_a_principal_has_so_many_sockets_and_others_have_theirs(world: World) -> None:
    limits = SeatLimits(principal=2)
    endpoint = seated(world, limits)
    world.principal = Principal("u1", "default", is_staff=False, expires_at=None)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(connected(endpoint))
        async with connected(endpoint, initialised=False) as third:
            third.say({"type": "connection_init"})
            end = await closed(third)
            assert (end.code, end.reason) == (
                1013,
                "Too many connections are open by this caller: close some",
            )
        for user in ("u2", None):
            world.principal = replace(world.principal, user_id=user)
            await stack.enter_async_context(connected(endpoint))
    assert endpoint.seats == Seats(limits)


async def test_sockets_and_streams_share_the_seats(world: World) -> None:
    seats = Seats(SeatLimits(all=1))
    endpoint = replace(world.sockets(), seats=seats)
    async with connected(endpoint):
        streams: EventStreams = replace(world.streams(), seats=seats)
        async with asked(world, TICKS, streams=streams) as refused:
            assert refused.status == 503
