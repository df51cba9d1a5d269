"""A cache that strangers fill: bounded in entries and in what they weigh together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by name, at most `most` of them, that weigh `most_weight` together; the least
    recently used go first, and `gone` is told of each. What alone weighs more is not kept."""

    def __init__(
        self,
        *,
        most: int,
        most_weight: int,
        gone: Callable[[Value], None] = lambda _: None,
    ) -> None:
        self._most = most
        self._most_weight = most_weight
        self._gone = gone
        self._entries: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str) -> Value | None:
        entry = self._entries.get(name)
        if entry is None:
            return None
        self._entries.move_to_end(name)
        return entry[0]

    def put(self, name: str, value: Value, weight: int) -> None:
        """Of one name there is one value, the first: it has to go before there is another."""
        if name in self._entries or weight > self._most_weight:
            return
        self._entries[name] = value, weight
        self._weight += weight
        while len(self._entries) > self._most or self._weight > self._most_weight:
            _, (oldest, its_weight) = self._entries.popitem(last=False)
            self._weight -= its_weight
            self._gone(oldest)
