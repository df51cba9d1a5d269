"""Operations over connections that stay open: a schema and a source of subscriptions that a test
directs, and a peer that speaks to the websocket endpoint in process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar, cast

import orjson
import strawberry
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from datasources.cursor import CursorCodec
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.limits import Limits
from schema.live.sockets import SocketEndpoint
from schema.live.sse import EventStreams
from schema.live.websocket import SocketLimits
from schema.operations.operation import Executor, Operation
from schema.running import AT_ONCE, Push
from streams.journal import MemoryJournal
from tests.support.items import NOW

T = TypeVar("T")

PATIENCE = 20.0  # seconds; the machine may be busy
TICKS = "subscription { ticks }"
SLOW = "{ slow }"
ADD = "mutation { add }"
THREE = "{ a: greeting { id } b: greeting { id } c: greeting { id } }"  # objects


@dataclass
class Store:
    """What the resolvers wait for and leave behind."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    added: int = 0
    cancelled: int = 0

    async def wait(self) -> None:
        self.started.release()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def _store(info: strawberry.Info) -> Store:
    return cast("Store", info.context.shop.client)


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class Greeting(Node):
    """An object that costs something."""


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self) -> Greeting:
        return Greeting(id=strawberry.ID("hello"))

    @strawberry.field
    def hello(self, name: str = "you") -> str:
        return f"hello {name}"

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("the password is swordfish")

    @strawberry.field
    async def slow(self, info: strawberry.Info) -> str:
        await _store(info).wait()
        return "at last"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def add(self, info: strawberry.Info) -> int:
        store = _store(info)
        await store.wait()
        store.added += 1
        return store.added


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


SCHEMA = strawberry.Schema(Query, Mutation, Subscription)


class Results:
    """The results of one subscription: what a test puts in, an exception to end it, None to
    complete it. `push` is the way past it."""

    def __init__(self, push: Push | None = None) -> None:
        self.push = push
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.asked = asyncio.Semaphore(0)  # released each time that one is waited for

    def put(self, result: object) -> None:
        self.queue.put_nowait(orjson.dumps({"data": {"ticks": result}}))

    def end(self, error: Exception | None = None) -> None:
        self.queue.put_nowait(error)

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> bytes:
        self.asked.release()
        result = await self.queue.get()
        if result is None:
            raise StopAsyncIteration
        if isinstance(result, Exception):
            raise result
        return result

    async def aclose(self) -> None:
        self.closed.set()


@dataclass
class Source:
    """Where subscriptions come from; `opened` has each as it is opened."""

    opened: asyncio.Queue[Results] = field(default_factory=asyncio.Queue)
    refusal: Exception | None = None

    async def subscribe(
        self,
        _operation: Operation,
        _principal: Principal,
        _request_id: str,
        push: Push | None = None,
    ) -> Results:
        if self.refusal:
            raise self.refusal
        results = Results(push)
        self.opened.put_nowait(results)
        return results

    async def next(self) -> Results:
        return await within(self.opened.get())


@dataclass
class World:
    """A service whose parts a test may exchange before it connects."""

    store: Store = field(default_factory=Store)
    source: Source = field(default_factory=Source)
    principal: Principal = field(default_factory=lambda: Principal.anonymous("default"))
    refusal: Exception | None = None
    authenticated: list[tuple[str | None, str | None]] = field(default_factory=list)
    door: asyncio.Event | None = None  # authenticating waits for it
    now: Callable[[], float] = time.time

    async def authenticate(self, authorization: str | None, tenant: str | None) -> Principal:
        self.authenticated.append((authorization, tenant))
        if self.door:
            await self.door.wait()
        if self.refusal:
            raise self.refusal
        return self.principal

    def sockets(
        self, limits: SocketLimits | None = None, origins: tuple[str, ...] = ()
    ) -> SocketEndpoint:
        numbers = count(1)
        return SocketEndpoint(
            executor=executor(),
            shop=self.shop(),
            live=self.source,
            authenticate=self.authenticate,
            allowed_origins=origins,
            limits=limits or SocketLimits(),
            request_id=lambda: f"request-{next(numbers)}",
            now=self.now,
        )

    def streams(self, heartbeat: float = 12.0) -> EventStreams:
        return EventStreams(
            executor=executor(),
            shop=self.shop(),
            live=self.source,
            now=self.now,
            heartbeat=heartbeat,
        )

    def shop(self) -> Shop:
        return Shop(
            journal=MemoryJournal(lambda: NOW),
            client=cast("Any", self.store),
            table="cartograph",
            shards=4,
            currency=Currency("JPY", 0),
            cursors=CursorCodec(["a key of sixteen or more"]),
            deadline=5,
            write_deadline=5,
            read_budget=100,
            now=lambda: NOW,
        )


def executor() -> Executor:
    return Executor(SCHEMA, limits=Limits(), introspection=True)


@dataclass(frozen=True)
class Closed:
    """The end of a socket as its client sees it."""

    code: int
    reason: str


@dataclass
class Peer:
    """The client's side of a socket, over ASGI as uvicorn speaks it."""

    to_service: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    from_service: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        if self.is_over:
            raise RuntimeError("nothing can be sent after the end")
        if message["type"] == "websocket.close":
            self.leave(message["code"])
        self.from_service.put_nowait(message)

    def leave(self, code: int = 1006) -> None:
        """The connection ends, for whichever reason."""
        self.is_over = True
        self.to_service.put_nowait({"type": "websocket.disconnect", "code": code})

    def say(self, message: object) -> None:
        """An object goes as JSON, text and bytes as they are."""
        content = {"bytes": message} if isinstance(message, bytes) else {"text": _text(message)}
        self.to_service.put_nowait({"type": "websocket.receive", **content})

    def subscribe(self, operation: str, query: str, **payload: object) -> None:
        self.say({"type": "subscribe", "id": operation, "payload": {"query": query, **payload}})

    async def hear(self) -> dict[str, Any] | Closed:
        message = await within(self.from_service.get())
        match message["type"]:
            case "websocket.send":
                assert set(message) == {"type", "text"}
                return cast("dict[str, Any]", orjson.loads(message["text"]))
            case "websocket.close":
                return Closed(message["code"], message["reason"])
        return dict(message)

    async def initialise(self) -> None:
        self.say({"type": "connection_init"})
        assert await self.hear() == {"type": "connection_ack"}


def _text(message: object) -> str:
    return message if isinstance(message, str) else orjson.dumps(message).decode()


@asynccontextmanager
async def connected(
    endpoint: SocketEndpoint,
    *subprotocols: str,
    initialised: bool = True,
    write: Callable[[str], bool] | None = None,
    **headers: str,
) -> AsyncIterator[Peer]:
    """A socket that has been accepted, or refused; the service has let go of it afterwards.
    `write` is that of a server that can write at once."""
    before = set(endpoint.sockets)
    peer = Peer()
    peer.reads.set()
    scope: Scope = {
        "type": "websocket",
        "path": "/graphql",
        "subprotocols": list(subprotocols) or ["graphql-transport-ws"],
        "headers": [
            (name.encode(), value.encode()) for name, value in {"host": "shop", **headers}.items()
        ],
        "extensions": {AT_ONCE: {"write": write}} if write else {},
    }
    peer.to_service.put_nowait({"type": "websocket.connect"})
    serving = asyncio.create_task(endpoint.handle(WebSocket(scope, peer.to_service.get, peer.send)))
    try:
        if not subprotocols and not headers:
            assert await peer.hear() == {
                "type": "websocket.accept",
                "subprotocol": "graphql-transport-ws",
                "headers": [],
            }
            if initialised:
                await peer.initialise()
        yield peer
    finally:
        peer.reads.set()
        peer.leave()
        await within(serving)
    assert endpoint.sockets <= before


async def within(work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, PATIENCE)
