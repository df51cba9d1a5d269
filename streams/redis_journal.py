"""Following the journal in the broker: for every instance that serves."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streams.broker import Names, answer_of, in_one_trip, in_time, load, text_of
from streams.journal import NO_LAG, CursorExpired, Entry, Listener, Listeners, Position, before
from streams.patience import Patience

_PAGE = 100
_BLOCK = 5_000  # milliseconds that a read waits for entries

log = logging.getLogger("cartograph.streams")

# Another epoch, unless somebody else has begun one already. Answers the one that there is.
_END_EPOCH = """
local meta, epoch, new_epoch = KEYS[1], ARGV[1], ARGV[2]
if redis.call('HGET', meta, 'epoch') == epoch then redis.call('HSET', meta, 'epoch', new_epoch) end
return redis.call('HGET', meta, 'epoch')
"""


@dataclass
class RedisJournal:
    """Follows the streams of all tenants from where they stand at the start.

    `run` must be running; until its first read has come back, `connected` is false.
    """

    redis: Redis
    table: str
    tenants: Sequence[str]
    patience: Patience
    now: Callable[[], datetime]
    new_epoch: Callable[[], str] = lambda: secrets.token_hex(8)
    connected: bool = field(default=False, init=False)
    _tails: dict[str, Position] = field(default_factory=dict, init=False)
    _listeners: Listeners = field(default_factory=Listeners, init=False)

    def __post_init__(self) -> None:
        self._names = Names(self.table)
        self._end_epoch = self.redis.register_script(_END_EPOCH)

    def tail(self, tenant: str, *, lag: timedelta = NO_LAG) -> Position | None:
        tail = self._tails.get(tenant)
        return tail and before(tail, lag, self.now())

    @property
    def missing(self) -> str | None:
        """Why changes do not come; None when they do."""
        return None if self.connected else "The broker does not answer: changes are not told."

    def listen(self, tenant: str, listener: Listener) -> Callable[[], None]:
        return self._listeners.add(tenant, listener)

    async def since(self, tenant: str, after: Position) -> AsyncIterator[Sequence[Entry]]:
        stream, meta = self._names.stream(tenant), self._names.meta(tenant)
        while True:
            # Together, so that nothing is trimmed between the page and the check of it.
            known, page = await in_one_trip(
                self.redis, partial(_ask, meta, stream, after), transaction=True
            )
            _require_kept(after, known, page)
            if not page:
                return
            entries = [_entry(raw) for raw in page]
            yield entries
            after = entries[-1].position

    async def run(self) -> None:
        """Until cancelled; outlasts a broker that goes away."""
        attempt = 0
        while True:
            try:
                await self._begin()
                self.connected = True
                attempt = 0
                while True:
                    await self._read()
            except (RedisError, OSError) as error:
                self.connected = False
                attempt += 1
                log.warning("Broker: %s, attempt %d", type(error).__name__, attempt)
                await self.patience.pause(attempt)

    async def _begin(self) -> None:
        """Finds where the journals stand, and whether they are still those that were followed."""
        for tenant in self.tenants:
            meta = self._names.meta(tenant)
            async with in_time():
                await answer_of(self.redis.hsetnx(meta, "epoch", self.new_epoch()))
                known = await answer_of(self.redis.hgetall(meta))
            stands = Position.at(text_of(known[b"epoch"]), _last(known))
            tail = self._tails.get(tenant, stands)
            if stands.epoch == tail.epoch and stands < tail:
                # The server has come back with older data.
                stands = stands._replace(epoch=await self._renew(meta, stands.epoch))
            self._follow(tenant, stands)

    async def _renew(self, meta: str, epoch: str) -> str:
        """Ends an epoch; the one that there is now."""
        async with in_time():
            return text_of(await self._end_epoch(keys=[meta], args=[epoch, self.new_epoch()]))

    def _follow(self, tenant: str, stands: Position) -> None:
        tail = self._tails.get(tenant)
        if tail is None or tail.epoch != stands.epoch:
            self._tails[tenant] = stands
            if tail is not None:
                log.error("events lost: the broker has lost the journal of tenant %s", tenant)
                self._listeners.lost(tenant)

    async def _read(self) -> None:
        wanted = {self._names.stream(tenant): self._tails[tenant].id for tenant in self.tenants}
        async with in_time():
            answer = await answer_of(
                self.redis.xread(cast("Any", wanted), count=_PAGE, block=_BLOCK)
            )
        if not answer:
            return await self._begin()
        tenants = {self._names.stream(tenant): tenant for tenant in self.tenants}
        for stream, page in answer:
            self._hear(tenants[text_of(stream)], page)
        return None

    def _hear(self, tenant: str, page: Iterable[Any]) -> None:
        for raw in page:
            try:
                entry = _entry(raw)
            except (KeyError, ValueError, TypeError):
                # Written by a version of the service that this one does not understand.
                log.exception("events lost: an entry of tenant %s cannot be read", tenant)
                self._tails[tenant] = Position.at(self._tails[tenant].epoch, text_of(raw[0]))
                self._listeners.lost(tenant)
                continue
            self._follow(tenant, entry.position)
            self._tails[tenant] = entry.position
            self._listeners.heard(tenant, entry)


async def _ask(meta: str, stream: str, after: Position, pipeline: Any) -> None:
    pipeline.hgetall(meta)
    pipeline.xrange(stream, min=f"({after.id}", max="+", count=_PAGE)


def _entry(raw: Any) -> Entry:
    stream_id, fields = raw
    position = Position.at(text_of(fields[b"epoch"]), text_of(stream_id))
    return Entry(position, load(fields[b"change"]))


def _require_kept(after: Position, known: Mapping[bytes, bytes], page: Sequence[object]) -> None:
    if text_of(known.get(b"epoch", b"")) != after.epoch:
        raise CursorExpired
    trimmed = Position.at(after.epoch, text_of(known.get(b"trimmed", b"0-0")))
    last = Position.at(after.epoch, _last(known))
    gone_whole = not page and after < last
    # Behind the last there is a position only where the server came back with older data.
    if after < trimmed or gone_whole or after > last:
        raise CursorExpired


def _last(known: Mapping[bytes, bytes]) -> str:
    return text_of(known.get(b"last", b"0-0"))
