"""The endpoint in process, over a schema that answers without a store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import strawberry
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from datasources.cursor import CursorCodec
from datasources.errors import ServiceUnavailable
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.app import build_app
from schema.guards.throttle import Throttle
from schema.headers import JSON
from schema.http import GraphQLEndpoint
from schema.limits import Limits
from schema.live.sockets import SocketEndpoint
from schema.live.subscriptions import Live
from schema.live.websocket import SocketLimits
from schema.operations.documents import Documents
from schema.operations.operation import Executor
from streams.journal import MemoryJournal
from tests.support.items import NOW

LARGEST_BODY = 102_400
HELLO = {"query": "{ hello }"}


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "you", times: int = 1) -> str:
        return ", ".join([f"hello {name}"] * times)

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("the password is swordfish")

    @strawberry.field
    def busy(self) -> str | None:
        raise ServiceUnavailable("The store did not answer.")


@dataclass
class Counter:
    count: int = 0


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, info: strawberry.Info) -> int:
        counter = cast("Counter", info.context.shop.client)
        counter.count += 1
        return counter.count


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


SCHEMA = strawberry.Schema(Query, Mutation, Subscription)


@dataclass
class Service:
    """An endpoint whose parts a test may exchange before it asks. Its store is a counter: a
    call to DynamoDB would fail."""

    store: Counter = field(default_factory=Counter)
    authenticated: list[tuple[str | None, str | None]] = field(default_factory=list)
    refusal: Exception | None = None
    introspection: bool = True
    schema: strawberry.Schema = SCHEMA
    readiness: str | None = None
    origins: tuple[str, ...] = ()
    documents: Documents = field(default_factory=lambda: Documents({}, None))
    throttle: Throttle | None = None
    deadline: float = 5.0

    async def authenticate(self, authorization: str | None, tenant: str | None) -> Principal:
        self.authenticated.append((authorization, tenant))
        if self.refusal:
            raise self.refusal
        return Principal.anonymous("default")

    async def ready(self) -> str | None:
        return self.readiness

    def app(self) -> ASGIApp:
        executor = Executor(self.schema, limits=Limits(), introspection=self.introspection)
        shop = _shop(self.store, self.deadline)
        endpoint = GraphQLEndpoint(
            executor=executor,
            shop=shop,
            authenticate=self.authenticate,
            explorer=None,
            largest_body=LARGEST_BODY,
            request_id=lambda: "made-here",
            documents=self.documents,
            throttle=self.throttle,
        )
        sockets = SocketEndpoint(
            executor=executor,
            shop=shop,
            live=Live(executor, shop),
            authenticate=self.authenticate,
            allowed_origins=self.origins,
            limits=SocketLimits(),
            request_id=lambda: "made-here",
            now=time.time,
        )
        return build_app(
            endpoint,
            sockets,
            explorer=None,
            outbox=None,
            readiness=self.ready,
            registry=CollectorRegistry(),
            allowed_origins=self.origins,
        )

    async def send(self, method: str, path: str = "/graphql", **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            client.headers.clear()  # it would accept */* by itself
            return await client.request(method, path, **request)

    async def post(self, body: object, **headers: str) -> httpx.Response:
        return await self.send("POST", json=body, headers=_dashed(headers))

    async def post_bytes(
        self, content: bytes, content_type: str | None = JSON, **headers: str
    ) -> httpx.Response:
        sent = _dashed(headers) | ({"content-type": content_type} if content_type else {})
        return await self.send("POST", content=content, headers=sent)

    async def get(self, **parameters: str) -> httpx.Response:
        return await self.send("GET", params=parameters)


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _shop(store: Counter, deadline: float) -> Shop:
    return Shop(
        journal=MemoryJournal(lambda: NOW),
        client=cast("Any", store),
        table="cartograph",
        shards=4,
        currency=Currency("JPY", 0),
        cursors=CursorCodec(["a key of sixteen or more"]),
        deadline=deadline,
        write_deadline=deadline,
        read_budget=100,
        now=lambda: NOW,
    )


def only_error(response: httpx.Response) -> dict[str, Any]:
    """The one error of an answer that did not run."""
    body = response.json()
    assert set(body) <= {"errors", "extensions"}
    (error,) = body["errors"]
    assert error["message"]
    return cast("dict[str, Any]", error)


def code(response: httpx.Response) -> str:
    return cast("str", only_error(response)["extensions"]["code"])
