"""A compiled operation, and one run of it: level by level, each level's awaiting at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, NamedTuple

import strawberry
from graphql import GraphQLField, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues, get_argument_values
from graphql.language import FieldNode
from graphql.pyutils import is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from schema.execution.arguments import Direct
from schema.execution.settling import settle
from schema.execution.values import Unfit

# An object of the answer that waits for one of its fields, and what it waits for.
Waiting = tuple[dict[str, Any], Awaitable[Any]]
# Makes the answer of a value.
Complete = Callable[[Any, "Run"], Any]


@dataclass(frozen=True, slots=True)
class Resolving:
    """A field with a resolver, where it stands in an operation."""

    key: str
    node: FieldNode
    definition: GraphQLField
    field: StrawberryField
    direct: Direct | None = None

    def arguments(
        self, converter: GraphQLCoreConverter, values: VariableValues, info: Any = None
    ) -> dict[str, Any]:
        """The arguments as Strawberry gives them to the resolver."""
        if not self.definition.args:
            return {}
        if self.direct is not None:
            coerced = values.coerced
            found = {name: coerced.get(of) for name, of in self.direct.variables.items()}
            # Null, or left out: it depends on the type what that comes to.
            if None not in found.values():
                return {**self.direct.fixed, **found}
        given = get_argument_values(self.definition, self.node, values)
        registry, config = converter.scalar_registry, converter.config
        return convert_arguments(given, self.field.arguments, registry, config, info)


class Circumstances(NamedTuple):
    """What a run is made for."""

    plan: Plan
    root_value: object
    context: object
    values: VariableValues


class RawInfo:
    """What graphql-core tells a resolver, as far as it is the same for all objects of a level.

    What is not (the path) and what nobody here has asked for sends the operation to the
    reference executor.
    """

    __slots__ = ("_circumstances", "context", "field_name")

    is_awaitable = staticmethod(is_awaitable)

    # Not the run itself, which holds this: where there is no cycle, there is nothing for the
    # collector, and whatever an operation has read is freed when it ends.
    def __init__(self, circumstances: Circumstances, field_name: str | None = None) -> None:
        self._circumstances = circumstances
        self.context = circumstances.context
        if field_name is not None:
            self.field_name = field_name

    @property
    def root_value(self) -> Any:
        return self._circumstances.root_value

    @property
    def schema(self) -> GraphQLSchema:
        return self._circumstances.plan.schema

    @property
    def operation(self) -> OperationDefinitionNode:
        return self._circumstances.plan.definition

    @property
    def variable_values(self) -> dict[str, Any]:
        return self._circumstances.values.coerced

    def __getattr__(self, name: str) -> Any:
        raise Unfit(f"a plan has no {name} to tell")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a query, an event or a root field of a mutation selects.

    `size` is the number of its fields; `resolving` the fields with resolvers, and `complete` what
    makes the answers of their values, one for each; `root` makes the answer of the first value.
    `in_tasks` is the code of the coroutines that need a task."""

    schema: GraphQLSchema
    definition: OperationDefinitionNode
    converter: GraphQLCoreConverter
    size: int
    resolving: Sequence[Resolving]
    complete: Sequence[Complete]
    root: Complete
    in_tasks: set[CodeType]

    async def execute(
        self, root_value: object, context: object, values: VariableValues
    ) -> dict[str, Any]:
        """The data of an answer without errors; Unfit where there is anything to say of errors,
        after all that was begun has ended, so that its loaders are filled."""
        data: dict[str, Any] = await self._run(root_value, root_value, context, values)
        return data

    async def finish(self, value: object, context: object, values: VariableValues) -> Any:
        """What a root field of a mutation answers, of the value that its resolver gave. Raises as
        `execute` does."""
        return await self._run(value, None, context, values)

    async def _run(
        self, value: object, root_value: object, context: object, values: VariableValues
    ) -> Any:
        try:
            run = Run(Circumstances(self, root_value, context, values))
        except Exception as error:  # of an argument
            raise Unfit(repr(error)) from error
        try:
            answer = self.root(value, run)
            while level := run.level():
                await self._fill(run, level)
        except Unfit:
            await run.abandon()
            raise
        except Exception as error:
            await run.abandon()
            raise Unfit(repr(error)) from error
        return answer

    async def _fill(self, run: Run, level: list[tuple[int, list[Waiting]]]) -> None:
        begun = [each for _, entries in level for _, each in entries]
        results = iter(await settle(begun, self.in_tasks))
        for place, entries in level:
            key, complete = self.resolving[place].key, self.complete[place]
            # `entries` first: at its end `zip` must not have taken a result too many.
            for (target, _), value in zip(entries, results):  # noqa: B905
                target[key] = complete(value, run)


@dataclass(frozen=True, slots=True, eq=False)
class MutationPlan:
    """A plan for each root field of a mutation, by the name it has in the answer."""

    fields: Mapping[str, Plan]

    @property
    def size(self) -> int:
        return sum(plan.size for plan in self.fields.values())


class Run:
    """The state of one run; its attributes are read by the functions of the plan."""

    __slots__ = ("_circumstances", "given", "infos", "raw", "raws", "values", "waiting")

    def __init__(self, circumstances: Circumstances) -> None:
        plan, _, _, values = self._circumstances = circumstances
        self.values = values
        self.raw = RawInfo(circumstances)
        self.raws = [RawInfo(circumstances, each.node.name.value) for each in plan.resolving]
        self.infos = [
            strawberry.Info(raw, each.field)  # type: ignore[arg-type]
            for raw, each in zip(self.raws, plan.resolving, strict=True)
        ]
        self.waiting: list[list[Waiting]] = [[] for _ in plan.resolving]
        self.given = [
            each.arguments(plan.converter, values, info)
            for each, info in zip(plan.resolving, self.infos, strict=True)
        ]

    def named(self, field_name: str) -> RawInfo:
        """What tells a field without a resolver."""
        return RawInfo(self._circumstances, field_name)

    def level(self) -> list[tuple[int, list[Waiting]]]:
        """All that waits, by the place of its field; from here on it waits no more."""
        found = [(place, entries) for place, entries in enumerate(self.waiting) if entries]
        for place, _ in found:
            self.waiting[place] = []
        return found

    async def abandon(self) -> None:
        """Lets all end that was begun, whatever it comes to."""
        begun = [each for _, entries in self.level() for _, each in entries]
        if begun:
            try:
                await settle(begun, self._circumstances.plan.in_tasks)
            except Exception:
                return
