"""Where documents are kept that clients send once and name by their hash afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schema.operations.bounded import BoundedCache
from schema.operations.documents import sha256
from streams.broker import answer_of, text_of

# Of text in UTF-8: as many as whole documents of the usual size as are parsed at a time.
_MOST_DOCUMENTS = 1_000
_MOST_BYTES = 4 * 1024 * 1024

_SLOTS = 4_096
_EXPIRY = 24 * 3_600  # seconds
_PATIENCE = 0.2  # seconds; to send a document once more costs its client little


class MemoryShelf:
    """In this process, the least recently used going first."""

    def __init__(self, *, most: int = _MOST_DOCUMENTS, most_bytes: int = _MOST_BYTES) -> None:
        self._texts = BoundedCache[str](most=most, most_weight=most_bytes)

    async def get(self, name: str) -> str | None:
        return self._texts.get(name)

    async def put(self, name: str, text: str) -> None:
        self._texts.put(name, text, len(text.encode()))


class RedisShelf:
    """Shared by all instances of a table, with what this process has seen in front.

    Each document has one of `slots` places by its hash, and whatever comes to that place next
    takes it: so strangers can fill these and no more, 60 MB with documents of 15,000 bytes. What
    is read is checked against its hash. While the broker fails, nothing is found there.
    """

    def __init__(self, redis: Redis, table: str, near: MemoryShelf, *, slots: int = _SLOTS) -> None:
        self._redis = redis
        self._table = table
        self._near = near
        self._slots = slots

    async def get(self, name: str) -> str | None:
        found = await self._near.get(name)
        if found is None:
            found = await self._far(name)
            if found is not None:
                await self._near.put(name, found)
        return found

    async def put(self, name: str, text: str) -> None:
        await self._near.put(name, text)
        await _tried(lambda: self._redis.set(self._place(name), text, ex=_EXPIRY))

    async def _far(self, name: str) -> str | None:
        raw = await _tried(lambda: self._redis.get(self._place(name)))
        if raw is None:
            return None
        try:
            text = text_of(raw)
        except UnicodeDecodeError:
            return None
        return text if sha256(text) == name else None

    def _place(self, name: str) -> str:
        return f"cartograph:{{{self._table}}}:document:{int(name, 16) % self._slots}"


async def _tried(call: Callable[[], Coroutine[Any, Any, Any] | Any]) -> Any:
    """The answer; None where the broker has none, or not now: that it is away is told elsewhere."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await answer_of(call())
    except (RedisError, OSError):
        return None
