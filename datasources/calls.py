"""What was asked of the store, told call by call: for counts, traces and explanations.

Told is how many, how much and how long; never what a key or a row holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, Protocol

from msgspec import Struct


class Call(Struct, frozen=True, gc=False):
    """One attempt of a call, when it has ended.

    `operation` is DynamoDB's name for it. `keys` were asked for, or rows to be written: a query
    has one, its partition. `items` came, and `left` is what the store left over of a batch.
    `units` are capacity units, as it reported them. `began` is in seconds of `perf_counter`,
    `attempt` counts from 1, and `error` is the name of a class of `datasources.errors`.
    """

    operation: str
    table: str
    index: str | None
    keys: int
    items: int
    left: int
    units: float
    began: float
    seconds: float
    attempt: int
    error: str | None


class Observer(Protocol):
    """Who is told. It is told on the way of a request, so that it should be quick."""

    def called(self, call: Call) -> None: ...

    def batched(self, loader: str, size: int) -> None:
        """That a loader has gathered so many keys, and now asks for them."""

    def found(self, kept: int, asked: int) -> None:
        """That so many of the items asked for were in the cache."""


class Observers:
    """Several at once."""

    __slots__ = ("_all",)

    def __init__(self, *observers: Observer | None) -> None:
        self._all = [each for each in observers if each]

    def called(self, call: Call) -> None:
        for each in self._all:
            each.called(call)

    def batched(self, loader: str, size: int) -> None:
        for each in self._all:
            each.batched(loader, size)

    def found(self, kept: int, asked: int) -> None:
        for each in self._all:
            each.found(kept, asked)


def call_of(
    table: str,
    operation: str,
    parameters: Mapping[str, Any],
    answer: Mapping[str, Any],
    began: float,
    attempt: int,
    error: Exception | None,
) -> Call:
    """The call that has just ended, with what it was asked and what it answered, if it did."""
    items, left = _came(answer)
    return Call(
        operation,
        table,
        parameters.get("IndexName"),
        _asked(operation, parameters),
        items,
        left,
        units_of(answer),
        began,
        perf_counter() - began,
        attempt,
        type(error).__name__ if error else None,
    )


def units_of(answer: Mapping[str, Any]) -> float:
    """Capacity units of an answer; the calls on several tables give a list of them."""
    consumed = answer.get("ConsumedCapacity")
    if not consumed:
        return 0.0
    if consumed.__class__ is dict:
        return float(consumed.get("CapacityUnits", 0.0))
    units = 0.0
    for one in consumed:
        units += one.get("CapacityUnits", 0.0)
    return units


def _asked(operation: str, parameters: Mapping[str, Any]) -> int:
    """How many keys or rows a call is about."""
    if operation == "BatchGetItem":
        return sum([len(each["Keys"]) for each in parameters["RequestItems"].values()])
    if operation == "BatchWriteItem":
        return sum(map(len, parameters["RequestItems"].values()))
    if operation == "TransactWriteItems":
        return len(parameters["TransactItems"])
    return 1


def _came(answer: Mapping[str, Any]) -> tuple[int, int]:
    """How many items came, and how many entries of a batch were left over."""
    if "Items" in answer:
        return len(answer["Items"]), 0
    items = left = 0
    if "Responses" in answer:
        items = sum(map(len, answer["Responses"].values()))
        if keys := answer.get("UnprocessedKeys"):
            left = sum([len(each["Keys"]) for each in keys.values()])
    elif rows := answer.get("UnprocessedItems"):
        left = sum(map(len, rows.values()))
    return items, left
