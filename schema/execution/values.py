"""What a plan makes of single values, and what it leaves to the reference executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum
from types import CodeType, CoroutineType
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType, Undefined
from graphql.pyutils import is_awaitable, is_iterable

Leaf = Callable[[Any], Any]


class NotPlanned(Exception):
    """An operation that the compiler does not cover: it is for the reference executor."""


class Unfit(Exception):
    """A run that came upon what its plan does not cover, an error or a null out of place
    included: the reference executor is to run the operation and say what it comes to."""


class Classes:
    """Which classes have been looked at: a value is an exception or can be awaited by its class.

    `waiting` are those whose values are awaited, `plain` those whose values are taken as they
    are. A class that is in neither is met once and judged by `check`. `in_tasks` is the code of
    coroutines that are to be run in tasks.
    """

    def __init__(self) -> None:
        self.waiting: set[type] = {CoroutineType, asyncio.Future, asyncio.Task}
        self.plain: set[type] = set()
        self.in_tasks: set[CodeType] = set()

    def check(self, value: object) -> None:
        """Raises Unfit for what is no value: null, an exception, what has to be awaited."""
        if value is None or value is Undefined or isinstance(value, Exception):
            raise Unfit(f"{value!r} where a value should be")
        if is_awaitable(value):
            # Known from now on: only the first of its class is left to the reference executor.
            self.waiting.add(value.__class__)
            raise Unfit("something to await of a class not seen before")
        self.plain.add(value.__class__)

    def leaf(self, kind: GraphQLLeafType) -> Leaf:
        """The type's own way to write a value, never null; raises Unfit or what it raises."""
        write, plain, check = kind.coerce_output_value, self.plain, self.check

        def leaf(value: Any) -> Any:
            if value.__class__ not in plain:
                check(value)
            written = write(value)
            if written is None or written is Undefined:
                raise Unfit(f"{kind.name} made nothing of {value!r}")
            return written

        return leaf


def items(value: Any) -> Iterable[Any]:
    """The items of a list; Unfit for what is none, or comes as it is awaited."""
    if value.__class__ is list or value.__class__ is tuple:
        return value
    if isinstance(value, Exception) or hasattr(value, "__aiter__") or not is_iterable(value):
        raise Unfit(f"{value!r} where a list should be")
    return value


def enum_names(kind: GraphQLEnumType, of: type[Enum]) -> dict[Any, str]:
    """The name of each member by the member's value, as the type itself would find it."""
    try:
        return {member.value: kind.coerce_output_value(member) for member in of}
    except TypeError as error:
        raise NotPlanned(f"{kind.name} has values that are no keys") from error
