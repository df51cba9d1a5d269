"""Resolvers of every sort, in a schema of their own, and the values that they give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import orjson
import pytest
import strawberry
from graphql import parse
from strawberry.extensions import FieldExtension

from schema.execution import NotPlanned, Plan, Planner, Unfit
from tests.unit.schema.execution.judge import operation_of, referred


class Later:
    """Something to await of a class that nobody has seen before."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        return self._value


@strawberry.enum
class Colour(Enum):
    RED = 1
    BLUE = "blue"


class Loud(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **given: Any) -> Any:
        return str(next_(source, info, **given)).upper()


@strawberry.type
class Cat:
    name: str

    @strawberry.field
    def twice(self, info: strawberry.Info) -> str:
        return f"{self.name}{self.name} of {info.field_name}"


@strawberry.type
class Dog:
    name: str

    @strawberry.field
    async def bark(self, times: int = 2) -> str:
        await asyncio.sleep(0)
        return self.name * times


Pet = Annotated[Cat | Dog, strawberry.union("Pet")]


@dataclass
class Text:
    value: str

    def __str__(self) -> str:
        return self.value


def gives(make: Callable[[], Any], **options: Any) -> Any:
    """A field that gives anything, whatever type it says it is."""
    return strawberry.field(resolver=make, **options)


def _stream() -> AsyncIterator[int]:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    return numbers()


def _letters() -> Iterator[str]:
    yield from "abc"


@strawberry.type
class Query:
    @strawberry.field
    def pets(self) -> list[Pet]:
        return [Cat(name="Tom"), Dog(name="Rex")]

    @strawberry.field
    async def slow(self) -> list[Dog | None]:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return [Dog(name="Rex"), None, Dog(name="Max")]

    @strawberry.field
    def place(self, info: strawberry.Info) -> str:
        return ".".join(map(str, info.path.as_list()))

    @strawberry.field
    def seen(self, info: strawberry.Info) -> str:
        return f"{info.context} {info.root_value} {info.variable_values} {info.python_name}"

    colours: list[Colour] = gives(lambda: [Colour.RED, Colour.BLUE])
    letters: list[str] = gives(_letters)
    word: str = gives(lambda: Text("word"))
    grid: list[list[int]] = gives(lambda: ((1, 2), [3]))
    stream: list[int] = gives(_stream)
    number: int = gives(lambda: 3.0)
    truth: bool = gives(lambda: 1)
    ratio: float = gives(lambda: 2)
    later: str = gives(lambda: Later("at last"))
    dog: Dog | None = gives(lambda: Later(Dog(name="Rex")))
    future: Cat | None = gives(lambda: _done(Cat(name="Tom")))
    loud: str = gives(lambda: "loud", extensions=[Loud()])
    # What is an error there must be one here.
    fault: str | None = gives(lambda: ValueError("returned"))
    fault_of_a_cat: Cat | None = gives(lambda: ValueError("returned"))
    nothing: str = gives(lambda: None)
    half: int | None = gives(lambda: 0.5)
    no_list: list[str] | None = gives(lambda: "abc")
    holes: list[str] | None = gives(lambda: ["a", None])
    cancelled: str | None = gives(lambda: _cancelled())


def _done(value: object) -> Awaitable[Any]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


async def _cancelled() -> str:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    try:
        await future
    except asyncio.CancelledError:
        raise ValueError("called off") from None
    return "never"


SCHEMA = strawberry.Schema(Query)


def planned(query: str, planner: Planner) -> tuple[Plan, Any]:
    document = parse(query)
    definition, values = operation_of(document, schema=SCHEMA)
    plan = planner.plan(document, definition, values)
    assert isinstance(plan, Plan)
    return plan, values


async def judged(query: str) -> Any:
    return await referred(SCHEMA, parse(query), {}, "root", "context")


GOOD = [
    "{ pets { __typename ... on Cat { name twice } ... on Dog { bark once: bark(times: 1) } } }",
    "{ colours letters word grid number truth ratio }",
    "{ seen }",
    "{ future { name } }",
]
LEARNT = ["{ slow { name bark } }", "{ later }", "{ dog { name bark(times: 3) } }"]


@pytest.mark.parametrize("query", GOOD)
async def test_a_value_is_written_as_graphql_core_writes_it(query: str) -> None:
    plan, values = planned(query, Planner(SCHEMA))
    data = await plan.execute("root", "context", values)
    assert orjson.dumps(data) == orjson.dumps((await judged(query)).data)


@pytest.mark.parametrize("query", LEARNT)
async def test_what_is_new_is_given_up_once_and_then_known(query: str) -> None:
    plan, values = planned(query, Planner(SCHEMA))
    with pytest.raises(Unfit):
        await plan.execute("root", "context", values)
    data = await plan.execute("root", "context", values)
    assert orjson.dumps(data) == orjson.dumps((await judged(query)).data)


@pytest.mark.parametrize(
    "field", "fault faultOfACat{__typename} nothing half noList holes cancelled".split()
)
async def test_what_is_an_error_is_given_up(field: str) -> None:
    query = f"{{ letters {field} future {{ name }} }}"
    plan, values = planned(query, Planner(SCHEMA))
    assert (await judged(query)).errors
    with pytest.raises(Unfit):
        await plan.execute("root", "context", values)


@pytest.mark.parametrize("field", ["place", "stream"])
async def test_what_a_plan_cannot_do_is_given_up_without_an_error(field: str) -> None:
    plan, values = planned(f"{{ {field} }}", Planner(SCHEMA))
    assert not (await judged(f"{{ {field} }}")).errors
    with pytest.raises(Unfit):
        await plan.execute("root", "context", values)


def test_a_field_with_an_extension_is_not_planned() -> None:
    with pytest.raises(NotPlanned, match=r"Query\.loud"):
        planned("{ loud }", Planner(SCHEMA))
