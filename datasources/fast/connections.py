"""HTTP/1.1 as DynamoDB speaks it: a POST and its answer, one after another, on connections that
are kept. asyncio connects and speaks TLS, httptools parses.

An HTTP client made for everything takes three times the CPU for the same exchange, and exchanges
are what a request of ours mostly costs (docs/speed.md). What such a client has and DynamoDB's API
has no use for is not here: redirects, cookies, compression, uploads in parts, answers that end with
their connection.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import AbstractEventLoop, BaseTransport, Future, TimerHandle, Transport
from collections import defaultdict, deque
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """A URL taken apart; `authority` is what the Host header says of it."""

    host: str
    port: int
    path: str
    authority: str


class Answer(NamedTuple):
    """An answer of any status, read to its end; the names of headers in small letters."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


class BrokenAnswerError(Exception):
    """The connection ended before the answer did, or what came is no HTTP."""


@lru_cache(maxsize=16)
def address(url: str) -> Address:
    """Raises ValueError for a URL that is of no HTTP server."""
    parts = urlsplit(url)
    default = _DEFAULT_PORTS.get(parts.scheme)
    if parts.hostname is None or default is None:
        raise ValueError(f"{url!r} names no HTTP server")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = name if parts.port in {None, default} else f"{name}:{parts.port}"
    return Address(parts.hostname, parts.port or default, parts.path or "/", authority)


class Connection(asyncio.Protocol):
    """One connection, for one exchange at a time.

    `is_open` is whether another exchange may follow; `idle_since` is by the loop's clock.
    """

    def __init__(self, loop: AbstractEventLoop, patience: float) -> None:
        self.is_open = False
        self.idle_since = 0.0
        self._loop = loop
        self._patience = patience
        self._heard = 0.0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._answer: Future[Answer] | None = None
        self._timer: TimerHandle | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Raises TimeoutError where nothing came for `patience` seconds, BrokenAnswerError where
        no whole answer did; no exchange may follow then."""
        answer: Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._headers, self._body = {}, []
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._patience, self._look)
        self._transport.write(request)
        try:
            return await answer
        except BaseException:
            # What comes now would be taken for the next answer.
            self.end()
            raise
        finally:
            self._answer = None
            self._timer.cancel()

    def end(self) -> None:
        self.is_open = False
        self._transport.abort()

    def _look(self) -> None:
        left = self._heard + self._patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self._parser = HttpResponseParser(self)
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._fail(BrokenAnswerError(str(error or "the other side ended the connection")))
        del self._parser  # which knows this connection, as this knows it

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.end()  # nobody asked
            return
        self._heard = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.is_open = False
            self._fail(BrokenAnswerError(str(error)))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}
        if status < 200:  # there is more to come
            return
        if self._answer is None or self._answer.done():
            self.is_open = False  # nobody asked
            return
        self.is_open = self._parser.should_keep_alive()
        self._answer.set_result(Answer(status, headers, b"".join(self._body)))


class Connections:
    """Those kept to any number of addresses. Seconds: `connect_timeout` and `read_timeout`, and
    `keepalive`, after which a connection that was idle is not used again."""

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        read_timeout: float,
        keepalive: float,
    ) -> None:
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._keepalive = keepalive
        self._loop = asyncio.get_running_loop()
        self._idle: defaultdict[Address, deque[Connection]] = defaultdict(deque)
        self._closed = False

    async def take(self, where: Address) -> Connection:
        """The one used last, which is to be given back. Raises TimeoutError, ssl.SSLError, or
        OSError where there is no connecting."""
        idle = self._idle[where]
        while idle:
            connection = idle.pop()
            if connection.is_open and not self._is_stale(connection):
                return connection
            connection.end()
        async with asyncio.timeout(self._connect_timeout):
            return (
                await self._loop.create_connection(
                    lambda: Connection(self._loop, self._read_timeout),
                    where.host,
                    where.port,
                    ssl=self._tls,
                )
            )[1]

    def give_back(self, where: Address, connection: Connection) -> None:
        if self._closed or not connection.is_open:
            connection.end()
            return
        connection.idle_since = self._loop.time()
        idle = self._idle[where]
        idle.append(connection)
        if self._is_stale(idle[0]):
            idle.popleft().end()

    def close(self) -> None:
        self._closed = True
        for idle in self._idle.values():
            for connection in idle:
                connection.end()
        self._idle.clear()

    def _is_stale(self, connection: Connection) -> bool:
        return self._loop.time() - connection.idle_since > self._keepalive


def post(where: Address, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it is sent."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.authority}\r\n{lines}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode("latin-1") + body
