"""What an operation asked of the store: its calls, round by round, and the fields that asked.

Only an operation that is explained pays for it: it has loaders of its own, which remember who
asks, and graphql-core runs it, by way of a middleware that says which field is being resolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from inspect import isawaitable
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from graphql import GraphQLResolveInfo

from datasources.calls import Call, Observers
from datasources.items import Item
from datasources.keys import Key
from datasources.listing import Page
from datasources.table import Table
from resolvers.context import Context
from resolvers.loaders import ItemLoader, Loaders, PageLoader, PageRequest, SharingLoader

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Asker(NamedTuple):
    """A field that is being resolved, `Type.field`, and its place in the answer."""

    field: str
    place: tuple[str | int, ...]

    @property
    def path(self) -> str:
        """Its place, whichever the entries of lists."""
        return ".".join(key for key in self.place if isinstance(key, str))


Askers = frozenset[Asker]

_asking: ContextVar[Askers] = ContextVar("asking", default=frozenset())


class Asked(NamedTuple):
    call: Call
    askers: Askers


class Record:
    """Notes the calls of one operation; an observer of its table."""

    def __init__(self) -> None:
        self._calls: list[Asked] = []
        self._kept = 0

    def called(self, call: Call) -> None:
        self._calls.append(Asked(call, _asking.get()))

    def batched(self, loader: str, size: int) -> None:
        pass

    def found(self, kept: int, asked: int) -> None:
        self._kept += kept

    def told(self) -> dict[str, Any]:
        """As it goes to the client; times are in milliseconds since the first call."""
        calls = sorted(self._calls, key=lambda asked: asked.call.began)
        start = calls[0].call.began if calls else 0.0
        return {
            "rounds": [_round(each, start) for each in rounds(calls)],
            "repeated": list(repeated(calls)),
            "cached": self._kept,
        }


def explained(context: Context, record: Record) -> Context:
    """The same operation, its calls noted."""
    table = replace(context.table, observer=Observers(context.table.observer, record))
    budget = context.shop.read_budget
    loaders = _Loaders(table, context.keys, read_budget=budget, cached=context.loaders.cached)
    return replace(context, table=table, loaders=loaders)


def naming(
    resolve: Callable[..., Any], parent: object, info: GraphQLResolveInfo[Any], **arguments: Any
) -> Any:
    """A middleware of graphql-core, by which it is known which field asks."""
    name = f"{info.parent_type.name}.{info.field_name}"
    asker = frozenset((Asker(name, tuple(info.path.as_list())),))
    with _asked_by(asker):
        value = resolve(parent, info, **arguments)
    return _awaited(value, asker) if isawaitable(value) else value


async def _awaited(value: Awaitable[Any], asker: Askers) -> Any:
    with _asked_by(asker):
        return await value


@contextmanager
def _asked_by(askers: Askers) -> Iterator[None]:
    before = _asking.set(askers)
    try:
        yield
    finally:
        _asking.reset(before)


# --- loaders that remember who asks ---------------------------------------------------------


class _Remembering(SharingLoader[K, V]):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._askers: dict[K, set[Asker]] = defaultdict(set)

    def load(self, key: K) -> Any:
        found = super().load(key)
        if not found.done():
            self._askers[key] |= _asking.get()
        return found

    def _take(self, keys: Iterable[K]) -> Askers:
        return frozenset().union(*(self._askers.pop(key, ()) for key in keys))


class _Items(_Remembering[Key, "Item | None"], ItemLoader):
    async def batch_load_fn(self, keys: list[Key]) -> list[Item | None]:
        with _asked_by(self._take(keys)):
            return await super().batch_load_fn(keys)


class _Pages(_Remembering[PageRequest, Page], PageLoader):
    async def _read(self, request: PageRequest) -> Page:
        with _asked_by(self._take([request])):
            return await super()._read(request)


class _Loaders(Loaders):
    def __init__(self, table: Table, keys: Any, **named: Any) -> None:
        super().__init__(table, keys, **named)
        self.items = _Items(table, named["cached"])

    @cached_property
    def pages(self) -> PageLoader:
        return _Pages(self._table, self.items, read_budget=self._budget)


# --- what is told ---------------------------------------------------------------------------


def rounds(calls: Iterable[Asked]) -> list[list[Asked]]:
    """Calls in the order in which they began; a round is those that began before any answer of
    the round had come."""
    found: list[list[Asked]] = []
    answered = float("-inf")
    for asked in calls:
        if asked.call.began >= answered:
            found.append([])
            answered = float("inf")
        found[-1].append(asked)
        answered = min(answered, asked.call.began + asked.call.seconds)
    return found


def repeated(calls: Iterable[Asked]) -> Iterator[dict[str, Any]]:
    """Fields for whose places in the answer there was more than one call, each for some of them:
    where the calls grow with the places, it is an N+1."""
    found: dict[tuple[str, str, str, str | None], set[Askers]] = defaultdict(set)
    for call, askers in calls:
        for (field, path), places in _by_path(askers):
            found[field, path, call.operation, call.index].add(places)
    for (field, path, operation, index), asked in found.items():
        if len(asked) > 1:
            yield {
                "field": field,
                "path": path,
                "operation": operation,
                "index": index,
                "calls": len(asked),
                "times": len(frozenset().union(*asked)),
            }


def _round(calls: Sequence[Asked], start: float) -> dict[str, Any]:
    began = calls[0].call.began
    ended = max(asked.call.began + asked.call.seconds for asked in calls)
    return {
        "at": _milliseconds(began - start),
        "milliseconds": _milliseconds(ended - began),
        "calls": [_told(*asked, start) for asked in calls],
    }


def _told(call: Call, askers: Askers, start: float) -> dict[str, Any]:
    return {
        "operation": call.operation,
        "table": call.table,
        "index": call.index,
        "keys": call.keys,
        "items": call.items,
        "units": call.units,
        "at": _milliseconds(call.began - start),
        "milliseconds": _milliseconds(call.seconds),
        "attempt": call.attempt,
        "error": call.error,
        "askedBy": [
            {"field": field, "path": path, "times": len(places)}
            for (field, path), places in _by_path(askers)
        ],
    }


def _by_path(askers: Askers) -> list[tuple[tuple[str, str], Askers]]:
    def path(asker: Asker) -> tuple[str, str]:
        return asker.field, asker.path

    return [(key, frozenset(places)) for key, places in groupby(sorted(askers, key=path), path)]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 3)
