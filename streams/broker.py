"""The journal in Redis: a stream a tenant, appended to by whoever reads the table's stream and
followed by every instance that serves.

Beside a stream stands a hash with what must outlast its entries: the `epoch`, the `last` ID that
was given, and up to which ID entries were `trimmed`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datasources.errors import ServiceUnavailable
from datasources.items import Item, from_row
from streams.changes import Change, ChangeKind
from streams.journal import NO_LAG, CursorExpired, Entry, Listener, Listeners, Position, before
from streams.patience import Patience

KEPT = timedelta(hours=24)
# A record of the table's stream can come again for as long as it is kept there, a day.
_REMEMBERED = timedelta(hours=25)
_PAGE = 100
_BLOCK = 5_000  # milliseconds that a read waits for entries; below the client's time-out

log = logging.getLogger("cartograph.streams")

# Once for each event, whoever appends it and how often: the mark and the entry come together.
# Time is the server's, so that writers need not agree on it. Answers the entry's ID.
_APPEND = """
local stream, meta, mark = KEYS[1], KEYS[2], KEYS[3]
local change, new_epoch, kept, remembered = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
if not redis.call('SET', mark, 1, 'NX', 'EX', remembered) then return false end
redis.call('HSETNX', meta, 'epoch', new_epoch)
local epoch = redis.call('HGET', meta, 'epoch')
local oldest = string.format('%d-0', redis.call('TIME')[1] * 1000 - kept)
local length = redis.call('XLEN', stream)
if length == 0 then
  local last = redis.call('HGET', meta, 'last')
  if last then redis.call('HSET', meta, 'trimmed', last) end
end
local id = redis.call('XADD', stream, 'MINID', oldest, '*', 'epoch', epoch, 'change', change)
redis.call('HSET', meta, 'last', id)
if redis.call('XLEN', stream) <= length then redis.call('HSET', meta, 'trimmed', oldest) end
redis.call('PEXPIRE', stream, kept)
return id
"""


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
    """A client whose calls end within seconds; nothing is sent before the first."""
    return Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2 * _BLOCK / 1000)


class RedisWriter:
    """Appends changes, each once, for all who follow the journal."""

    def __init__(
        self,
        redis: Redis,
        table: str,
        tenants: Sequence[str],
        *,
        kept: timedelta = KEPT,
        new_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._redis = redis
        self._names = Names(table)
        self._tenants = tenants
        self._kept = int(kept.total_seconds() * 1000)
        self._new_epoch = new_epoch
        self._append = redis.register_script(_APPEND)

    async def append(self, changes: Sequence[Change]) -> None:
        """In one round trip. Raises ServiceUnavailable; what was appended is not doubled when
        all are given again."""
        if not changes:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for change in changes:
                    await self._append(
                        keys=[
                            self._names.stream(change.tenant),
                            self._names.meta(change.tenant),
                            self._names.mark(change.tenant, change.event_id),
                        ],
                        args=[
                            dump(change),
                            self._new_epoch(),
                            self._kept,
                            int(_REMEMBERED.total_seconds()),
                        ],
                        client=pipeline,
                    )
                await pipeline.execute()
        except (RedisError, OSError) as error:
            raise ServiceUnavailable("The broker did not take the changes.") from error

    async def lose(self) -> None:
        """Followers hear of it with the next entry, or within seconds."""
        try:
            for tenant in self._tenants:
                await _now(self._redis.hset(self._names.meta(tenant), "epoch", self._new_epoch()))
        except (RedisError, OSError) as error:
            raise ServiceUnavailable("The broker did not take the loss.") from error


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
            try:
                # Together, so that nothing is trimmed between the page and the check of it.
                async with self.redis.pipeline(transaction=True) as pipeline:
                    pipeline.hgetall(meta)
                    pipeline.xrange(stream, min=f"({after.id}", max="+", count=_PAGE)
                    known, page = await pipeline.execute()
            except (RedisError, OSError) as error:
                raise ServiceUnavailable("The broker does not answer; try again.") from error
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
            await _now(self.redis.hsetnx(meta, "epoch", self.new_epoch()))
            known = await _now(self.redis.hgetall(meta))
            self._follow(tenant, Position.at(_text(known[b"epoch"]), _last(known)))

    def _follow(self, tenant: str, stands: Position) -> None:
        tail = self._tails.get(tenant)
        if tail is None or tail.epoch != stands.epoch:
            self._tails[tenant] = stands
            if tail is not None:
                log.error("events lost: the broker has lost the journal of tenant %s", tenant)
                self._listeners.lost(tenant)

    async def _read(self) -> None:
        wanted = {self._names.stream(tenant): self._tails[tenant].id for tenant in self.tenants}
        answer = await _now(self.redis.xread(cast("Any", wanted), count=_PAGE, block=_BLOCK))
        if not answer:
            return await self._begin()
        tenants = {self._names.stream(tenant): tenant for tenant in self.tenants}
        for stream, page in answer:
            self._hear(tenants[_text(stream)], page)
        return None

    def _hear(self, tenant: str, page: Iterable[Any]) -> None:
        for raw in page:
            try:
                entry = _entry(raw)
            except (KeyError, ValueError, TypeError):
                # Written by a version of the service that this one does not understand.
                log.exception("events lost: an entry of tenant %s cannot be read", tenant)
                self._tails[tenant] = Position.at(self._tails[tenant].epoch, _text(raw[0]))
                self._listeners.lost(tenant)
                continue
            self._follow(tenant, entry.position)
            self._tails[tenant] = entry.position
            self._listeners.heard(tenant, entry)


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


def _entry(raw: Any) -> Entry:
    stream_id, fields = raw
    position = Position.at(_text(fields[b"epoch"]), _text(stream_id))
    return Entry(position, load(fields[b"change"]))


def _require_kept(after: Position, known: Mapping[bytes, bytes], page: Sequence[object]) -> None:
    if _text(known.get(b"epoch", b"")) != after.epoch:
        raise CursorExpired
    trimmed = Position.at(after.epoch, _text(known.get(b"trimmed", b"0-0")))
    gone_whole = not page and after < Position.at(after.epoch, _last(known))
    if after < trimmed or gone_whole:
        raise CursorExpired


def _last(known: Mapping[bytes, bytes]) -> str:
    return _text(known.get(b"last", b"0-0"))


def _text(raw: bytes | str) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw


async def _now(answer: Awaitable[Any] | Any) -> Any:
    """What redis types as either, for its two kinds of client: here it is awaitable."""
    return await answer
