"""Mutations: their root fields are graphql-core's to run, what these select is their plans'."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest
import strawberry
from graphql import ExecutionResult, parse
from strawberry.extensions import FieldExtension

from schema.execution import MutationExecutor, MutationPlan, NotPlanned, Planner
from tests.unit.schema.execution.judge import operation_of, referred, shown


class Done(list[str]):
    """What the resolvers have done, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    def append(self, what: str) -> None:
        super().append(what)
        self.begun.set()


Info = strawberry.Info[Done, None]


class Loud(FieldExtension):
    async def resolve_async(self, next_: Any, source: Any, info: Info, **given: Any) -> Any:
        info.context.append("loud")
        return await next_(source, info, **given)


def _fails() -> str:
    raise ValueError("below")


@strawberry.type
class Count:
    number: int

    @strawberry.field
    async def slowly(self, info: Info) -> int:
        await asyncio.sleep(0)
        info.context.append(f"read {self.number}")
        return self.number

    @strawberry.field
    def again(self) -> list[Count | None]:
        return [Count(number=self.number), None]

    @strawberry.field
    def root(self, info: Info) -> str:
        return f"{info.root_value} {info.operation.operation.value}"

    broken: str = strawberry.field(resolver=_fails)
    cracked: str | None = strawberry.field(resolver=_fails)
    loud: str = strawberry.field(resolver=lambda: "loud", extensions=[Loud()])  # not planned


@strawberry.type
class Name:
    name: str


async def _counted(info: Info) -> Count:
    return Count(number=len(info.context))


def gives(resolver: Callable[..., Any], **options: Any) -> Any:
    """A field that gives anything, whatever type it says it is."""
    return strawberry.field(resolver=resolver, **options)


@strawberry.input
class Amount:
    by: int = 1


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def add(self, info: Info, amount: Amount) -> Count:
        await asyncio.sleep(0)
        info.context.append(f"add {amount.by}")
        if amount.by < 0:
            raise ValueError("less than nothing")
        return Count(number=amount.by)

    @strawberry.mutation
    def at_once(self, info: Info, by: int = 1) -> Count | None:
        info.context.append(f"at once {by}")
        if by < 0:
            raise ValueError("less than nothing")
        return Count(number=by) if by else None

    @strawberry.mutation
    def place(self, info: Info) -> str:
        return ".".join(map(str, info.path.as_list()))

    @strawberry.mutation
    async def several(self, info: Info) -> list[Count]:
        info.context.append("several")
        return [Count(number=1), Count(number=2)]

    @strawberry.mutation
    def either(self, named: bool) -> Count | Name:
        return Name(name="A") if named else Count(number=1)

    loudly: Count = gives(_counted, extensions=[Loud()])
    nothing: Count = gives(lambda: None)
    fault: Count | None = gives(lambda: ValueError("returned"))
    half: int | None = gives(lambda: 0.5)


SCHEMA = strawberry.Schema(Count, Mutation)


class Run:
    """One mutation by its plan and by graphql-core: the same answer, and the same was done."""

    def __init__(self, query: str, **variables: Any) -> None:
        self._refer = partial(referred, SCHEMA, parse(query), variables, None)
        document = parse(query)
        plan = Planner(SCHEMA).plan(document, *operation_of(document, variables, SCHEMA))
        assert isinstance(plan, MutationPlan)
        self.plan = plan
        self.unfit = 0
        self.done = Done()

    async def by_plan(self) -> ExecutionResult:
        return await self._refer(self.done, MutationExecutor, plan=self.plan, unfit=self._count)

    async def agree(self) -> Any:
        expected_done = Done()
        expected = await self._refer(expected_done)
        answer = await self.by_plan()
        assert orjson.dumps(answer.data) == orjson.dumps(expected.data)
        assert shown(answer) == shown(expected)
        if not self.unfit:
            assert self.done == expected_done
        return answer.data

    def _count(self) -> None:
        self.unfit += 1

    def wrote(self) -> list[str]:
        return [each for each in self.done if not each.startswith("read")]


PLANNED = {
    "one": "mutation { add(amount: {by: 2}) { number slowly again { slowly } root __typename } }",
    "several, one after another": (
        "mutation { a: add(amount: {by: 1}) { slowly } b: atOnce(by: 2) { slowly number } "
        "c: add(amount: {}) { again { slowly } } }"
    ),
    "merged, with fragments": (
        "mutation { add(amount: {}) { number } ...F ... on Mutation { add(amount: {}) { slowly } } "
        "} fragment F on Mutation { add(amount: {}) { again { ...G } } } "
        "fragment G on Count { number }"
    ),
    "skip and include": (
        "mutation { add(amount: {}) @skip(if: true) { number } "
        "atOnce { number @include(if: false) slowly } }"
    ),
    "lists, leaves and names": "mutation { __typename place alias: place several { slowly } }",
    "a union": (
        "mutation { a: either(named: true) { __typename ... on Name { name } } "
        "b: either(named: false) { ... on Count { slowly } ... on Name { name } } }"
    ),
    "null": "mutation { atOnce(by: 0) { number } }",
    "an extension of a root field": "mutation { loudly { number } }",
}


@pytest.mark.parametrize("shape", PLANNED)
async def test_a_mutation_answers_by_plan_as_by_graphql_core(shape: str) -> None:
    run = Run(PLANNED[shape])
    assert await run.agree()
    assert run.unfit == 0


FAILING = {
    "the resolver of a root field": (
        "mutation { atOnce(by: -1) { number } add(amount: {}) { number } }"
    ),
    "one that may not be null": "mutation { add(amount: {by: -1}) { number } atOnce { number } }",
}


@pytest.mark.parametrize("shape", FAILING)
async def test_an_error_of_a_root_field_is_graphql_cores(shape: str) -> None:
    run = Run(FAILING[shape])
    await run.agree()
    assert run.unfit == 0


UNFIT = {
    "an error below": "mutation { add(amount: {}) { number cracked slowly } place }",
    "an error that goes up": "mutation { atOnce { number broken } several { broken } place }",
    "no value": "mutation { nothing { number } }",
    "an exception for a value": "mutation { fault { number } }",
    "a value of the wrong type": "mutation { half }",
}


@pytest.mark.parametrize("shape", UNFIT)
async def test_what_a_plan_cannot_say_is_said_over_the_value_that_is_there(shape: str) -> None:
    run = Run(UNFIT[shape])
    await run.agree()
    assert run.unfit > 0
    assert len(set(run.wrote())) == len(run.wrote())


async def test_a_mutation_that_fits_is_not_run_again_for_one_that_does_not() -> None:
    run = Run(
        "mutation { a: add(amount: {by: 1}) { slowly } b: add(amount: {by: 2}) { cracked } "
        "c: add(amount: {by: 3}) { slowly } }"
    )
    await run.agree()
    assert run.unfit == 1
    assert run.wrote() == ["add 1", "add 2", "add 3"]
    assert run.done.index("read 1") < run.done.index("add 2") < run.done.index("add 3")


@pytest.mark.parametrize("by", [None, 3])
async def test_arguments_are_coerced_by_graphql_core(by: int | None) -> None:
    query = "mutation ($by: Int = 2) { atOnce(by: $by) { number } place }"
    run = Run(query, by=by)
    data = await run.agree()
    # A null for an argument that is not null for its default: seen as the field runs.
    assert data["atOnce"] == (by and {"number": by})


async def test_what_is_not_planned_below_leaves_all_to_graphql_core() -> None:
    with pytest.raises(NotPlanned, match=r"Count\.loud"):
        Run("mutation { add(amount: {}) { loud } }")


def test_the_size_of_a_plan_is_that_of_all_its_fields() -> None:
    assert Run("mutation { place add(amount: {}) { number again { number } } }").plan.size == 5


async def test_a_mutation_that_is_cancelled_ends_there() -> None:
    run = Run("mutation { add(amount: {}) { slowly } atOnce { number } }")
    answering = asyncio.create_task(run.by_plan())
    await run.done.begun.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert run.wrote() == ["add 1"]
