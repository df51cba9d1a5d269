"""The server on a port of its own: what it does with clients that keep it waiting, and its end."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec

import httpx
import orjson
import pytest
import uvloop
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

from datasources.errors import ConfigurationError
from schema.app import build_app
from schema.http import GraphQLEndpoint
from schema.live.sockets import SocketEndpoint
from schema.live.sse import EventStreams
from schema.serving import server as serving
from schema.serving import transports
from schema.serving.connections import HttpConnection
from schema.serving.server import address, is_loopback, listen, serve_app
from schema.serving.socket_connections import SocketConnection
from tests.support.sockets import ADD, PATIENCE, TICKS, Results, World, executor, within

OTHER = "https://other.example"  # whose pages may ask
REQUEST_ID = "made-for-what-is-none"
SHORT = 0.2  # seconds
LARGEST = 4_096
TURNS = 300  # of waiting for what is to be seen soon
INIT = {"type": "connection_init", "payload": {"authorization": "Bearer swordfish"}}
SUBSCRIBE = {"id": "1", "type": "subscribe", "payload": {"query": TICKS}}


P = ParamSpec("P")


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs a test on the loop that production runs on: its transports are its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


@pytest.fixture(autouse=True)
def _kept_signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def world() -> World:
    return World()


@dataclass
class Served:
    """A running server, and what it serves."""

    port: int
    task: asyncio.Task[None]
    sockets: SocketEndpoint
    streams: EventStreams
    events: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        os.kill(os.getpid(), number)

    @asynccontextmanager
    async def connected(self, **options: Any) -> AsyncIterator[ClientConnection]:
        url = f"ws://127.0.0.1:{self.port}/graphql"
        protocols: Any = ["graphql-transport-ws"]
        async with connect(url, subprotocols=protocols, proxy=None, **options) as client:
            yield client

    @asynccontextmanager
    async def deaf(self, request: bytes) -> AsyncIterator[socket.socket]:
        """A connection of a client that sends, and never reads."""
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            await loop.sock_sendall(client, request)
            yield client


async def ready() -> None:
    return None


@asynccontextmanager
async def served(
    world: World, drain: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Served]:
    sockets, streams = world.sockets(), world.streams()
    endpoint = GraphQLEndpoint(
        executor=executor(),
        shop=world.shop(),
        authenticate=world.authenticate,
        explorer=None,
        largest_body=102_400,
        request_id=lambda: "made-here",
        streams=streams,
    )
    app = build_app(
        endpoint,
        sockets,
        explorer=None,
        outbox=None,
        readiness=ready,
        registry=CollectorRegistry(),
        allowed_origins=[OTHER],
    )
    listener = listen("127.0.0.1", 0)

    async def drain_all() -> None:
        running.events.append("drain")
        await asyncio.gather(sockets.drain(0.0), streams.drain(0.0))

    server = serve_app(
        app,
        listener,
        request_id=lambda: REQUEST_ID,
        stopping=lambda: running.events.append("stopping"),
        drain=drain or drain_all,
        largest_message=LARGEST,
    )
    port = listener.getsockname()[1]
    running = Served(port, asyncio.create_task(server), sockets, streams)
    try:
        async with httpx.AsyncClient() as client:  # answers: signals are listened to
            await client.get(running.url)
        yield running
    finally:
        if not running.task.done():
            running.stop()
        await within(running.task)


def frame(content: object, opcode: int = 1, *, final: bool = True) -> bytes:
    """A frame as a client sends it, masked with zeros."""
    data = content if isinstance(content, bytes) else orjson.dumps(content)
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    return bytes([opcode | (0x80 if final else 0)]) + length + b"\0\0\0\0" + data


HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-protocol: graphql-transport-ws\r\n"
    b"sec-websocket-key: " + base64.b64encode(b"k" * 16) + b"\r\n\r\n"
)


async def handshaken(client: socket.socket) -> None:
    """The one thing that a deaf client reads, so that its frames come after the handshake."""
    loop = asyncio.get_running_loop()
    assert b" 101 " in await within(loop.sock_recv(client, 4_096))


async def acknowledged(client: ClientConnection) -> None:
    await client.send(orjson.dumps(INIT).decode())
    assert orjson.loads(await within(client.recv())) == {"type": "connection_ack"}


async def subscribed(client: ClientConnection, world: World) -> Results:
    await acknowledged(client)
    await client.send(orjson.dumps(SUBSCRIBE).decode())
    return await world.source.next()


def write(results: Results, result: object) -> bool:
    """Whether the server has written it at once."""
    assert results.push is not None
    return results.push(orjson.dumps({"data": {"ticks": result}}))


async def close_code(client: ClientConnection) -> int | None:
    """The code of the close frame that came, whatever came before; None without one."""
    try:
        while True:
            await within(client.recv())
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def dropped(client: socket.socket) -> None:
    """Returns when the service has no such connection any more."""

    async def send() -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(client, b"x")
            await asyncio.sleep(0)

    with pytest.raises(OSError, match=r"reset|pipe"):
        await within(send())


async def until_full(results: Results) -> None:
    """Returns when the service takes no more results."""
    before = -1
    while results.queue.qsize() != before or before == 0:
        before = results.queue.qsize()
        await asyncio.sleep(SHORT / 10)


async def overflow(results: Results) -> int:
    """Puts in 10 MB, waits until the subscription is closed, and tells how many bytes of it the
    service took for its client meanwhile."""
    for _ in range(1_000):
        results.put("x" * 10_000)
    await within(results.closed.wait())
    return (1_000 - results.queue.qsize()) * 10_000


# --- the listener ---------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"--port {port}: cannot be listened on"):
            listen("127.0.0.1", port)


def test_an_address_is_written_as_in_a_url() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert address(listener) == f"127.0.0.1:{listener.getsockname()[1]}"
        assert is_loopback(listener)


# --- websockets -----------------------------------------------------------------------------


@on_uvloop
async def test_a_socket_works_and_nothing_is_logged_of_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(world) as server:
        caplog.set_level(logging.DEBUG)
        async with server.connected() as client:
            assert client.response is not None
            assert "sec-websocket-extensions" not in client.response.headers
            await acknowledged(client)
            await client.send(orjson.dumps(SUBSCRIBE).decode())
            results = await world.source.next()
            results.put(1)
            expected = {"id": "1", "type": "next", "payload": {"data": {"ticks": 1}}}
            assert orjson.loads(await within(client.recv())) == expected
        await within(results.closed.wait())
    ours = [record for record in caplog.records if not record.name.startswith("websockets.")]
    assert "swordfish" not in "".join(record.getMessage() for record in ours)
    assert [record for record in ours if "WebSocket" in record.getMessage()] == []


@on_uvloop
async def test_what_is_written_at_once_and_what_is_sent_come_as_they_were_said(
    world: World,
) -> None:
    async with served(world) as server, server.connected(max_size=None) as client:
        results = await subscribed(client, world)
        said = ["名", "x" * 1_000, "y" * 70_000] * 2
        for number, text in enumerate(said):
            await within(results.asked.acquire())  # what was put in before has been sent
            if number % 2:
                results.put(text)
            else:
                assert write(results, text)
                results.asked.release()
        heard = [orjson.loads(await within(client.recv())) for _ in said]
        assert [one["payload"]["data"]["ticks"] for one in heard] == said


@on_uvloop
async def test_nothing_is_written_to_a_client_that_does_not_read_or_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transports, "UNREAD", SHORT)
    async with served(world) as server, server.deaf(HANDSHAKE) as client:
        await handshaken(client)
        client.send(frame(INIT))
        await within(asyncio.get_running_loop().sock_recv(client, 1))
        client.send(frame(SUBSCRIBE))
        results = await world.source.next()
        taken = 0
        while write(results, "x" * 10_000):
            taken += 1
            await asyncio.sleep(0)
        assert 0 < taken < 100
        await within(results.closed.wait())
        assert not write(results, 1)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize(
    "last",
    [frame(b"", opcode=8), frame(b"{}"), frame(b"", opcode=3)],
    ids=["closed by the client", "closed here", "no frame"],
)
@on_uvloop
async def test_nothing_is_written_behind_a_close_frame(world: World, last: bytes) -> None:
    async with served(world) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE)
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.write(frame(INIT))
        await within(reader.readuntil(b"}"))  # acknowledged
        writer.write(frame(SUBSCRIBE))
        results = await world.source.next()
        assert write(results, 1)
        writer.write(last)
        await within(results.closed.wait())
        assert not write(results, 2)
        writer.close()


@on_uvloop
async def test_a_handshake_of_another_version_is_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(world) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE.replace(b"version: 13", b"version: 12"))
        assert b" 400 " in await within(reader.readline())
        writer.close()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def connections() -> list[str]:
    """Of this process, by their classes."""
    kinds = (HttpConnection, SocketConnection, ServerProtocol)
    return [type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds)]


@on_uvloop
async def test_a_socket_that_is_gone_is_freed_without_the_collector(world: World) -> None:
    async with served(world) as server:
        gc.collect()
        gc.disable()
        try:
            async with server.connected() as client:
                await client.send(orjson.dumps(INIT).decode())
                await client.recv()
                assert sorted(connections()) == ["ServerProtocol", "SocketConnection"]
            for _ in range(TURNS):
                if not connections():
                    break
                await asyncio.sleep(0.01)
            assert connections() == []
        finally:
            gc.enable()


@pytest.mark.parametrize("cut", [1, 3])
@on_uvloop
async def test_a_message_that_is_too_large_closes_the_socket(world: World, cut: int) -> None:
    async with served(world) as server, server.connected() as client:
        await acknowledged(client)
        text = "x" * (1_000 * LARGEST)
        step = len(text) // cut + 1
        parts = [text[start : start + step] for start in range(0, len(text), step)]
        with suppress(ConnectionClosed):  # it may hear of it while it sends
            await client.send(text if cut == 1 else parts)
        assert await close_code(client) == 1009


@on_uvloop
async def test_a_message_of_the_largest_size_is_read(world: World) -> None:
    async with served(world) as server, server.connected() as client:
        text = '{"type":"ping"}'.ljust(LARGEST)
        await client.send(text)
        assert orjson.loads(await within(client.recv())) == {"type": "pong"}
        await client.send(text + " ")
        assert await close_code(client) == 1009


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"\xff\xfe"), 4400),
        (frame(b"{}", opcode=2), 4400),
        (frame(b"", opcode=3), 1002),
        (b"\x81\x02{}", 1002),
        (frame(b"x", final=False) + frame(b"y", opcode=0, final=False) * 2_000, 1009),
        (frame(b"", final=False) + frame(b"", opcode=0, final=False) * 2_000, 1009),
    ],
    ids=["not UTF-8", "binary", "unknown opcode", "not masked", "fragments", "empty fragments"],
)
@on_uvloop
async def test_what_is_no_message_closes_the_socket(
    world: World, sent: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(world) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE)
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.write(sent)
        head = await within(reader.readexactly(4))
        writer.close()
    assert (head[0], int.from_bytes(head[2:])) == (0x88, code)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@on_uvloop
async def test_who_breaks_the_rules_is_let_finish_what_it_sends(world: World) -> None:
    """It would be reset in the middle of it, and might not see why."""
    async with served(world) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE)
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.write(frame(b"", opcode=3))
        assert (await within(reader.read()))[:1] == b"\x88"
        for _ in range(100):
            writer.write(b"x" * 100_000)
            await within(writer.drain())
        writer.close()
        await within(writer.wait_closed())


@on_uvloop
async def test_a_client_that_does_not_read_is_dropped_and_others_notice_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transports, "UNREAD", SHORT)
    async with served(world) as server, server.connected() as other:
        await acknowledged(other)
        async with server.deaf(HANDSHAKE) as client:
            await handshaken(client)
            client.send(frame(INIT))
            await within(asyncio.get_running_loop().sock_recv(client, 1))  # acknowledged
            client.send(frame(SUBSCRIBE))
            results = await world.source.next()
            assert await overflow(results) < 1_000_000
        await other.send('{"type":"ping"}')
        assert orjson.loads(await within(other.recv())) == {"type": "pong"}
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@on_uvloop
async def test_a_closing_handshake_that_is_not_answered_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "CLOSING", SHORT)
    async with served(world) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HANDSHAKE)
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.write(frame(b"{}"))
        started = time.monotonic()
        assert (await within(reader.read()))[:1] == b"\x88"  # to its end
        assert time.monotonic() - started < PATIENCE / 2
        writer.close()


@on_uvloop
async def test_a_client_that_closes_and_does_not_read_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "CLOSING", SHORT)
    async with served(world) as server, server.deaf(HANDSHAKE) as client:
        await handshaken(client)
        client.send(frame(INIT))
        await within(asyncio.get_running_loop().sock_recv(client, 1))
        client.send(frame(SUBSCRIBE))
        results = await world.source.next()
        filling = asyncio.create_task(overflow(results))
        await until_full(results)
        client.send(frame(b"", opcode=8))
        await within(filling)
        await dropped(client)


# --- events ---------------------------------------------------------------------------------


def post(query: str) -> bytes:
    body = orjson.dumps({"query": query})
    return (
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"accept: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


@on_uvloop
async def test_a_client_that_does_not_read_its_events_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transports, "UNREAD", SHORT)
    async with served(world) as server:
        async with server.deaf(post(TICKS)):
            results = await world.source.next()
            assert await overflow(results) < 1_000_000
        assert server.streams.streams == set()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@on_uvloop
async def test_events_arrive_as_they_happen(world: World) -> None:
    async with served(world) as server, httpx.AsyncClient() as client:
        headers = {"accept": "text/event-stream"}
        body = {"query": TICKS}
        async with client.stream("POST", server.url, json=body, headers=headers) as response:
            lines = response.aiter_lines()
            results = await world.source.next()
            results.put(1)
            heard = [await within(anext(lines)) for _ in range(3)]
            assert heard == ["event: next", 'data: {"data":{"ticks":1}}', ""]
            server.stop()
            assert [line async for line in lines] == ["event: complete", "data: ", ""]


# --- the end --------------------------------------------------------------------------------


@on_uvloop
async def test_sigterm_completes_subscriptions_closes_sockets_and_ends(world: World) -> None:
    async with served(world) as server, server.connected() as client:
        await acknowledged(client)
        await client.send(orjson.dumps(SUBSCRIBE).decode())
        await world.source.next()
        server.stop()
        assert orjson.loads(await within(client.recv())) == {"id": "1", "type": "complete"}
        assert await close_code(client) == 1012
        await within(server.task)
        assert server.events == ["stopping", "drain"]
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", server.port)


@on_uvloop
async def test_sigterm_lets_running_requests_end(world: World) -> None:
    async with served(world) as server, httpx.AsyncClient(timeout=PATIENCE) as client:
        asking = asyncio.create_task(client.post(server.url, json={"query": ADD}))
        await within(world.store.started.acquire())
        server.stop()
        await within(server.sockets.draining.wait())
        world.store.gate.set()
        assert (await within(asking)).json()["data"] == {"add": 1}
        await within(server.task)


@on_uvloop
async def test_clients_that_never_read_do_not_hold_up_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transports, "UNREAD", 3_600.0)
    monkeypatch.setattr(transports, "CLOSING", 3_600.0)
    monkeypatch.setattr(serving, "ENDING", 2)
    monkeypatch.setattr(serving, "GRACE", 1)
    async with served(world) as server, server.deaf(HANDSHAKE) as client:
        await handshaken(client)
        client.send(frame(INIT))
        await within(asyncio.get_running_loop().sock_recv(client, 1))
        client.send(frame(SUBSCRIBE))
        results = await world.source.next()
        for _ in range(100):
            results.put("x" * 10_000)
        async with server.deaf(post(TICKS)):
            more = await world.source.next()
            for _ in range(100):
                more.put("x" * 10_000)
            server.stop()
            await within(server.task)
            await dropped(client)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@on_uvloop
async def test_a_second_sigint_ends_at_once(world: World) -> None:
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with served(world, drain=never) as server, server.connected() as client:
        await acknowledged(client)
        server.stop(signal.SIGINT)
        await within(begun.wait())
        server.stop(signal.SIGINT)
        await within(server.task)
        await close_code(client)


@on_uvloop
async def test_a_drain_that_fails_is_logged_and_the_service_ends(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("no drain")

    async with served(world, drain=broken) as server:
        server.stop()
        await within(server.task)
    assert "no drain" in caplog.text
