"""The broker: Redis or Valkey, where changes are kept for several instances.

A stream a tenant has the changes. Beside it stands a hash with what must outlast its entries: the
`epoch`, the `last` ID that was given, and up to which ID entries were `trimmed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datasources.errors import ServiceUnavailable
from datasources.items import Item, from_row
from streams.changes import Change, ChangeKind

_SECONDS_A_CALL = 10.0


@dataclass(frozen=True, slots=True)
class Names:
    """The keys of one table's journals; what is of one tenant shares a hash slot."""

    table: str

    def stream(self, tenant: str) -> str:
        return self._of(tenant, "changes")

    def meta(self, tenant: str) -> str:
        return self._of(tenant, "meta")

    def mark(self, tenant: str, event_id: str) -> str:
        return self._of(tenant, f"seen:{event_id}")

    def _of(self, tenant: str, part: str) -> str:
        return f"cartograph:{{{self.table}:{tenant}}}:{part}"


def open_redis(url: str) -> Redis:
    """A client; nothing is sent before its first call.

    It has no time-out of its own: that is one of asyncio.wait_for, which in Python 3.11 can lose
    a cancellation. Each caller bounds what it calls.
    """
    return Redis.from_url(
        url, socket_connect_timeout=2, socket_timeout=None, health_check_interval=30
    )


async def in_one_trip(
    redis: Redis, fill: Callable[[Any], Awaitable[None]], *, transaction: bool
) -> list[Any]:
    """The answers to what `fill` puts into a pipeline, which must bear being carried out twice.

    Raises ServiceUnavailable.
    """
    try:
        return await _trip(redis, fill, transaction)
    except (RedisError, OSError):
        # A connection of the pool may be one that a broker has closed that is back by now.
        try:
            return await _trip(redis, fill, transaction)
        except (RedisError, OSError) as error:
            raise ServiceUnavailable("The broker does not answer; try again.") from error


async def _trip(
    redis: Redis, fill: Callable[[Any], Awaitable[None]], transaction: bool
) -> list[Any]:
    async with in_time(), redis.pipeline(transaction=transaction) as pipeline:
        await fill(pipeline)
        answers: list[Any] = await pipeline.execute()
        return answers


def in_time() -> asyncio.Timeout:
    """Raises TimeoutError, an OSError, for a call that hangs."""
    return asyncio.timeout(_SECONDS_A_CALL)


def dump(change: Change) -> bytes:
    """A change as JSON."""
    return orjson.dumps(
        {
            "entity": change.entity.__name__,
            "kind": change.kind,
            "old": change.old and change.old.to_attributes(),
            "new": change.new and change.new.to_attributes(),
            "eventId": change.event_id,
            "sequenceNumber": change.sequence_number,
            "occurredAt": change.occurred_at,
            "tenant": change.tenant,
            "loaded": change.loaded,
            "size": change.size,
        }
    )


def load(text: bytes) -> Change:
    """What `dump` wrote. Raises KeyError, ValueError or StoreError for anything else."""
    given = orjson.loads(text)
    return Change(
        entity=Item.entities[given["entity"]],
        kind=ChangeKind(given["kind"]),
        old=given["old"] and from_row(given["old"]),
        new=given["new"] and from_row(given["new"]),
        event_id=given["eventId"],
        sequence_number=given["sequenceNumber"],
        occurred_at=datetime.fromisoformat(given["occurredAt"]),
        tenant=given["tenant"],
        loaded=given["loaded"],
        size=given["size"],
    )


def text_of(raw: bytes | str) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw


def bytes_of(raw: bytes | str) -> bytes:
    return raw if isinstance(raw, bytes) else raw.encode()


async def answer_of(answer: Awaitable[Any] | Any) -> Any:
    """What redis types as either, for its two kinds of client: here it is awaitable."""
    return await answer
