"""Server-sent events: what the stream has in it, and every way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.types import Message

from resolvers.principal import Principal
from schema.errors import refusal
from schema.guards.throttle import Throttle
from schema.http import GraphQLEndpoint
from schema.live.sse import EVENTS, EventStreams
from schema.operations.operation import Refused
from tests.support.sockets import ADD, SLOW, TICKS, World, executor, within

COMPLETE = b"event: complete\ndata: \n\n"


@pytest.fixture
def world() -> World:
    return World()


def event(payload: object) -> bytes:
    return b"event: next\ndata: " + orjson.dumps(payload) + b"\n\n"


@dataclass
class Client:
    """Who reads the answer to one request."""

    heard: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def start(self) -> None:
        message = await within(self.heard.get())
        assert message["type"] == "http.response.start"
        self.status = message["status"]
        self.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    async def hear(self) -> bytes:
        """The next part of the body."""
        message = await within(self.heard.get())
        assert message["type"] == "http.response.body"
        if not message.get("more_body"):
            assert self.heard.empty()
        return bytes(message["body"])

    async def result(self) -> dict[str, Any]:
        part = await self.hear()
        assert part.startswith(b"event: next\ndata: ")
        assert part.endswith(b"\n\n")
        result: dict[str, Any] = orjson.loads(part.split(b"data: ", 1)[1])
        return result


@asynccontextmanager
async def asked(
    world: World,
    query: str,
    *,
    streams: EventStreams | None = None,
    throttle: Throttle | None = None,
    method: str = "POST",
    accept: str = EVENTS,
    **body: object,
) -> AsyncIterator[Client]:
    """A request to the endpoint; the service has let go of it afterwards."""
    streams = streams or world.streams()
    client = Client()
    content = orjson.dumps({"query": query, **body})
    parts = [{"type": "http.request", "body": content}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await client.left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        client.heard.put_nowait(message)

    headers = {"accept": accept, "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": method,
        "path": "/graphql",
        "query_string": f"query={query}".encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    endpoint = GraphQLEndpoint(
        executor=executor(),
        shop=world.shop(),
        authenticate=world.authenticate,
        explorer=None,
        largest_body=102_400,
        request_id=lambda: "made-here",
        streams=streams,
        throttle=throttle,
    )

    async def serve() -> None:
        response = await endpoint.handle(Request(scope, receive, send))
        await response(scope, receive, send)

    serving = asyncio.create_task(serve())
    try:
        await client.start()
        yield client
    finally:
        client.left.set()
        await within(serving)


async def test_a_subscription_is_a_stream_of_events(world: World) -> None:
    async with asked(world, TICKS) as client:
        assert client.status == 200
        expected = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-accel-buffering": "no",
            "vary": "Accept, Authorization, X-Tenant",
            "x-request-id": "made-here",
        }
        assert expected.items() <= client.headers.items()
        results = await world.source.next()
        results.put("一\n二")
        assert await client.hear() == 'event: next\ndata: {"data":{"ticks":"一\\n二"}}\n\n'.encode()
        results.put(2)
        assert await client.hear() == event({"data": {"ticks": 2}})
        results.end()
        assert await client.hear() == COMPLETE
        assert results.closed.is_set()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_query_is_one_event(world: World, method: str) -> None:
    async with asked(world, "{ hello }", method=method) as client:
        result = await client.result()
        assert result["data"] == {"hello": "hello you"}
        assert set(result["extensions"]["cost"]) == {"requested", "actual"}
        assert await client.hear() == COMPLETE


async def test_a_mutation_is_one_event(world: World) -> None:
    world.store.gate.set()
    async with asked(world, ADD) as client:
        assert (await client.result())["data"] == {"add": 1}
        assert await client.hear() == COMPLETE


async def test_a_mutation_is_not_run_by_get(world: World) -> None:
    async with asked(world, ADD, method="GET") as client:
        assert client.status == 405
    assert world.store.added == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_USER_INPUT"),
    ],
)
async def test_what_cannot_run_is_told_by_an_event(world: World, query: str, code: str) -> None:
    async with asked(world, query) as client:
        assert (client.status, client.headers["x-request-id"]) == (200, "made-here")
        first, _, rest = (await client.hear()).partition(b"\n\n")
        (error,) = orjson.loads(first.removeprefix(b"event: next\ndata: "))["errors"]
        assert error["extensions"]["code"] == code
        assert rest == COMPLETE


async def test_what_is_no_request_is_told_by_its_status(world: World) -> None:
    async with asked(world, "{ hello }", variables=[]) as client:
        assert client.status == 400
        assert client.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/event-stream, application/json;q=0.9", EVENTS),
        ("application/json, text/event-stream;q=0.9", "application/json"),
        ("*/*", "application/json"),
    ],
)
async def test_the_client_chooses_between_events_and_one_answer(
    world: World, accept: str, expected: str
) -> None:
    async with asked(world, "{ hello }", accept=accept) as client:
        assert client.headers["content-type"] == f"{expected}; charset=utf-8"


async def test_a_subscription_without_events_is_told_what_it_wants(world: World) -> None:
    async with asked(world, TICKS, accept="application/json") as client:
        assert client.status == 400
        (error,) = orjson.loads(await client.hear())["errors"]
        assert EVENTS in error["message"]


@pytest.mark.parametrize("starts", [True, False])
async def test_a_subscription_that_is_refused_says_so(world: World, starts: bool) -> None:
    refused = Refused(refusal("SLOW_CONSUMER", "Too slow.", cursor="abc"))
    world.source.refusal = None if starts else refused
    async with asked(world, TICKS) as client:
        if starts:
            results = await world.source.next()
            results.end(refused)
        assert await client.result() == {
            "errors": [
                {
                    "message": "Too slow.",
                    "extensions": {"code": "SLOW_CONSUMER", "cursor": "abc"},
                }
            ]
        }
        assert await client.hear() == COMPLETE


async def test_a_defect_is_masked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.source.refusal = RuntimeError("the password is swordfish")
    async with asked(world, TICKS) as client:
        (error,) = (await client.result())["errors"]
        assert error["extensions"] == {
            "code": "INTERNAL_SERVER_ERROR",
            "requestId": "made-here",
        }
        assert await client.hear() == COMPLETE
    assert "swordfish" in caplog.text


async def test_heartbeats_go_out_while_nothing_happens(world: World) -> None:
    async with asked(world, TICKS, streams=world.streams(heartbeat=0.01)) as client:
        results = await world.source.next()
        assert [await client.hear() for _ in range(3)] == [b":\n\n"] * 3
        results.put(1)
        while (part := await client.hear()) == b":\n\n":
            pass
        assert part == event({"data": {"ticks": 1}})


async def test_a_token_that_expires_ends_the_stream(world: World) -> None:
    time = [0.0]
    world.now = lambda: time[0]
    world.principal = Principal("u1", "default", is_staff=False, expires_at=0.05)
    async with asked(world, TICKS, streams=world.streams(heartbeat=0.01)) as client:
        results = await world.source.next()
        assert await client.hear() == b":\n\n"
        time[0] = 0.05
        while (part := await client.hear()) == b":\n\n":
            pass
        body, _, rest = part.partition(b"\n\n")
        (error,) = orjson.loads(body.removeprefix(b"event: next\ndata: "))["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        assert rest == COMPLETE
        assert results.closed.is_set()


async def test_a_subscription_is_closed_when_its_client_leaves(world: World) -> None:
    streams = world.streams()
    async with asked(world, TICKS, streams=streams) as client:
        results = await world.source.next()
        assert len(streams.streams) == 1
        client.left.set()
        await within(results.closed.wait())
    assert streams.streams == set()


async def test_a_query_is_stopped_and_a_mutation_finished_when_the_client_leaves(
    world: World,
) -> None:
    async with asked(world, SLOW) as client:
        await within(world.store.started.acquire())
        client.left.set()
    assert world.store.cancelled == 1

    async with asked(world, ADD) as client:
        await within(world.store.started.acquire())
        client.left.set()
        asyncio.get_running_loop().call_soon(world.store.gate.set)
    assert (world.store.added, world.store.cancelled) == (1, 1)


async def test_draining_completes_subscriptions_and_lets_others_end(world: World) -> None:
    streams = world.streams()
    async with (
        asked(world, TICKS, streams=streams) as endless,
        asked(world, ADD, streams=streams) as short,
    ):
        results = await world.source.next()
        await within(world.store.started.acquire())
        await within(streams.drain(0.0))
        assert await endless.hear() == COMPLETE
        assert results.closed.is_set()
        world.store.gate.set()
        assert (await short.result())["data"] == {"add": 1}
        assert await short.hear() == COMPLETE


async def test_a_subscription_that_comes_while_others_are_drained_is_completed(
    world: World,
) -> None:
    streams = world.streams()
    await streams.drain()
    async with asked(world, TICKS, streams=streams) as client:
        assert await client.hear() == COMPLETE
