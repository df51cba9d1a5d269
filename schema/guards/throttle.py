"""How much each caller may ask for: a bucket of cost, as Shopify's GraphQL Admin API has it.

What an operation could cost at most is taken before it runs, and settled for what it has cost once
that is known: its calls to DynamoDB or its units, whichever are more, and at least 1. What tells
whether an address is taken has a smaller bucket beside that, and so has the time that documents
take to be read which are new to the service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from datasources.table import Meter
from schema.errors import refusal
from schema.guards.buckets import ROUNDING, Buckets, MemoryBuckets, Rate
from schema.guards.callers import Caller
from schema.operations.operation import Operation, Refused

T = TypeVar("T")

# The root fields by which an email address is claimed or looked up.
EMAIL_FIELDS = frozenset(("createUser", "updateUser", "userByEmail"))

# What one caller may have the service spend on documents it does not know, in seconds.
PREPARING = Rate(5.0, 0.5)
_KNOWN = 0.001  # seconds, longer than the preparation of a document that is known

_MOST_OPERATIONS = 1_000


class RateLimited(Refused):
    """An operation that did not run because its caller has asked for too much. `retry_after` is
    in seconds; `throttle` is for `extensions.cost`, if it is the bucket of cost that is short."""

    def __init__(
        self,
        message: str,
        retry_after: float,
        requested: int | None = None,
        throttle: dict[str, float] | None = None,
    ) -> None:
        milliseconds = ceil(retry_after * 1000)
        super().__init__(
            refusal("RATE_LIMITED", message, retryable=True, retryAfterMs=milliseconds),
            requested=requested,
        )
        self.retry_after = milliseconds / 1000
        self.throttle = throttle


@dataclass(slots=True)
class Charge:
    """What was taken for an operation that may run."""

    buckets: Buckets
    caller: Caller
    taken: float
    left: float
    is_settled: bool = False

    def settle(self, meter: Meter) -> None:
        """When it has run, or could not. Only the first time counts."""
        if self.is_settled:
            return
        self.is_settled = True
        self.left = self.buckets.settle(self.caller, self.taken - points_of(meter), self.left)

    def throttle(self) -> dict[str, float]:
        """What is left, for `extensions.cost`."""
        return _status(self.buckets.rate, self.left)


def points_of(meter: Meter) -> int:
    """What an operation has cost, by what DynamoDB reported of it."""
    return max(meter.requests, ceil(meter.read_units + meter.write_units)) or 1


class Throttle:
    """`emails` counts uses of the fields of EMAIL_FIELDS. `preparing` counts seconds of `clock`,
    for each process by itself; None: nobody counts them. `refused` counts refusals, by what there
    was too much of."""

    def __init__(
        self,
        cost: Buckets,
        emails: Buckets,
        preparing: MemoryBuckets | None,
        clock: Callable[[], float],
    ) -> None:
        self._cost = cost
        self._emails = emails
        self._preparing = preparing
        self._clock = clock
        self.refused = Counter({"cost": 0, "emails": 0, "preparing": 0})
        self._email_uses: dict[int, tuple[OperationDefinitionNode, int]] = {}

    def prepare(self, caller: Caller, prepare: Callable[[], T]) -> T:
        """What `prepare` comes to, at whose expense it is; raises RateLimited instead for who has
        lately asked for too much that was new, whether or not it could run."""
        if self._preparing is None:
            return prepare()
        left = self._preparing.left(caller)
        if left <= 0:
            self.refused["preparing"] += 1
            wait = (_KNOWN - left) / self._preparing.rate.restore
            raise RateLimited(
                "Too many of the documents sent were not seen here before: "
                "give values in variables, and let documents stay the same.",
                wait,
            )
        began = self._clock()
        try:
            return prepare()
        finally:
            took = self._clock() - began
            if took > _KNOWN:
                self._preparing.settle(caller, -took)

    async def admit(self, caller: Caller, address: Caller, operation: Operation) -> Charge:
        """Takes what the operation could cost. Raises RateLimited where there is not so much."""
        cost = self._cost
        # A full bucket is enough for anything that the limits admit.
        points = min(operation.requested or 1, cost.rate.capacity)
        left = await cost.take(caller, points)
        if left <= -ROUNDING:
            self.refused["cost"] += 1
            raise _too_costly(operation.requested, points, left, cost.rate)
        known = self._email_uses.get(id(operation.definition))
        if known is None or known[1]:
            try:
                await self._admit_emails(caller, address, self._uses_of_emails(operation))
            except RateLimited:
                cost.settle(caller, points, left)
                raise
        return Charge(cost, caller, points, left)

    async def _admit_emails(self, caller: Caller, address: Caller, uses: int) -> None:
        """By the address as well: who signs up has a new principal each time."""
        emails = self._emails
        points = min(uses, emails.rate.capacity)
        if not points:
            return
        for each in dict.fromkeys((caller, address)):
            left = await emails.take(each, points)
            if left <= -ROUNDING:
                self.refused["emails"] += 1
                raise RateLimited(
                    "Too many email addresses were given or asked for: wait a moment.",
                    -left / emails.rate.restore,
                )

    def _uses_of_emails(self, operation: Operation) -> int:
        definition = operation.definition
        known = self._email_uses.get(id(definition))
        if known is None:
            if len(self._email_uses) >= _MOST_OPERATIONS:
                self._email_uses.clear()
            # The operation is kept, so that no other can come to have its id.
            known = self._email_uses[id(definition)] = definition, _email_uses(operation)
        return known[1]


def _email_uses(operation: Operation) -> int:
    """How often the root fields of EMAIL_FIELDS run: what has one response key runs once."""
    fragments = {
        node.name.value: node
        for node in operation.document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    found: set[str] = set()
    seen: set[str] = set()

    def look(selections: SelectionSetNode) -> None:
        for node in selections.selections:
            match node:
                case FieldNode():
                    if node.name.value in EMAIL_FIELDS:
                        found.add((node.alias or node.name).value)
                case InlineFragmentNode():
                    look(node.selection_set)
                case FragmentSpreadNode():
                    name = node.name.value
                    if name not in seen:
                        seen.add(name)
                        look(fragments[name].selection_set)

    look(operation.definition.selection_set)
    return len(found)


def _too_costly(requested: int, points: float, left: float, rate: Rate) -> RateLimited:
    throttle = _status(rate, left + points)
    return RateLimited(
        f"The operation could cost {requested}, and {throttle['currentlyAvailable']} are left of "
        f"{throttle['maximumAvailable']}; {rate.restore:g} come back each second.",
        -left / rate.restore,
        requested,
        throttle,
    )


def _status(rate: Rate, left: float) -> dict[str, float]:
    return {
        "maximumAvailable": rate.capacity,
        "currentlyAvailable": max(0, floor(left + ROUNDING)),
        "restoreRate": rate.restore,
    }
