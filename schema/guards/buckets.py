"""Buckets of points, one a caller: full at first, emptied by what the caller does, and restored
at a steady rate up to where it is full again.

A bucket is one number, the time at which it will be full: what is missing until then is how long
it takes to restore it (the generic cell rate algorithm, ATM Forum's Traffic Management 4.0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from schema.guards.callers import Caller

_MOST = 20_000  # callers of a generation, of about 250 bytes each

# Points: what arithmetic in floating point may be off by.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Rate:
    """`capacity` is in points, `restore` in points a second."""

    capacity: float
    restore: float

    @property
    def seconds(self) -> float:
        """How long it takes to fill an empty bucket."""
        return self.capacity / self.restore


class Buckets(Protocol):
    """The buckets of all callers, of one rate."""

    @property
    def rate(self) -> Rate: ...

    async def take(self, caller: Caller, points: float) -> float:
        """What is left then. Clearly below zero: nothing was taken, and so much is missing."""

    def settle(self, caller: Caller, points: float, left: float) -> float:
        """Gives points back, or takes further ones, if need be into debt, after a take that left
        so many; what is left then."""


class MemoryBuckets:
    """Those of one process. `now` gives seconds, of any clock that only goes forward.

    A bucket that nobody has touched for as long as it takes to fill one is full, and as good as
    none: they are kept in two generations, of which the older is let go of as a whole. In a flood
    of callers that comes early, and some have more again than they should.
    """

    def __init__(self, rate: Rate, now: Callable[[], float], most: int = _MOST) -> None:
        self.rate = rate
        self._now = now
        self._most = most
        self._seconds = rate.seconds
        self._restore = rate.restore
        self._a_point = 1 / rate.restore  # seconds
        self._young: dict[Caller, float] = {}
        self._old: dict[Caller, float] = {}
        self._until = now() + self._seconds

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def take(self, caller: Caller, points: float) -> float:
        now = self._now()
        full_at = self._full_at(caller, now) + points * self._a_point
        left = (now + self._seconds - full_at) * self._restore
        if left > -ROUNDING:
            self._young[caller] = full_at
        return left

    def settle(self, caller: Caller, points: float, left: float = 0) -> float:
        """As of Buckets."""
        now = self._now()
        full_at = self._full_at(caller, now) - points * self._a_point
        if full_at < now:
            full_at = now
        self._young[caller] = full_at
        return (now + self._seconds - full_at) * self._restore

    def left(self, caller: Caller) -> float:
        if caller not in self._young and caller not in self._old:
            return self.rate.capacity
        now = self._now()
        return (now + self._seconds - self._full_at(caller, now)) * self._restore

    def _full_at(self, caller: Caller, now: float) -> float:
        if now >= self._until or len(self._young) >= self._most:
            self._old = self._young if now < self._until + self._seconds else {}
            self._young = {}
            self._until = now + self._seconds
        full_at = self._young.get(caller) or self._old.get(caller, now)
        return full_at if full_at > now else now
