"""The cache of items that several instances share, in Redis or Valkey.

An item has one of so many slots by its key, with a time to live, and whatever comes to that slot
next takes it: a broker evicts nothing, so that this must not fill it. Who has written is a key of
its own, and which slots are to stay empty for now. One call finds all that an operation asks for,
and whether its caller may be told. While Redis does not answer nothing is found, and no request
waits for it longer than PATIENCE; what it was not told meanwhile is made up for as soon as it does,
by a time in which nobody is told of anything in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from zlib import crc32

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datasources.cache import KEPT, LIFE, SETTLING, Caller, encoded
from datasources.errors import ServiceUnavailable
from datasources.items import Item
from datasources.keys import Key
from streams.broker import bytes_of, in_time

PATIENCE = 0.05  # seconds
_BETWEEN = 0.2  # seconds between two tries to make up for what was not told
_AWAY = (RedisError, OSError)  # a TimeoutError is one
_LIFE = int(LIFE * 1000)  # milliseconds
_SETTLING = int(SETTLING * 1000)

# An item goes in where it is not away: KEYS are the note that the cache is closed, then items and,
# behind each, the note that it is away.
_KEEP = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  return
end
local life = table.remove(ARGV, 1)
for i, item in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[2 * i + 1]) == 0 then
    redis.call('SET', KEYS[2 * i], item, 'PX', life)
  end
end
"""

_DECODERS = {kind.__name__.encode(): msgspec.json.Decoder(kind).decode for kind in KEPT}

log = logging.getLogger(__name__)


class RedisCache:
    """Of one table. All who use it have as many `slots`."""

    def __init__(self, redis: Redis, table: str, slots: int) -> None:
        self._redis = redis
        self._table = table
        self._slots = slots
        self._script = redis.register_script(_KEEP)
        self._owes = False  # a time in which nobody is told of anything
        self._keeping: set[asyncio.Task[None]] = set()
        self._paying: asyncio.Task[None] | None = None

    async def find(self, keys: Sequence[Key], caller: Caller) -> Mapping[Key, Item]:
        names = [self._closed, self._writer(caller), *map(self._item, keys)]
        try:
            async with asyncio.timeout(PATIENCE):
                await self._pay()
                closed, has_written, *kept = await self._redis.mget(names)
        except _AWAY as error:
            log.debug("cache not read: %s", type(error).__name__)
            return {}
        if closed is not None or has_written is not None:
            return {}
        items = ((key, _decoded(key, text)) for key, text in zip(keys, kept, strict=True) if text)
        return {key: item for key, item in items if item is not None}

    def keep(self, read: Mapping[Key, object]) -> None:
        """Without waiting: nobody waits for it."""
        texts = {
            key: b"\n".join((_named(key), type(item).__name__.encode(), text))
            for key, item in read.items()
            if (text := encoded(item))
        }
        if texts:
            task = asyncio.create_task(self._keep(texts))
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)

    async def _keep(self, texts: Mapping[Key, bytes]) -> None:
        names = [self._closed]
        for key in texts:
            names += self._item(key), self._away(key)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._script(keys=names, args=[_LIFE, *texts.values()])
        except _AWAY as error:
            log.debug("cache not filled: %s", type(error).__name__)

    async def wrote(self, keys: Iterable[Key], caller: Caller) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._pay()
                await self._leave(keys, caller)
        except _AWAY as error:
            log.warning("cache not told of a write: %s", type(error).__name__)
            self._owes = True
            if self._paying is None or self._paying.done():
                self._paying = asyncio.create_task(self._keep_paying())

    async def changed(self, keys: Sequence[Key]) -> None:
        await self._told(lambda: self._leave(keys, None))

    async def lost(self) -> None:
        await self._told(self._close)

    async def _told(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            async with in_time():
                await call()
        except _AWAY as error:
            raise ServiceUnavailable("The broker does not answer; try again.") from error

    async def _leave(self, keys: Iterable[Key], caller: Caller) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            for key in keys:
                pipeline.set(self._away(key), b"", px=_SETTLING)
                pipeline.delete(self._item(key))
            if caller is not None:
                pipeline.set(self._writer(caller), b"", px=_LIFE)
            await pipeline.execute()

    async def _keep_paying(self) -> None:
        """Until it is done, whether or not anybody asks here: elsewhere they may."""
        while self._owes:
            await asyncio.sleep(_BETWEEN)
            with suppress(*_AWAY):
                async with in_time():
                    await self._pay()

    async def _pay(self) -> None:
        if self._owes:
            await self._close()
            self._owes = False

    async def _close(self) -> None:
        """For as long as anything is in it that is there now."""
        await self._redis.set(self._closed, b"", px=_LIFE)

    @property
    def _closed(self) -> str:
        return self._name("closed")

    def _item(self, key: Key) -> str:
        return self._name(f"item:{self._slot(key)}")

    def _away(self, key: Key) -> str:
        return self._name(f"away:{self._slot(key)}")

    def _slot(self, key: Key) -> int:
        return crc32(_named(key)) % self._slots

    def _writer(self, caller: Caller) -> str:
        # Nobody has an empty ID: of who has no name nothing is ever noted.
        tenant, user_id = caller or ("", "")
        return self._name(f"wrote:{tenant}:{user_id}")

    def _name(self, name: str) -> str:
        return f"cartograph:{{{self._table}}}:cache:{name}"


def _named(key: Key) -> bytes:
    return f"{key.pk} {key.sk}".encode()


def _decoded(key: Key, text: bytes | str) -> Item | None:
    """None for another item, and for what another version of the service has kept, whose items
    may be others."""
    name, _, rest = bytes_of(text).partition(b"\n")
    kind, _, body = rest.partition(b"\n")
    decode = _DECODERS.get(kind) if name == _named(key) else None
    try:
        return decode(body) if decode else None
    except msgspec.DecodeError:
        return None
