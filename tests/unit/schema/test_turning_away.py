"""Requests that are answered as they come off the wire, on connections that go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from schema.serving import connections
from schema.serving.connections import HttpConnection

LARGEST = 200_000  # bytes of a request
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
POST = b"POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nquery"


@dataclass
class Shop:
    """Answers with the body of a request; `full` turns all of them away, and one that `fills` is
    so after the first."""

    full: bool = True
    fills: bool = False
    refusal: bytes = REFUSAL
    seen: list[tuple[bytes, bytes, list[tuple[bytes, bytes]]]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def is_shut(self) -> bool:
        return self.full

    def turn_away(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        self.seen.append((method, target, [*headers]))
        full, self.full = self.full, self.full or self.fills
        return self.refusal if full else None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body = message.get("body", b"")
        await self.gate.wait()
        size = str(len(body)).encode()
        headers = [(b"content-length", size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connections: set[Any]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> tuple[int, bytes]:
        """The status and the body of the next response."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(size)

    async def quiet(self) -> bool:
        """Nothing comes for a while, nor is the connection closed."""
        try:
            async with asyncio.timeout(0.2):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def connected(shop: Shop, *, keep_alive: float = 5.0) -> AsyncIterator[Client]:
    config = uvicorn.Config(
        shop,
        log_config=None,
        access_log=False,
        lifespan="off",
        h11_max_incomplete_event_size=LARGEST,
    )
    config.timeout_keep_alive = cast("int", keep_alive)
    config.load()
    state = ServerState()

    def connection() -> Any:
        return HttpConnection(config, state, {}, request_id=lambda: "made-up", door=shop)

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = Client(*await asyncio.open_connection("127.0.0.1", port), state.connections)
        try:
            async with asyncio.timeout(20):
                yield client
        finally:
            client.writer.close()
            shop.gate.set()
            if state.tasks:
                await asyncio.wait(state.tasks)


async def test_who_is_turned_away_may_come_again_on_the_same_connection() -> None:
    shop = Shop()
    shop.gate.set()
    async with connected(shop) as client:
        for _ in range(3):
            await client.send(POST)
            assert await client.hear() == (503, b"busy")
        shop.full = False
        await client.send(POST)
        assert await client.hear() == (200, b"query")
        shop.full = True
        await client.send(POST)
        assert await client.hear() == (503, b"busy")

    assert shop.seen[0] == (b"POST", b"/graphql", [])  # all that has to be known
    assert shop.seen[3] == (b"POST", b"/graphql", [(b"host", b"shop"), (b"content-length", b"5")])
    assert shop.seen[4] == shop.seen[0]  # nothing is kept of what was answered


@pytest.mark.parametrize("cut", [5, 40, len(POST) - 1])
async def test_who_is_turned_away_is_so_whether_the_request_comes_whole_or_not(cut: int) -> None:
    async with connected(Shop()) as client:
        await client.send(POST)
        assert await client.hear() == (503, b"busy")
        await client.send(POST[:cut])
        await asyncio.sleep(0.01)
        await client.send(POST[cut:])
        assert await client.hear() == (503, b"busy")
        await client.send(POST + POST)
        assert [await client.hear() for _ in range(2)] == [(503, b"busy")] * 2


async def test_a_body_that_looks_like_a_request_is_none() -> None:
    shop = Shop()
    async with connected(shop) as client:
        await client.send(POST.replace(b": 5", b": %d" % len(POST))[: -len(b"query")])
        await asyncio.sleep(0.01)
        await client.send(POST)
        assert await client.hear() == (503, b"busy")
        assert await client.quiet()
    assert len(shop.seen) == 1


async def test_nobody_is_turned_away_before_who_came_first_is_answered() -> None:
    shop = Shop(full=False)
    async with connected(shop) as client:
        await client.send(POST)
        await asyncio.sleep(0.01)
        shop.full = True
        await client.send(POST)
        assert await client.quiet()
        shop.gate.set()
        assert [await client.hear() for _ in range(2)] == [(200, b"query")] * 2


async def test_who_was_turned_away_at_once_is_not_late_with_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "ARRIVAL", 0.05)
    async with connected(Shop()) as client:
        await client.send(POST)
        assert await client.hear() == (503, b"busy")
        assert await client.quiet()


async def test_who_is_turned_away_and_asks_no_more_is_not_kept() -> None:
    async with connected(Shop(), keep_alive=0.05) as client:
        for _ in range(3):
            await client.send(POST)
            assert await client.hear() == (503, b"busy")
        assert await client.reader.read() == b""


async def test_a_connection_is_kept_from_the_last_request_that_was_turned_away() -> None:
    async with connected(Shop(), keep_alive=0.05) as client:
        [connection] = client.connections
        await client.send(POST)
        assert await client.hear() == (503, b"busy")
        connection.timeout_keep_alive = 3_600.0  # which is asked for when the time is over
        assert await client.quiet()
        await client.send(POST)
        assert await client.hear() == (503, b"busy")


async def test_a_body_that_comes_in_pieces_is_passed_over() -> None:
    shop = Shop()
    async with connected(shop) as client:
        head = b"POST /graphql HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"5\r\nquery\r\n")
        await client.send(b"3\r\nabc\r\n0\r\n\r\n")
        assert await client.hear() == (503, b"busy")


async def test_a_large_body_is_passed_over_as_well() -> None:
    async with connected(Shop()) as client:
        await client.send(POST.replace(b": 5", b": 100000")[: -len(b"query")])
        for _ in range(10):
            await client.send(b"x" * 10_000)
            await asyncio.sleep(0.01)
        assert await client.hear() == (503, b"busy")
        await client.send(POST)
        assert await client.hear() == (503, b"busy")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("together", [1, 25])
def test_who_does_not_hear_is_not_listened_to(
    loop: Callable[[], asyncio.AbstractEventLoop], together: int
) -> None:
    large = REFUSAL.replace(b": 4", b": 100000") + b"!" * (100_000 - 4)
    shop, most = Shop(refusal=large), 1_000

    async def ask() -> None:
        async with connected(shop) as client:
            [connection] = client.connections
            asked = 0
            while not connection.flow.read_paused and asked < most:
                await client.send(POST * together)
                asked += together
                while (  # noqa: ASYNC110 nothing announces it
                    len(shop.seen) < asked and not connection.flow.read_paused
                ):
                    await asyncio.sleep(0)
            assert asked < most
            assert connection.transport.get_write_buffer_size() < (together + 2) * len(large)
            for _ in range(asked):
                assert (await client.hear())[0] == 503
            await client.send(POST)
            assert (await client.hear())[0] == 503

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())


async def test_who_asks_to_close_is_answered_and_closed() -> None:
    async with connected(Shop()) as client:
        await client.send(b"GET /graphql HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        assert await client.hear() == (503, b"busy")
        assert await client.reader.read() == b""


async def test_answers_come_in_the_order_of_requests() -> None:
    shop = Shop(full=False, fills=True)
    async with connected(shop) as client:
        await client.send(POST + POST)  # the second comes behind one that still runs: it is let in
        shop.gate.set()
        assert await client.hear() == (200, b"query")
        assert await client.hear() == (200, b"query")
        await client.send(POST)
        assert await client.hear() == (503, b"busy")


async def test_who_first_asks_whether_to_send_is_let_in() -> None:
    shop = Shop()
    shop.gate.set()
    async with connected(shop) as client:
        head = POST.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length")
        await client.send(head)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await client.hear() == (200, b"query")


async def test_a_websocket_is_let_in() -> None:
    shop = Shop()
    async with connected(shop) as client:
        await client.send(
            b"GET /graphql HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\n\r\n"
        )
        head = await client.reader.readuntil(b"\r\n\r\n")

    assert b" 503 " not in head
    assert shop.seen == []
