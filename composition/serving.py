"""Serving: the store, what follows it and the application, open from the first to the last."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import aiohttp
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.types import ASGIApp

from composition.app import compose, new_request_id
from composition.clients import open_clients
from composition.identity import explorer
from composition.live import beside, open_feed
from composition.scraping import shared_metrics
from composition.store import Report, now, open_endpoint, prepare_store
from composition.tracing import open_tracing
from composition.workers import Worker
from datasources.client import open_client
from datasources.errors import ConfigurationError
from schema.serving.handed import HandedConnections
from schema.serving.server import address, serve_app
from settings import Settings
from streams.broker import open_redis
from streams.metrics import StreamMetrics
from streams.outbox import Outbox

SECRET_LENGTH = 32  # bytes, RFC 7518, section 3.2


async def answer(
    settings: Settings,
    listener: socket.socket | Worker,
    *,
    local: bool,
    announce: Callable[[], None],
    report: Report,
) -> None:
    """Answers those who come to the listener or are handed to the worker, until told to end.

    `local`: nobody but this machine can come. `announce` is called when they may; a worker's
    supervisor knows that by itself.
    """
    registry, outbox = CollectorRegistry(), Outbox(now)
    ProcessCollector(registry=registry)
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(open_endpoint(settings, report))
        client = await stack.enter_async_context(open_client(endpoint))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        spans = await stack.enter_async_context(open_tracing(os.environ))
        await prepare_store(settings, client)
        opening = open_feed(settings, endpoint, client, outbox, StreamMetrics(registry))
        feed = await stack.enter_async_context(opening)
        redis = None
        if settings.redis_url:
            url = settings.redis_url.get_secret_value()
            redis = await stack.enter_async_context(open_redis(url))
        client_of = await stack.enter_async_context(open_clients(settings, endpoint, client))
        service = compose(
            settings,
            client,
            session,
            redis,
            feed,
            registry,
            page=explorer(settings, trusting=local),
            outbox=outbox if local and settings.is_embedded else None,
            spans=spans,
            client_of=client_of,
        )
        await stack.enter_async_context(beside(service.admission.watch()))
        app: ASGIApp = service.app
        source: socket.socket | HandedConnections
        if isinstance(listener, Worker):
            app = await stack.enter_async_context(shared_metrics(app, registry, listener))
            source = HandedConnections(listener.link)
        else:
            announce()
            source = listener
        await serve_app(
            app,
            source,
            request_id=new_request_id,
            stopping=service.stopping,
            drain=service.drain,
            door=service.door,
            largest_message=settings.socket_message,
            largest_body=settings.max_body,
            trusted_proxies=settings.trusted_proxies,
            linger=settings.linger,
        )


def check_workers(settings: Settings) -> None:
    """That several can serve: with nothing between them but the store and the broker."""
    if settings.is_embedded:
        raise ConfigurationError(
            "CARTOGRAPH_STORE: should not be embedded with --workers above 1: that store ends "
            "with the one process that started it."
        )
    if settings.redis_url is None:
        raise ConfigurationError(
            "CARTOGRAPH_REDIS_URL: should be set with --workers above 1: without a broker one "
            "process alone reads the stream."
        )


def introduction(
    settings: Settings, listener: socket.socket, *, local: bool, workers: int
) -> Iterator[str]:
    """What whoever starts the service should know; last, where it is."""
    if settings.jwt_secret and len(settings.jwt_secret.get_secret_value()) < SECRET_LENGTH:
        yield f"CARTOGRAPH_JWT_SECRET is under {SECRET_LENGTH} bytes: for development alone"
    page = explorer(settings, trusting=local)
    if page and not page.built:
        yield "The GraphiQL explorer is not built; `make graphiql` builds it (needs npm)"
    by = f" by {workers} workers" if workers > 1 else ""
    yield f"Serving http://{address(listener)}/graphql from the store {settings.store}{by}"
