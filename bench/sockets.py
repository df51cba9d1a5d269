"""Clients that cost little, so that the service is what is measured: frames made by hand.

`heard` is called for each event, with its payload's bytes as they came off the socket.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import Any, cast

import orjson

from bench.service import HOST

Heard = Callable[[bytes], None]

_EVENT = b'{"id":"events","type":"next","payload":'
_TEXT = 0x81  # a frame that is a whole message
_PING_FRAME, _PONG_FRAME = 0x89, b"\x8a"
_PONG = {"type": "pong"}
_SSE_EVENT = re.compile(rb"event: (\w+)\ndata: (.*)\n\n")


class Lost(Exception):
    """The service has ended a subscription, or the connection."""


class _Connection(asyncio.Protocol):
    """`lost` has the exception once the service has ended what should have gone on."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._unread = b""
        self._transport: asyncio.Transport
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"connection lost: {exc}")

    def _fail(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_exception(Lost(why))
            self.lost.exception()  # whether or not somebody waits for it

    def close(self) -> None:
        self.lost.cancel()
        self._transport.abort()


class Socket(_Connection):
    """graphql-transport-ws."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(heard)
        loop = asyncio.get_running_loop()
        self._upgraded: asyncio.Future[None] = loop.create_future()
        self._acknowledged: asyncio.Future[None] = loop.create_future()
        self._names = map(str, itertools.count())
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    async def connect(
        cls, port: int, heard: Heard = lambda _: None, token: str | None = None
    ) -> Socket:
        """Returns once it is acknowledged."""
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(lambda: cls(heard), HOST, port)
        socket._transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        await socket._upgraded
        payload = {"authorization": f"Bearer {token}"} if token else {}
        socket._send({"type": "connection_init", "payload": payload})
        await socket._acknowledged
        return socket

    def subscribe(self, query: str, variables: dict[str, Any]) -> None:
        self._ask("events", query, variables)

    async def ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The data of a query or mutation."""
        name = next(self._names)
        self._answers[name] = asyncio.get_running_loop().create_future()
        self._ask(name, query, variables or {})
        answer = await self._answers[name]
        if "errors" in answer:
            raise Lost(f"refused: {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data

    def _ask(self, name: str, query: str, variables: dict[str, Any]) -> None:
        payload = {"query": query, "variables": variables}
        self._send({"type": "subscribe", "id": name, "payload": payload})

    def _send(self, message: dict[str, Any]) -> None:
        text = orjson.dumps(message)
        size = len(text)
        length = bytes([128 + size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        # Masked with zeros, which leaves it as it is.
        self._transport.write(bytes([_TEXT]) + length + bytes(4) + text)

    def _fail(self, why: str) -> None:
        super()._fail(why)
        pending: list[asyncio.Future[Any]] = [self._upgraded, self._acknowledged]
        for waiting in (*pending, *self._answers.values()):
            if not waiting.done():
                waiting.set_exception(Lost(why))

    def data_received(self, data: bytes) -> None:
        unread = self._unread + data if self._unread else data
        if not self._upgraded.done():
            head, end, unread = unread.partition(b"\r\n\r\n")
            if not end:
                self._unread = head
                return
            self._upgraded.set_result(None)
        start = 0
        while len(unread) >= start + 4:
            length, body = unread[start + 1], start + 2
            if length == 126:
                length, body = int.from_bytes(unread[body : body + 2], "big"), body + 2
            if len(unread) < body + length:
                break
            kind, start = unread[start], body + length
            if kind == _TEXT:
                self._take(unread[body:start])
            elif kind == _PING_FRAME:
                # Short by the protocol; masked as all that is sent.
                self._transport.write(
                    _PONG_FRAME + bytes([128 + length]) + bytes(4) + unread[body:start]
                )
            else:
                self._fail(f"closed: {unread[body + 2 : start].decode()}")
        self._unread = unread[start:]

    def _take(self, message: bytes) -> None:
        if message.startswith(_EVENT):
            self._heard(message[len(_EVENT) : -1])
            return
        told = orjson.loads(message)
        match told["type"]:
            case "connection_ack":
                self._acknowledged.set_result(None)
            case "ping":
                self._send(_PONG)
            case "next" if told["id"] == "events":  # another server's spelling
                self._heard(orjson.dumps(told["payload"]))
            case "next":
                self._answers.pop(told["id"]).set_result(told["payload"])
            case "complete" if told["id"] != "events":
                pass  # after its answer
            case _:
                self._fail(message.decode())


class EventStream(_Connection):
    """Server-sent events."""

    @classmethod
    async def connect(
        cls, port: int, heard: Heard, query: str, variables: dict[str, Any]
    ) -> EventStream:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: cls(heard), HOST, port)
        body = orjson.dumps({"query": query, "variables": variables})
        stream._transport.write(
            b"POST /graphql HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        return stream

    def data_received(self, data: bytes) -> None:
        unread, end = self._unread + data, 0
        # Each event comes in a chunk of its own, whose frame is passed over here.
        for event in _SSE_EVENT.finditer(unread):
            end = event.end()
            if event[1] == b"next":
                self._heard(event[2])
            else:
                self._fail(event[0].decode())
        self._unread = unread[end:]
