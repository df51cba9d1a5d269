"""Buckets that several instances share, in Redis, where one script does all that is to be done.

What is asked while a call is on its way goes together with the next, so that one connection is
enough, and a busy service makes few calls. While Redis does not answer, each process counts for
itself: no call takes longer than `_PATIENCE`, and no request fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schema.guards.buckets import MemoryBuckets, Rate
from schema.guards.callers import Caller

_PATIENCE = 0.05  # seconds for a call
_PAUSE = 1.0  # seconds without Redis after a call that failed
_MOST = 1_000  # buckets in one call

# For each key what to take, in microseconds of restoring, and how many may be missing then;
# below zero is given back. It answers how many are missing, or would be. A bucket's number is
# when it is full, by the one clock there is, and it goes when it is.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local missing = {}
for i, key in ipairs(KEYS) do
  local points, most = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local before = math.max(0, (tonumber(redis.call('GET', key)) or 0) - now)
  local after = math.max(0, before + points)
  if after == 0 then
    redis.call('DEL', key)
  elseif after <= most then
    redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
  end
  missing[i] = string.format('%.0f', after)
end
return missing
"""
_ANY = 10**15  # microseconds: whatever may be missing

log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    """`answer` is what is left then; None where nobody waits for it."""

    caller: Caller
    points: float
    answer: asyncio.Future[float] | None


class RedisBuckets:
    """As `Buckets`; `prefix` begins their keys, and `now` is that of what is kept in memory."""

    def __init__(self, redis: Redis, prefix: str, rate: Rate, now: Callable[[], float]) -> None:
        self.rate = rate
        self._script = redis.register_script(_SCRIPT)
        self._prefix = prefix
        self._now = now
        self._own = MemoryBuckets(rate, now)
        self._a_point = 1_000_000 / rate.restore  # microseconds
        self._asked: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None
        self._alone_until = 0.0

    async def take(self, caller: Caller, points: float) -> float:
        if self._now() < self._alone_until:
            return await self._own.take(caller, points)
        answer = asyncio.get_running_loop().create_future()
        self._ask(_Asked(caller, points, answer))
        left: float = await answer
        return left

    def settle(self, caller: Caller, points: float, left: float) -> float:
        """Without waiting: what is left is so unless the caller does something else meanwhile."""
        if self._now() < self._alone_until:
            return self._own.settle(caller, points, left)
        self._ask(_Asked(caller, -points, None))
        return min(self.rate.capacity, left + points)

    def _ask(self, asked: _Asked) -> None:
        self._asked.append(asked)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())

    async def _ask_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:_MOST], self._asked[_MOST:]
            try:
                async with asyncio.timeout(_PATIENCE):
                    missing = await self._call(asked)
            except (RedisError, OSError) as error:  # a TimeoutError is one
                log.warning("Rates are counted by each process alone: %s", type(error).__name__)
                self._alone_until = self._now() + _PAUSE
                asked, self._asked = asked + self._asked, []
                for each in asked:
                    _tell(each, await self._own_left(each))
            else:
                for each, microseconds in zip(asked, missing, strict=True):
                    _tell(each, self.rate.capacity - microseconds / self._a_point)

    async def _call(self, asked: list[_Asked]) -> list[int]:
        room = round(self.rate.seconds * 1_000_000)
        arguments: list[int] = []
        for each in asked:
            arguments += round(each.points * self._a_point), room if each.answer else _ANY
        missing = await self._script(
            keys=[self._key(each.caller) for each in asked], args=arguments
        )
        return [int(each) for each in missing]

    async def _own_left(self, asked: _Asked) -> float:
        if asked.answer:
            return await self._own.take(asked.caller, asked.points)
        return self._own.settle(asked.caller, -asked.points)

    def _key(self, caller: Caller) -> str:
        return f"{self._prefix}:{caller[0]}:{caller[1]}"


def _tell(asked: _Asked, left: float) -> None:
    if asked.answer and not asked.answer.done():  # who asked may have gone
        asked.answer.set_result(left)
