"""The application over an open store."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client import CollectorRegistry

from composition.clients import ClientOf
from composition.identity import cursor_keys, token_verifier
from composition.live import Feed
from composition.store import now
from composition.watch import Parts
from datasources.breaker import Breaker
from datasources.calls import Observer, Observers
from datasources.client import unreachable
from datasources.cursor import CursorCodec
from datasources.metrics import StoreMetrics
from datasources.retries import RetryBudget
from datasources.table import Guard
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.tokens import identify
from schema.app import build_app
from schema.browser.explorer import Explorer
from schema.browser.outbox import OutboxPage
from schema.build import build_schema
from schema.execution import Checks
from schema.guards.admission import Admission, Door
from schema.guards.buckets import Buckets, MemoryBuckets, Rate
from schema.guards.redis_buckets import RedisBuckets
from schema.guards.seats import SeatLimits, Seats
from schema.guards.throttle import PREPARING, Throttle
from schema.http import GraphQLEndpoint
from schema.limits import Limits
from schema.live.sockets import SocketEndpoint
from schema.live.sse import EventStreams
from schema.live.subscriptions import Live
from schema.live.websocket import SocketLimits
from schema.operations.documents import Documents, Shelf, load_trusted
from schema.operations.metrics import PlanMetrics, RequestMetrics
from schema.operations.shelves import MemoryShelf, RedisShelf
from schema.operations.watching import Lines, WatchedExecutor, Watcher
from settings import Settings
from streams.outbox import Outbox

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from starlette.types import ASGIApp
    from types_aiobotocore_dynamodb import DynamoDBClient

    from composition.spans import Spans


@dataclass(frozen=True, slots=True)
class Service:
    """The application, its places, which are to be watched, and what turns away who finds none;
    and what is to be called when it ends: first `stopping`, then `drain`."""

    app: ASGIApp
    admission: Admission
    door: Door
    stopping: Callable[[], None]
    drain: Callable[[], Awaitable[None]]


def compose(
    settings: Settings,
    client: DynamoDBClient,
    session: aiohttp.ClientSession,
    redis: Redis | None,
    feed: Feed,
    registry: CollectorRegistry,
    *,
    page: Explorer | None,
    outbox: Outbox | None,
    spans: Spans | None = None,
    client_of: ClientOf | None = None,
) -> Service:
    """`page` and `outbox` are shown where there are any; requests are traced where there are
    `spans`. Operations have the clients of `client_of`, all else `client`."""
    store, requests = StoreMetrics(), RequestMetrics()
    registry.register(store)
    registry.register(requests)
    observer = Observers(store, spans) if spans else store
    shop = open_shop(settings, client, feed, observer, client_of)
    checks = Checks(settings.plans_checked, random.random)
    executor = (spans.executor if spans else WatchedExecutor)(
        build_schema(),
        limits=_limits(settings),
        introspection=settings.introspection,
        plans=settings.plans,
        checks=checks,
        watcher=Watcher(requests, Lines(settings.log_requests), settings.log_slow),
    )
    if executor.plans:
        registry.register(PlanMetrics(executor.plans, checks))
    live = Live(executor, shop)
    verifier = token_verifier(settings, session)
    authenticate = partial(identify, verifier=verifier, tenants=settings.tenants)
    documents = _documents(settings, feed)
    seats = Seats(
        SeatLimits(settings.sockets, settings.sockets_per_principal, settings.sockets_per_address)
    )
    throttle = open_throttle(settings, redis)
    admission = Admission(time.monotonic)
    streams = EventStreams(
        executor=executor,
        shop=shop,
        live=live,
        now=time.time,
        seats=seats,
        admission=admission,
    )
    sockets = SocketEndpoint(
        executor=executor,
        shop=shop,
        live=live,
        authenticate=authenticate,
        allowed_origins=settings.allowed_origins,
        limits=SocketLimits(init=settings.socket_init, operations=settings.socket_operations),
        request_id=new_request_id,
        now=time.time,
        documents=documents,
        throttle=throttle,
        seats=seats,
        admission=admission,
    )
    endpoint = GraphQLEndpoint(
        executor=executor,
        shop=shop,
        authenticate=authenticate,
        explorer=page,
        largest_body=settings.max_body,
        request_id=new_request_id,
        streams=streams,
        documents=documents,
        throttle=throttle,
        admission=admission,
        explains=settings.is_embedded,
    )
    registry.register(Parts(sockets, streams, live, admission, seats, throttle, shop.guard))
    stopping = asyncio.Event()

    async def missing() -> str | None:
        if stopping.is_set():
            return "The service is ending."
        return feed.missing() or await unreachable(client, settings.table)

    async def drain() -> None:
        await asyncio.gather(sockets.drain(), streams.drain())

    app = build_app(
        endpoint,
        sockets,
        explorer=page,
        outbox=OutboxPage(outbox) if outbox else None,
        readiness=missing,
        registry=registry,
        allowed_origins=settings.allowed_origins,
    )
    door = Door(admission, b"/graphql", new_request_id)
    return Service(spans.app(app) if spans else app, admission, door, stopping.set, drain)


def open_shop(
    settings: Settings,
    client: DynamoDBClient,
    feed: Feed,
    observer: Observer,
    client_of: ClientOf | None = None,
) -> Shop:
    return Shop(
        client=client,
        table=settings.table,
        shards=settings.shards,
        currency=Currency(settings.currency, settings.currency_scale),
        cursors=CursorCodec(cursor_keys(settings)),
        deadline=settings.deadline,
        write_deadline=settings.write_deadline,
        read_budget=settings.read_budget,
        journal=feed.journal,
        index_lag=timedelta(seconds=settings.index_lag),
        wrote=feed.wrote,
        guard=Guard(
            Breaker(settings.table, time.monotonic, random.uniform), RetryBudget(time.monotonic)
        ),
        now=now,
        observer=observer,
        cache=feed.cache,
        client_of=client_of,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        tokens=settings.max_tokens,
        characters=settings.max_characters,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        fields=settings.max_fields,
        directives=settings.max_directives,
        introspection_depth=settings.max_introspection_depth,
        introspection_fields=settings.max_introspection_fields,
        cost=settings.max_cost,
    )


def _documents(settings: Settings, feed: Feed) -> Documents:
    path = settings.trusted_documents
    shelf: Shelf | None = MemoryShelf() if settings.persisted_queries else None
    if shelf and feed.redis:
        shelf = RedisShelf(feed.redis, settings.table, MemoryShelf())
    return Documents(
        load_trusted(path) if path else {},
        shelf,
        only=settings.trusted_documents_only,
        longest=settings.max_characters,
    )


def open_throttle(settings: Settings, redis: Redis | None) -> Throttle | None:
    """None where nobody's rate is limited. The demo has no one's time to protect: documents that
    are new cost nothing there."""
    if not settings.rate_capacity:
        return None

    def buckets(name: str, capacity: float, restore: float) -> Buckets:
        rate = Rate(capacity, restore)
        if redis is None:
            return MemoryBuckets(rate, time.monotonic)
        prefix = f"cartograph:{settings.table}:{name}"
        return RedisBuckets(redis, prefix, rate, time.monotonic)

    preparing = None if settings.is_embedded else MemoryBuckets(PREPARING, time.monotonic)
    return Throttle(
        buckets("cost", settings.rate_capacity, settings.rate_restore),
        buckets("emails", settings.email_capacity, settings.email_restore),
        preparing,
        time.perf_counter,
    )


def new_request_id() -> str:
    # Nobody gains by guessing one, and the system's randomness would cost a call of it for each.
    # This one begins anew in a process that is forked.
    return f"{random.getrandbits(128):032x}"
