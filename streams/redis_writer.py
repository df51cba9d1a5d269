"""Appending to the journal in the broker: for whoever reads the table's stream."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from streams.broker import Names, dump, in_one_trip, text_of
from streams.changes import Change
from streams.journal import Position

KEPT = timedelta(hours=24)
# A record of the table's stream can come again for as long as it is kept there, a day.
_REMEMBERED = timedelta(hours=25)
_NOTHING = Position("", 0, 0)

# Once for each event, whoever appends it and how often: the mark and the entry come together.
# Time is the server's, so that writers need not agree on it. A server that no longer has what
# this writer appended has come back with older data: another epoch, unless one has begun already.
# Answers the entry's epoch and ID.
_APPEND = """
local stream, meta, mark = KEYS[1], KEYS[2], KEYS[3]
local change, new_epoch, kept, remembered = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local appended_in, appended = ARGV[5], ARGV[6]
local function is_before(one, other)
  local a, b = string.match(one, '(%d+)-(%d+)')
  local c, d = string.match(other, '(%d+)-(%d+)')
  a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
  return a < c or (a == c and b < d)
end
local last = redis.call('HGET', meta, 'last') or '0-0'
if redis.call('HGET', meta, 'epoch') == appended_in and is_before(last, appended) then
  redis.call('HSET', meta, 'epoch', new_epoch)
end
if not redis.call('SET', mark, 1, 'NX', 'EX', remembered) then return false end
redis.call('HSETNX', meta, 'epoch', new_epoch)
local epoch = redis.call('HGET', meta, 'epoch')
local oldest = string.format('%d-0', redis.call('TIME')[1] * 1000 - kept)
local length = redis.call('XLEN', stream)
if length == 0 then redis.call('HSET', meta, 'trimmed', last) end
local id = redis.call('XADD', stream, 'MINID', oldest, '*', 'epoch', epoch, 'change', change)
redis.call('HSET', meta, 'last', id)
if redis.call('XLEN', stream) <= length then redis.call('HSET', meta, 'trimmed', oldest) end
redis.call('PEXPIRE', stream, kept)
return {epoch, id}
"""


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
        self._appended: dict[str, Position] = {}  # the last of each tenant

    async def append(self, changes: Sequence[Change]) -> None:
        """In one round trip. Raises ServiceUnavailable; what was appended is not doubled when
        all are given again."""
        if not changes:
            return

        async def fill(pipeline: Any) -> None:
            for change in changes:
                appended = self._appended.get(change.tenant, _NOTHING)
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
                        appended.epoch,
                        appended.id,
                    ],
                    client=pipeline,
                )

        answers = await in_one_trip(self._redis, fill, transaction=False)
        for change, answer in zip(changes, answers, strict=True):
            if answer is not None:
                epoch, stream_id = map(text_of, answer)
                self._appended[change.tenant] = Position.at(epoch, stream_id)

    async def lose(self) -> None:
        """Followers hear of it with the next entry, or within seconds."""

        async def fill(pipeline: Any) -> None:
            for tenant in self._tenants:
                pipeline.hset(self._names.meta(tenant), "epoch", self._new_epoch())

        await in_one_trip(self._redis, fill, transaction=False)
