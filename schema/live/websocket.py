"""GraphQL over a websocket: graphql-transport-ws, as PROTOCOL.md of the graphql-ws project has it.

A socket is one task, that of its receive loop, and one more for each operation that runs on it;
what has to happen at a time is a timer. How long a client may leave unread what it is sent is
for the server around this to say (`schema/serving/socket_connections.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect

from datasources.errors import ServiceUnavailable
from resolvers.context import Shop
from resolvers.errors import TenantRefused, TokenRefused
from resolvers.principal import Principal
from schema.errors import refusal
from schema.guards.admission import Admission
from schema.guards.callers import Caller, caller_of
from schema.guards.seats import NoSeat, Seat
from schema.guards.throttle import Throttle
from schema.live import messages
from schema.live.messages import CloseCode, Closing, Complete, Init, Ping, Pong, Subscribe
from schema.operations.documents import Documents
from schema.operations.operation import Executor, Refused
from schema.running import (
    Admitted,
    Authenticate,
    Source,
    admit,
    answer,
    deliver,
    failed,
    placed,
    settle_with,
)

log = logging.getLogger(__name__)

# What a send raises where the other side, or the server, has closed the socket.
_GONE = (WebSocketDisconnect, RuntimeError)
_EXPIRED = "The token has expired."
_LONGEST_SLEEP = 3_600.0  # seconds; clocks are set, so that a far time is looked at again


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Times in seconds. `init` is for connection_init and who is calling, `ping` between pings,
    `pong` for the answer to one; `operations` may run on a socket at once."""

    init: float = 5.0
    ping: float = 20.0
    pong: float = 10.0
    operations: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What all sockets work with. `now` gives epoch seconds, `request_id` makes an ID for each
    operation."""

    executor: Executor
    shop: Shop
    live: Source
    authenticate: Authenticate
    limits: SocketLimits
    request_id: Callable[[], str]
    now: Callable[[], float]
    throttle: Throttle | None = None
    admission: Admission | None = None
    documents: Documents = field(default_factory=lambda: Documents({}, None))


@dataclass(slots=True, eq=False)
class Socket:
    """One socket, from its acceptance to its end."""

    _behind: Behind
    _websocket: WebSocket
    _write: Callable[[str], bool]
    _address: Caller
    _principal: Principal | None = None
    seat: Seat | None = None
    _welcomed: bool = False  # whether there was a connection_init
    _leaving: bool = False  # takes no more operations
    _closed: bool = False
    # The next of: time is up for init, a ping is due, time is up for its pong.
    _timer: asyncio.TimerHandle | None = None
    _expiry: asyncio.TimerHandle | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _operations: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    # Also those whose client has left: a mutation that has begun is finished.
    _mutations: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self) -> None:
        """Returns when the socket is closed and nothing runs on it any more."""
        limit = self._behind.limits.init
        self._close_after(limit, "Connection initialisation timeout")
        try:
            await self._guard(self._receive)
        finally:
            self._stop()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def restart(self) -> None:
        """Lets queries and mutations end, completes the subscriptions, and closes."""
        self._leaving = True
        endless = {
            operation: task
            for operation, task in self._operations.items()
            if task.get_name() == OperationType.SUBSCRIPTION.value
        }
        if ending := set(self._operations.values()) - set(endless.values()):
            await asyncio.wait(ending)
        for operation, task in endless.items():
            if self._operations.get(operation) is task:
                self._forget(operation)
                await self._send(messages.complete(operation))
        await self.close(CloseCode.SERVICE_RESTART, "The service restarts: connect again")

    async def close(self, code: CloseCode, reason: str) -> None:
        if self._closed:
            return
        self._stop()
        with suppress(*_GONE):
            await self._websocket.close(code, reason)

    # --- what the client sends --------------------------------------------------------------

    async def _receive(self) -> None:
        while not self._closed:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                return
            message = messages.parse(event.get("text"))
            match message:
                case Subscribe():
                    await self._subscribe(message)
                case Complete():
                    self._forget(message.id)
                case Ping():
                    await self._send(messages.pong(message))
                case Pong():
                    if self._principal:
                        self._ping_later()
                case Init():
                    if self._welcomed:
                        raise Closing(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
                    self._welcomed = True
                    # Not here: what comes before the acknowledgement is refused meanwhile.
                    self._spawn(self._guard(partial(self._initialise, message)))
            del event, message  # the next may be long in coming

    async def _initialise(self, init: Init) -> None:
        try:
            principal = await self._behind.authenticate(init.authorization, init.tenant)
        except (TokenRefused, TenantRefused) as refused:
            raise Closing(CloseCode.FORBIDDEN, refused.message) from None
        except ServiceUnavailable:
            raise Closing(
                CloseCode.INTERNAL, "Tokens cannot be checked now: try again in a moment"
            ) from None
        if principal.expires_at is not None:
            if principal.expires_at <= self._behind.now():
                raise Closing(CloseCode.FORBIDDEN, _EXPIRED)
            self._watch_expiry(principal.expires_at)
        try:
            if self.seat:
                self.seat.belong_to(caller_of(principal, self._address))
        except NoSeat as full:
            raise Closing(CloseCode.TRY_AGAIN_LATER, full.message) from None
        await self._send(messages.ACKNOWLEDGED)
        self._principal = principal
        self._ping_later()

    async def _subscribe(self, message: Subscribe) -> None:
        if self._principal is None:
            raise Closing(CloseCode.UNAUTHORIZED, "Unauthorized: wait for connection_ack")
        if message.id in self._operations:
            raise Closing(CloseCode.DUPLICATE_ID, "Subscriber for this id already exists")
        if self._leaving:
            return
        request_id = self._behind.request_id()
        try:
            self._check_room()
            admitted = await self._admit(message, self._principal, request_id)
        except Exception as error:
            errors = failed(self._behind.executor, error, request_id)
            await self._send(messages.error(message.id, errors))
            return
        kind = admitted.operation.kind
        task = self._spawn(self._run(message.id, admitted), kind.value)
        self._operations[message.id] = task
        settle_with(task, admitted)
        if kind is OperationType.MUTATION:
            self._mutations.add(task)

    async def _admit(self, message: Subscribe, principal: Principal, request_id: str) -> Admitted:
        arrived = asyncio.get_running_loop().time()
        behind, address = self._behind, self._address
        document = await behind.documents.find(message)
        prepare = partial(
            behind.executor.prepare, document, message.operation_name, message.variables
        )
        caller = caller_of(principal, address)
        operation, charge = await admit(behind.throttle, caller, address, prepare)
        return Admitted(operation, principal, request_id, arrived, charge)

    def _check_room(self) -> None:
        most = self._behind.limits.operations
        if len(self._mutations.union(self._operations.values())) >= most:
            message = f"{most} operations run on this socket: wait until one of them ends."
            raise Refused(refusal("RATE_LIMITED", message, retryable=True))

    def _forget(self, operation: str) -> None:
        task = self._operations.pop(operation, None)
        if task and task not in self._mutations:
            task.cancel()

    # --- operations -------------------------------------------------------------------------

    async def _run(self, name: str, admitted: Admitted) -> None:
        try:
            if admitted.operation.kind is OperationType.SUBSCRIPTION:
                await self._stream(name, admitted)
            else:
                await self._answer(name, admitted)
        except Exception as error:
            errors = failed(self._behind.executor, error, admitted.request_id)
            await self._tell(name, messages.error(name, errors))
        finally:
            self._ended(name)

    def _ended(self, name: str) -> None:
        # Not in the coroutine: a task that is cancelled keeps its frame, which would keep the task.
        if task := asyncio.current_task():
            self._mutations.discard(task)
            if self._operations.get(name) is task:
                del self._operations[name]

    async def _stream(self, name: str, admitted: Admitted) -> None:
        operation, principal, request_id, *_ = admitted
        prefix, write = messages.next_prefix(name), self._write

        def push(result: bytes) -> bool:
            return write(f"{prefix}{result.decode()}}}")

        results = await self._behind.live.subscribe(operation, principal, request_id, push)
        await deliver(results, lambda result: self._tell(name, f"{prefix}{result.decode()}}}"))
        await self._tell(name, messages.complete(name))

    async def _answer(self, name: str, admitted: Admitted) -> None:
        behind = self._behind
        async with placed(behind.admission):
            body, ran = await answer(behind.executor, behind.shop, admitted)
        if ran:
            payload = orjson.dumps(body).decode()
            await self._tell(name, f"{messages.next_prefix(name)}{payload}}}")
            await self._tell(name, messages.complete(name))
        else:
            await self._tell(name, messages.error(name, body["errors"]))

    async def _tell(self, name: str, text: str) -> None:
        """Sends what the operation of this task has to say, unless its client has completed it."""
        if self._operations.get(name) is asyncio.current_task():
            await self._send(text)

    async def _send(self, text: str) -> None:
        if self._closed:
            return
        try:
            await self._websocket.send({"type": "websocket.send", "text": text})
        except _GONE:
            self._closed = True  # the receive loop hears of it as well

    # --- times and tasks --------------------------------------------------------------------

    def _close_after(self, seconds: float, reason: str) -> None:
        self._after(seconds, lambda: self._spawn(self.close(CloseCode.TIMEOUT, reason)))

    def _ping_later(self) -> None:
        self._after(self._behind.limits.ping, self._ping)

    def _ping(self) -> None:
        self._spawn(self._send(messages.PING))
        self._close_after(self._behind.limits.pong, "No pong in time")

    def _after(self, seconds: float, then: Callable[[], object]) -> None:
        if self._timer:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _watch_expiry(self, expires_at: float) -> None:
        """Closes the socket when its token expires, without leeway."""
        left = expires_at - self._behind.now()
        if left <= 0:
            self._spawn(self.close(CloseCode.FORBIDDEN, _EXPIRED))
        elif not self._closed:
            loop = asyncio.get_running_loop()
            sleep = min(left, _LONGEST_SLEEP)
            self._expiry = loop.call_later(sleep, self._watch_expiry, expires_at)

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Closing as closing:
            await self.close(closing.code, closing.reason)
        except Exception:
            log.exception("a websocket failed")
            await self.close(CloseCode.INTERNAL, "Something went wrong here.")

    def _spawn(
        self, work: Coroutine[Any, Any, None], name: str | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _stop(self) -> None:
        """Ends all that runs on the socket but this task, and mutations, which are finished."""
        self._closed = True
        for timer in (self._timer, self._expiry):
            if timer:
                timer.cancel()
        for task in self._tasks - self._mutations - {asyncio.current_task()}:
            task.cancel()
