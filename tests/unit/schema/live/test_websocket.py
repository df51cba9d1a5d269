"""graphql-transport-ws: what is said, in which order, and every reason to close."""

from __future__ import annotations

import asyncio
import gc
import logging
import logging.handlers
import time
import weakref
from typing import Any

import orjson
import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from datasources.errors import ServiceUnavailable
from resolvers.errors import TenantRefused, TokenRefused
from resolvers.principal import Principal
from schema.errors import refusal
from schema.live.messages import Closing, parse
from schema.live.websocket import SocketLimits
from schema.operations.operation import Refused
from tests.support.sockets import ADD, SLOW, TICKS, Closed, Peer, World, connected, within

INIT = {"type": "connection_init"}
UNHURRIED = SocketLimits(init=60, ping=60, pong=60)
AT_ONCE = 0.01  # seconds


@pytest.fixture
def world() -> World:
    return World()


def customer(expires_at: float) -> Principal:
    return Principal("u1", "default", is_staff=False, expires_at=expires_at)


async def closed(peer: Peer) -> int:
    """The code with which a socket is closed, whatever is said before."""
    while not isinstance(heard := await peer.hear(), Closed):
        pass
    assert 0 < len(heard.reason.encode()) <= 123
    return heard.code


async def refused_with(peer: Peer, operation: str) -> tuple[str, dict[str, object]]:
    """The one error of an operation."""
    heard = await peer.hear()
    assert isinstance(heard, dict)
    assert (heard["type"], heard["id"]) == ("error", operation)
    (error,) = heard["payload"]
    return error["message"], error["extensions"]


# --- connection_init ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, (None, None)),
        ({"payload": None}, (None, None)),
        ({"payload": {}}, (None, None)),
        ({"payload": {"authorization": None, "other": [1]}}, (None, None)),
        ({"payload": {"authorization": "Bearer x", "tenant": "t"}}, ("Bearer x", "t")),
    ],
)
async def test_the_payload_of_init_says_who_is_calling(
    world: World, payload: dict[str, object], expected: tuple[str | None, str | None]
) -> None:
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say(INIT | payload)
        assert await peer.hear() == {"type": "connection_ack"}
    assert world.authenticated == [expected]


@pytest.mark.parametrize(
    "payload", [[], "x", 1, {"authorization": 1}, {"authorization": ["x"]}, {"tenant": {}}]
)
async def test_an_init_of_wrong_types_is_refused_before_anybody_is_asked(
    world: World, payload: object
) -> None:
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say(INIT | {"payload": payload})
        assert await closed(peer) == 4400
    assert world.authenticated == []


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (TokenRefused("The token is malformed."), 4403),
        (TenantRefused("The tenant named is not served here."), 4403),
        (ServiceUnavailable("The keys cannot be had."), 4500),
        (TokenRefused("x" * 500), 4403),
    ],
)
async def test_who_is_not_believed_is_closed_out(
    world: World, refusal: Exception, code: int
) -> None:
    world.refusal = refusal
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say(INIT)
        assert await closed(peer) == code


async def test_a_defect_closes_the_socket_and_tells_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.refusal = RuntimeError("the password is swordfish")
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say(INIT)
        heard = await peer.hear()
    assert isinstance(heard, Closed)
    assert heard.code == 4500
    assert "swordfish" not in heard.reason
    assert "swordfish" in caplog.text


async def test_a_socket_without_init_is_closed(world: World) -> None:
    limits = SocketLimits(init=AT_ONCE)
    async with connected(world.sockets(limits), initialised=False) as peer:
        assert await closed(peer) == 4408


async def test_the_time_for_init_covers_authentication(world: World) -> None:
    world.door = asyncio.Event()
    async with connected(world.sockets(SocketLimits(init=AT_ONCE)), initialised=False) as peer:
        peer.say(INIT)
        assert await closed(peer) == 4408
    assert len(world.authenticated) == 1


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_second_init_closes_the_socket(world: World, is_open: bool) -> None:
    world.door = asyncio.Event()
    if is_open:
        world.door.set()
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say(INIT)
        peer.say(INIT)
        assert await closed(peer) == 4429


@pytest.mark.parametrize("has_begun", [True, False])
async def test_subscribing_before_the_acknowledgement_closes_the_socket(
    world: World, has_begun: bool
) -> None:
    world.door = asyncio.Event()
    async with connected(world.sockets(), initialised=False) as peer:
        if has_begun:
            peer.say(INIT)
        peer.subscribe("1", "{ hello }")
        assert await closed(peer) == 4401


async def test_a_token_that_has_expired_is_refused_without_leeway(world: World) -> None:
    world.now = lambda: 1_000.0
    world.principal = customer(expires_at=999.0)
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say(INIT)
        assert await closed(peer) == 4403


async def test_a_token_that_expires_closes_its_socket_and_no_other(world: World) -> None:
    expires_at = time.time() + 0.05
    world.principal = customer(expires_at)
    endpoint = world.sockets()
    async with connected(endpoint) as peer:
        world.principal = customer(time.time() + 3_600)
        async with connected(endpoint) as other:
            peer.subscribe("1", TICKS)
            results = await world.source.next()
            assert await closed(peer) == 4403
            assert time.time() >= expires_at
            await within(results.closed.wait())
            other.subscribe("1", "{ hello }")
            heard = await other.hear()
            assert isinstance(heard, dict)
            assert heard["type"] == "next"


async def test_a_clock_that_is_set_back_keeps_the_token_alive(world: World) -> None:
    times = iter([0.0, 0.0, 0.0])
    now = [0.0]
    world.now = lambda: next(times, now[0])
    world.principal = customer(AT_ONCE)
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", "{ hello }")
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert heard["type"] == "next"
        now[0] = 1.0
        assert await closed(peer) == 4403


# --- pings ----------------------------------------------------------------------------------


async def test_a_ping_is_answered_with_its_payload_at_any_time(world: World) -> None:
    async with connected(world.sockets(), initialised=False) as peer:
        peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}
        peer.say({"type": "ping", "payload": {"名": [1]}})
        assert await peer.hear() == {"type": "pong", "payload": {"名": [1]}}


async def test_a_client_that_answers_pings_stays(world: World) -> None:
    async with connected(world.sockets(SocketLimits(ping=AT_ONCE, pong=60))) as peer:
        for _ in range(3):
            assert await peer.hear() == {"type": "ping"}
            peer.say({"type": "pong", "payload": {}})


async def test_a_client_that_does_not_answer_a_ping_is_closed(world: World) -> None:
    async with connected(world.sockets(SocketLimits(ping=AT_ONCE, pong=AT_ONCE))) as peer:
        assert await peer.hear() == {"type": "ping"}
        assert await closed(peer) == 4408


# --- invalid messages -----------------------------------------------------------------------

INVALID = [
    "",
    "{",
    "null",
    "1",
    '"x"',
    "[]",
    '[{"type":"ping"}]',
    "{}",
    '{"type":null}',
    '{"type":["ping"]}',
    '{"type":"start"}',
    '{"type":"connection_ack"}',
    '{"type":"next","id":"1","payload":{}}',
    '{"type":"error","id":"1","payload":[]}',
    '{"type":"ping","payload":1}',
    '{"type":"pong","payload":"x"}',
    '{"type":"complete"}',
    '{"type":"complete","id":""}',
    '{"type":"complete","id":1}',
    '{"type":"subscribe","payload":{"query":"{ hello }"}}',
    '{"type":"subscribe","id":"","payload":{"query":"{ hello }"}}',
    '{"type":"subscribe","id":["1"],"payload":{"query":"{ hello }"}}',
    '{"type":"subscribe","id":"1"}',
    '{"type":"subscribe","id":"1","payload":null}',
    '{"type":"subscribe","id":"1","payload":"{ hello }"}',
    '{"type":"subscribe","id":"1","payload":{}}',
    '{"type":"subscribe","id":"1","payload":{"query":1}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{hello}","variables":[]}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{hello}","operationName":1}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{hello}","extensions":"x"}}',
    '{"type":"ping","payload":{"n":' + "1" * 5_000 + "}}",
    '{"type":"ping","payload":{"x":"\\ud800"}}',
    pytest.param("[" * 30_000, id="open arrays"),
    pytest.param('{"a":' * 9_000 + "1" + "}" * 9_000, id="deep objects"),
    b'{"type":"ping"}',
    b"",
]


@pytest.mark.parametrize("message", INVALID)
async def test_an_invalid_message_closes_the_socket(
    world: World, message: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(world.sockets()) as peer:
        peer.say(message)
        assert await closed(peer) == 4400
    assert caplog.records == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
TYPES = ["connection_init", "subscribe", "complete", "ping", "pong", "next"]
MALFORMED = (
    st.text()
    | st.binary()
    | ANYTHING.map(lambda value: orjson.dumps(value).decode())
    | st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES) | ANYTHING,
            "id": st.text(max_size=3) | ANYTHING,
            "payload": st.fixed_dictionaries(
                {},
                optional={
                    "query": st.sampled_from(["{ hello }", TICKS, "{"]) | ANYTHING,
                    "variables": ANYTHING,
                    "operationName": ANYTHING,
                    "extensions": ANYTHING,
                },
            )
            | ANYTHING,
        },
    )
)


@given(message=MALFORMED)
async def test_whatever_comes_is_answered_or_refused(message: object) -> None:
    handler = logging.handlers.BufferingHandler(1_000)
    logging.getLogger().addHandler(handler)
    try:
        async with connected(World().sockets(UNHURRIED)) as peer:
            peer.say(message)
            peer.say({"type": "ping", "payload": {"is": "last"}})
            while isinstance(heard := await peer.hear(), dict):
                if heard == {"type": "pong", "payload": {"is": "last"}}:
                    break
            else:
                assert heard.code in {4400, 4429}
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.buffer == []


def test_no_reason_is_longer_than_a_close_frame_takes() -> None:
    for message in ["", "1", '{"type":"x"}', '{"type":"complete","id":' + "1" * 300 + "}", None]:
        with pytest.raises(Closing) as caught:
            parse(message)
        assert len(caught.value.reason.encode()) <= 123


# --- operations -----------------------------------------------------------------------------


async def test_a_query_is_answered_with_its_cost_and_completed(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe(
            'a "名"',
            "query A { hello } query B($n: String!) { hello(name: $n) }",
            operationName="B",
            variables={"n": "太郎"},
            extensions={},
        )
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert (heard["id"], heard["type"]) == ('a "名"', "next")
        assert heard["payload"]["data"] == {"hello": "hello 太郎"}
        assert set(heard["payload"]["extensions"]["cost"]) == {"requested", "actual"}
        assert await peer.hear() == {"id": 'a "名"', "type": "complete"}


async def test_a_mutation_is_answered_and_completed(world: World) -> None:
    world.store.gate.set()
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", ADD)
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert heard["payload"]["data"] == {"add": 1}
        assert set(heard["payload"]["extensions"]["cost"]) == {"requested", "actual"}
        assert await peer.hear() == {"id": "1", "type": "complete"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_USER_INPUT"),
        ("query($n: String!) { hello(name: $n) }", "BAD_USER_INPUT"),
        ("{ hello " + " " * 20_000 + "}", "QUERY_TOO_COMPLEX"),
    ],
)
async def test_what_cannot_run_gets_an_error_and_the_socket_stays(
    world: World, query: str, code: str
) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", query)
        _, extensions = await refused_with(peer, "1")
        assert extensions["code"] == code
        peer.subscribe("1", "{ hello }")
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert heard["type"] == "next"


async def test_a_defect_in_a_resolver_tells_its_request_id_alone(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", "{ hello broken }")
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert heard["payload"]["data"] == {"hello": "hello you", "broken": None}
        (error,) = heard["payload"]["errors"]
        assert error["extensions"] == {
            "code": "INTERNAL_SERVER_ERROR",
            "requestId": "request-1",
        }


async def test_the_results_of_a_subscription_come_in_order(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", TICKS)
        results = await world.source.next()
        for number in range(100):
            results.put(number)
        results.end()
        for number in range(100):
            assert await peer.hear() == {
                "id": "1",
                "type": "next",
                "payload": {"data": {"ticks": number}},
            }
        assert await peer.hear() == {"id": "1", "type": "complete"}
        assert results.closed.is_set()


async def test_a_result_is_written_at_once_where_the_server_can(world: World) -> None:
    written: list[str] = []
    room = [True, False]

    def write(text: str) -> bool:
        written.append(text)
        return room.pop(0)

    async with connected(world.sockets(), write=write) as peer:
        peer.subscribe('a "名"', TICKS)
        results = await world.source.next()
        assert results.push is not None
        assert [results.push(b'{"data":{"ticks":%d}}' % number) for number in (1, 2)] == [
            True,
            False,
        ]
    assert [orjson.loads(text) for text in written] == [
        {"id": 'a "名"', "type": "next", "payload": {"data": {"ticks": number}}}
        for number in (1, 2)
    ]


async def test_another_server_has_every_result_sent(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", TICKS)
        results = await world.source.next()
        assert results.push is not None
        assert not results.push(b"{}")


async def test_a_subscription_that_is_refused_at_first_gets_an_error(world: World) -> None:
    world.source.refusal = Refused(refusal("FORBIDDEN", "Not yours."))
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", TICKS)
        assert await refused_with(peer, "1") == ("Not yours.", {"code": "FORBIDDEN"})


async def test_a_subscription_that_ends_with_errors_says_so(world: World) -> None:
    slow = {"code": "SLOW_CONSUMER", "cursor": "abc"}
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", TICKS)
        results = await world.source.next()
        results.put(1)
        results.end(Refused(GraphQLError("Too slow.", extensions=slow)))
        assert isinstance(await peer.hear(), dict)
        assert await refused_with(peer, "1") == ("Too slow.", slow)
        await within(results.closed.wait())
        peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}


async def test_a_defect_in_a_subscription_is_masked(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.source.refusal = RuntimeError("the password is swordfish")
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", TICKS)
        message, extensions = await refused_with(peer, "1")
    assert "swordfish" not in message
    assert extensions == {"code": "INTERNAL_SERVER_ERROR", "requestId": "request-1"}
    assert "swordfish" in caplog.text


@pytest.mark.parametrize("query", [TICKS, SLOW, ADD])
async def test_an_id_in_use_closes_the_socket(world: World, query: str) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", query)
        peer.subscribe("1", "{ hello }")
        assert await closed(peer) == 4409
        world.store.gate.set()


async def test_an_id_is_free_again_once_its_operation_is_complete(world: World) -> None:
    async with connected(world.sockets()) as peer:
        for _ in range(3):
            peer.subscribe("1", "{ hello }")
            assert [(await _type(peer)), (await _type(peer))] == ["next", "complete"]
        peer.subscribe("1", TICKS)
        first = await world.source.next()
        peer.say({"type": "complete", "id": "1"})
        peer.subscribe("1", TICKS)
        second = await world.source.next()
        await within(first.closed.wait())
        first.put("old")
        second.put("new")
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert heard["payload"] == {"data": {"ticks": "new"}}


async def _type(peer: Peer) -> str:
    heard = await peer.hear()
    assert isinstance(heard, dict)
    return str(heard["type"])


async def test_completing_what_does_not_run_is_no_fault(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.say({"type": "complete", "id": "unknown"})
        peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}


async def test_a_query_whose_client_completes_it_is_stopped(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", SLOW)
        await within(world.store.started.acquire())
        peer.say({"type": "complete", "id": "1"})
        peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}
    assert world.store.cancelled == 1


async def test_a_mutation_whose_client_completes_it_is_finished_unheard(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", ADD)
        await within(world.store.started.acquire())
        peer.say({"type": "complete", "id": "1"})
        peer.subscribe("1", "{ slow }")  # the ID is free
        await within(world.store.started.acquire())
        world.store.gate.set()
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert heard["payload"]["data"] == {"slow": "at last"}
    assert (world.store.added, world.store.cancelled) == (1, 0)


async def test_a_mutation_whose_client_leaves_is_finished(world: World) -> None:
    async with connected(world.sockets()) as peer:
        peer.subscribe("1", ADD)
        peer.subscribe("2", SLOW)
        peer.subscribe("3", TICKS)
        results = await world.source.next()
        for _ in range(2):
            await within(world.store.started.acquire())
        peer.leave()
        await within(results.closed.wait())
        world.store.gate.set()
    assert (world.store.added, world.store.cancelled) == (1, 1)


# --- limits ---------------------------------------------------------------------------------


async def test_the_21st_operation_gets_an_error_of_its_own(world: World) -> None:
    async with connected(world.sockets()) as peer:
        for number in range(20):
            peer.subscribe(f"{number}", TICKS)
        first = await world.source.next()
        peer.subscribe("20", "{ hello }")
        _, extensions = await refused_with(peer, "20")
        assert extensions == {"code": "RATE_LIMITED", "retryable": True}

        first.end()
        assert await peer.hear() == {"id": "0", "type": "complete"}
        peer.subscribe("20", "{ hello }")
        heard = await peer.hear()
        assert isinstance(heard, dict)
        assert (heard["id"], heard["type"]) == ("20", "next")


async def test_mutations_that_run_on_count_among_the_operations(world: World) -> None:
    limits = SocketLimits(operations=2)
    async with connected(world.sockets(limits)) as peer:
        for operation in ("1", "2"):
            peer.subscribe(operation, ADD)
            await within(world.store.started.acquire())
            peer.say({"type": "complete", "id": operation})
        peer.subscribe("3", "{ hello }")
        _, extensions = await refused_with(peer, "3")
        assert extensions["code"] == "RATE_LIMITED"
        world.store.gate.set()
    assert world.store.added == 2


async def test_a_client_that_does_not_read_holds_up_nobody_else(world: World) -> None:
    endpoint = world.sockets()
    async with connected(endpoint) as stuck, connected(endpoint) as other:
        stuck.subscribe("1", TICKS)
        slow = await world.source.next()
        other.subscribe("1", TICKS)
        quick = await world.source.next()
        stuck.reads.clear()
        for number in range(50):
            slow.put(number)
            quick.put(number)
        for number in range(50):
            heard = await other.hear()
            assert isinstance(heard, dict)
            assert heard["payload"] == {"data": {"ticks": number}}
        assert stuck.from_service.empty()
        stuck.leave()
        stuck.reads.set()
        await within(slow.closed.wait())


async def test_what_a_client_that_is_gone_subscribed_to_is_freed_without_the_collector(
    world: World,
) -> None:
    gc.disable()
    try:
        async with connected(world.sockets()) as peer:
            peer.subscribe("a", TICKS)
            await world.source.next()
            [task] = (weakref.ref(each) for each in asyncio.all_tasks() if is_subscription(each))
            assert task() is not None
        await asyncio.sleep(0)
        assert task() is None
    finally:
        gc.enable()


def is_subscription(task: asyncio.Task[Any]) -> bool:
    return task.get_name() == "subscription"
