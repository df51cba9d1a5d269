"""GraphQL over server-sent events: the distinct connections mode of PROTOCOL.md of the
graphql-sse project, for clients that cannot hold a websocket.

Each operation is a request of its own. It is answered by `next` events, `complete`, and the end
of the answer; a client that has enough closes the connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import OperationType
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from resolvers.context import Shop
from schema.errors import refusal, told
from schema.guards.admission import Admission
from schema.guards.callers import Caller
from schema.guards.seats import Seat, Seats
from schema.headers import Answer, answering
from schema.operations.operation import Executor, Refused
from schema.running import (
    Admitted,
    Source,
    answer,
    deliver,
    extensions_of,
    failed,
    placed,
    settle_with,
    spread_out,
)

EVENTS = "text/event-stream"

_UNBUFFERED = {"x-accel-buffering": "no"}  # nginx would gather the events
_HEARTBEAT = b":\n\n"
# EventSource hears of no event without a data field.
_COMPLETE = b"event: complete\ndata: \n\n"
_EXPIRED = refusal("UNAUTHENTICATED", "The token has expired.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStreams:
    """Answers operations with event streams. A comment goes out every `heartbeat` seconds, so
    that nobody on the way takes the connection for dead; `now` gives epoch seconds, `uniform`
    a random number between two. Each takes one of `seats`."""

    executor: Executor
    shop: Shop
    live: Source
    now: Callable[[], float]
    seats: Seats = field(default_factory=Seats)
    admission: Admission | None = None
    heartbeat: float = 12.0
    uniform: Callable[[float, float], float] = random.uniform
    streams: set[EventStream] = field(default_factory=set, init=False)
    draining: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def open(self, admitted: Admitted, caller: Caller) -> Response:
        """To be sent at once: it has a seat. Raises NoSeat."""
        return EventStream(self, admitted, self.seats.take(caller))

    def refuse(self, refused: Refused, errors: Sequence[dict[str, Any]]) -> Response:
        """The answer to what cannot run: the protocol has errors as an event as well."""
        body = {"errors": errors, **extensions_of(refused)}
        return Answer(_event(orjson.dumps(body)) + _COMPLETE, 200, EVENTS, _UNBUFFERED)

    async def drain(self, spread: float = 20.0) -> None:
        """Completes all streams, over up to so many seconds, and others as they come."""
        self.draining.set()
        await spread_out([stream.finish for stream in self.streams], spread, self.uniform)


class EventStream(Response):
    """The answer to one operation."""

    def __init__(self, streams: EventStreams, admitted: Admitted, seat: Seat) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = answering(EVENTS)
        self.headers.update(_UNBUFFERED)
        self._seat = seat
        self._streams = streams
        self._admitted = admitted
        self._operation = admitted.operation
        self._ending = asyncio.Event()

    async def finish(self) -> None:
        """Ends a subscription; a query or mutation has a deadline and is let run."""
        if self._operation.kind is OperationType.SUBSCRIPTION:
            self._ending.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._serve(receive, send)
        finally:
            self._seat.leave()

    async def _serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        work = asyncio.create_task(self._work(send))
        settle_with(work, self._admitted)
        watchers = {
            asyncio.create_task(_left(receive)),
            asyncio.create_task(_set(self._ending)),
        }
        self._streams.streams.add(self)
        if self._streams.draining.is_set():
            await self.finish()
        try:
            last = await self._wait(work, watchers, send)
        finally:
            self._streams.streams.discard(self)
            for task in watchers:
                task.cancel()
            # A mutation that has begun is finished, whether or not its client has left.
            if self._operation.kind is not OperationType.MUTATION:
                work.cancel()
            await asyncio.wait({work})
        await send({"type": "http.response.body", "body": last + _COMPLETE})

    async def _wait(
        self, work: asyncio.Task[None], watchers: set[asyncio.Task[None]], send: Send
    ) -> bytes:
        """Returns when the operation, its client's patience, or its time is over, with what is
        still to be said."""
        while True:
            left = self._seconds_left()
            if left <= 0:
                return _errors(told([_EXPIRED], self._admitted.request_id))
            done, _ = await asyncio.wait(
                {work, *watchers},
                timeout=min(left, self._streams.heartbeat),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if done:
                return b""
            await send(_body(_HEARTBEAT))

    def _seconds_left(self) -> float:
        expires_at = self._admitted.principal.expires_at
        return float("inf") if expires_at is None else expires_at - self._streams.now()

    async def _work(self, send: Send) -> None:
        try:
            if self._operation.kind is OperationType.SUBSCRIPTION:
                await self._stream(send)
            else:
                await send(_body(await self._answer()))
        except Exception as error:
            errors = failed(self._streams.executor, error, self._admitted.request_id)
            await send(_body(_errors(errors)))

    async def _answer(self) -> bytes:
        streams, admitted = self._streams, self._admitted
        async with placed(streams.admission):
            body, _ = await answer(streams.executor, streams.shop, admitted)
        return _event(orjson.dumps(body))

    async def _stream(self, send: Send) -> None:
        operation, principal, request_id, *_ = self._admitted
        results = await self._streams.live.subscribe(operation, principal, request_id)
        await deliver(results, lambda result: send(_body(_event(result))))


def _errors(errors: Sequence[dict[str, Any]]) -> bytes:
    return _event(orjson.dumps({"errors": errors}))


def _event(payload: bytes) -> bytes:
    return b"event: next\ndata: %b\n\n" % payload


def _body(part: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": part, "more_body": True}


async def _left(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _set(event: asyncio.Event) -> None:
    await event.wait()
