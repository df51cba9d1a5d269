"""Callers that cost little: each sends its next request when it has its answer.

They are on the core of the stub, so that the server that is measured has the other for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import httptools
import orjson

from bench.service import HOST


class Refusal(Exception):
    """A server has answered with something else than what was asked for."""


class Caller(asyncio.Protocol):
    """A connection that is kept."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[bytes]

    @classmethod
    async def connect(cls, port: int) -> Caller:
        _, caller = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return caller

    async def ask(self, request: bytes) -> bytes:
        """The body of an answer without errors."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(Refusal(f"connection lost: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._parts = []

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        body, status = b"".join(self._parts), self._parser.get_status_code()
        if status not in {200, 204} or b'"errors"' in body:
            self._answered.set_exception(Refusal(f"{status} {body[:2_000].decode()}"))
        else:
            self._answered.set_result(body)


def data_of(answer: bytes) -> bytes:
    """The data of an answer in one spelling, its fields in the order they came in."""
    return orjson.dumps(orjson.loads(answer)["data"])


@dataclass(frozen=True, slots=True)
class Round:
    """Times are in seconds, of each request; `took` is of all together."""

    times: list[float]
    took: float


async def drive(port: int, requests: Iterator[bytes], callers: int, seconds: float) -> Round:
    """So many callers at once for so long; each brings its last request to its end."""
    connections = [await Caller.connect(port) for _ in range(callers)]
    times: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def calling(caller: Caller) -> None:
        asked = time.perf_counter()
        while asked < end:
            await caller.ask(next(requests))
            now = time.perf_counter()
            times.append(now - asked)
            asked = now

    await asyncio.gather(*map(calling, connections))
    took = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return Round(times, took)
