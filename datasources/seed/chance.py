"""Repeatable randomness, and times as milliseconds, of which IDs and rows are made."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY


def source(*purpose: object) -> random.Random:
    """A source of its own for each purpose: what one draws does not move what another gets."""
    return random.Random(" ".join(map(str, purpose)))  # noqa: S311 believable, not secret


def source_of(uuid7: str) -> random.Random:
    """A source for the details of what has this ID: of its random part, not of its time."""
    return source(uuid7[14:])


def milliseconds(moment: datetime) -> int:
    """Unix time; what is finer than a millisecond is cut off."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def between(chance: random.Random, low: int, high: int) -> int:
    """Any of `low` to `high`, or `low` where they have crossed."""
    return chance.randint(low, max(low, high))


def weighted(chance: random.Random, weights: dict[T, float]) -> T:
    [one] = chance.choices(list(weights), list(weights.values()))
    return one
