"""What follows a write: who reads the stream, where changes are kept, and where mails go."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from composition.store import now
from datasources.cache import ItemCache, MemoryCache
from datasources.client import (
    Endpoint,
    open_sqs_client,
    open_streams_client,
)
from settings import Settings
from streams.broker import open_redis
from streams.consequences import consequences, open_sinks
from streams.dead_letters import LoggedDeadLetters, QueueDeadLetters
from streams.freshness import FreshJournal
from streams.journal import Journal, JournalWriter, MemoryJournal, NoJournal
from streams.mail.language import Prices
from streams.metrics import StreamMetrics
from streams.nudges import Nudges
from streams.outbox import Outbox
from streams.patience import Patience
from streams.redis_cache import RedisCache
from streams.redis_journal import RedisJournal
from streams.redis_writer import RedisWriter
from streams.relay import Relay
from streams.tables import Tables

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from types_aiobotocore_dynamodb import DynamoDBClient

PATIENCE = Patience(asyncio.sleep, random.uniform)

log = logging.getLogger("cartograph.streams")


@dataclass(frozen=True, slots=True)
class Feed:
    """The changes as a serving process has them, and the broker where there is one. `wrote` is to
    be called after a write; `missing` says why not all changes come, None when they do. The
    `cache`, where one is wanted, is kept true by them."""

    journal: Journal
    wrote: Callable[[], None]
    missing: Callable[[], str | None]
    redis: Redis | None = None
    cache: ItemCache | None = None


@asynccontextmanager
async def open_feed(
    settings: Settings,
    endpoint: Endpoint,
    client: DynamoDBClient,
    outbox: Outbox,
    metrics: StreamMetrics,
) -> AsyncIterator[Feed]:
    """Without a broker the process reads the stream itself, and keeps the changes in memory; with
    one it follows the broker. The embedded store is nobody else's to read."""
    open_relay_ = partial(open_relay, settings, endpoint, client, outbox, metrics)
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            memory = MemoryJournal(now)
            cache = MemoryCache(time.monotonic, settings.cache_items) if settings.cache else None
            writer: JournalWriter = FreshJournal(memory, cache) if cache else memory
            relay = await stack.enter_async_context(open_relay_(writer))
            await stack.enter_async_context(relay.running())
            yield Feed(memory, relay.nudge, lambda: relay.missing, cache=cache)
            return
        redis = await stack.enter_async_context(open_redis(settings.redis_url.get_secret_value()))
        journal = RedisJournal(redis, settings.table, settings.tenants, PATIENCE, now)
        await stack.enter_async_context(beside(journal.run()))
        wrote = Nudges(redis, settings.table, PATIENCE).send
        if settings.is_embedded:
            writer = _writer(settings, redis)
            relay = await stack.enter_async_context(open_relay_(writer))
            await stack.enter_async_context(relay.running())
            wrote = relay.nudge
        shared = _shared_cache(settings, redis) if settings.cache else None
        yield Feed(journal, wrote, lambda: journal.missing, redis, shared)


@asynccontextmanager
async def open_processor(
    settings: Settings, endpoint: Endpoint, client: DynamoDBClient, metrics: StreamMetrics
) -> AsyncIterator[Relay]:
    """Reads the stream for all that serve; several processors share its shards. Without a broker
    there is nobody to tell, and just one."""
    open_relay_ = partial(open_relay, settings, endpoint, client, Outbox(now), metrics)
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            yield await stack.enter_async_context(open_relay_(NoJournal()))
            return
        redis = await stack.enter_async_context(open_redis(settings.redis_url.get_secret_value()))
        writer = _writer(settings, redis)
        relay = await stack.enter_async_context(open_relay_(writer))
        nudges = Nudges(redis, settings.table, PATIENCE)
        await stack.enter_async_context(beside(nudges.run(relay.nudge)))
        yield relay


def _writer(settings: Settings, redis: Redis) -> JournalWriter:
    """Has changes leave the cache as well, whether or not those who serve have one."""
    journal = RedisWriter(redis, settings.table, settings.tenants)
    return FreshJournal(journal, _shared_cache(settings, redis))


def _shared_cache(settings: Settings, redis: Redis) -> RedisCache:
    return RedisCache(redis, settings.table, settings.cache_items)


@asynccontextmanager
async def open_relay(
    settings: Settings,
    endpoint: Endpoint,
    client: DynamoDBClient,
    outbox: Outbox,
    metrics: StreamMetrics,
    journal: JournalWriter,
) -> AsyncIterator[Relay]:
    tables = Tables(client, settings.table)
    async with AsyncExitStack() as stack:
        streams = await stack.enter_async_context(open_streams_client(endpoint))
        opening = open_sinks(
            _sink_endpoint(settings),
            outbox,
            mail_from=settings.mail_from,
            events_topic=settings.events_topic,
            prices=Prices(settings.currency, settings.currency_scale),
            low_stock=settings.low_stock,
        )
        sinks = await stack.enter_async_context(opening)
        letters = await stack.enter_async_context(open_letters(settings))
        yield Relay(
            tables=tables,
            streams=streams,
            owner=uuid.uuid4().hex,
            journal=journal,
            reactions=consequences(tables, sinks, now) if settings.reactions else (),
            letters=letters or LoggedDeadLetters(),
            metrics=metrics,
            patience=PATIENCE,
            now=now,
            exclusive=settings.is_embedded or settings.redis_url is None,
            resume=not settings.is_embedded,
        )


@asynccontextmanager
async def open_letters(settings: Settings) -> AsyncIterator[QueueDeadLetters | None]:
    """The queue of dead letters, where one is set."""
    if settings.dead_letter_queue is None:
        yield None
        return
    async with open_sqs_client(_sink_endpoint(settings)) as sqs:
        yield QueueDeadLetters(sqs, settings.dead_letter_queue)


def _sink_endpoint(settings: Settings) -> Endpoint:
    return Endpoint(settings.region, settings.sink_endpoint)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs beside the block, and no longer than it; an end of its own is logged."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("The changes are followed no longer.", exc_info=error)
