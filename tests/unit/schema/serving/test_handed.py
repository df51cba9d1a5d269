"""Connections that come over a link from the process that accepted them."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from schema.serving.handed import LEAVING, READY, HandedConnections
from schema.serving.server import serve_app
from tests.support.sockets import within

ASKED = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


class Echo(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Acceptor:
    """The other end of the link, which makes the connections that it hands over."""

    def __init__(self) -> None:
        self.link, self.given = socket.socketpair()
        self.link.setblocking(False)

    async def hears(self) -> bytes:
        return await within(asyncio.get_running_loop().sock_recv(self.link, 1))

    async def hand_over(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            streams = await asyncio.open_connection(*listener.getsockname())
            connection, _ = listener.accept()
        with connection:
            socket.send_fds(self.link, [b"+"], [connection.fileno()])
        return streams

    def close(self) -> None:
        self.link.close()
        self.given.close()


@pytest.fixture
async def acceptor() -> AsyncIterator[Acceptor]:
    made = Acceptor()
    yield made
    made.close()


@asynccontextmanager
async def echoing(acceptor: Acceptor) -> AsyncIterator[HandedConnections]:
    handed = HandedConnections(acceptor.given)
    handed.start(Echo)
    assert await acceptor.hears() == READY
    try:
        yield handed
    finally:
        handed.close()
        asyncio.get_running_loop().remove_reader(acceptor.given)


async def test_each_connection_that_is_handed_over_is_served(acceptor: Acceptor) -> None:
    async with echoing(acceptor):
        streams = [await acceptor.hand_over() for _ in range(3)]
        for number, (reader, writer) in enumerate(streams):
            writer.write(b"%d" % number)
            assert await within(reader.read(9)) == b"%d" % number
            writer.close()


async def test_one_that_closes_says_so_and_refuses_what_comes_yet(acceptor: Acceptor) -> None:
    async with echoing(acceptor) as handed:
        handed.close()

        assert await acceptor.hears() == LEAVING
        reader, writer = await acceptor.hand_over()
        assert await within(reader.read()) == b""
        writer.close()


async def test_the_end_of_the_link_is_a_sigterm(acceptor: Acceptor) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    try:
        async with echoing(acceptor):
            acceptor.link.close()
            await within(told.wait())
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_the_application_answers_them_until_told_to_end(acceptor: Acceptor) -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    async def hello(_request: Request) -> Response:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello)])
    try:
        handed = HandedConnections(acceptor.given)
        serving = asyncio.create_task(serve_app(app, handed, request_id=lambda: "made-up"))
        assert await acceptor.hears() == READY
        reader, writer = await acceptor.hand_over()
        writer.write(ASKED)
        assert (await within(reader.readuntil(b"hello"))).startswith(b"HTTP/1.1 200")

        signal.raise_signal(signal.SIGTERM)

        await within(serving)
        assert await within(reader.read()) == b""
        writer.close()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
