"""A document on its way: parsed and validated from a cache, refused when it costs too much, run.

Strawberry makes the schema; graphql-core runs it here directly, since a request needs no more
than that and each step is a place where a request can be refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    ValueNode,
    create_source_event_stream,
    execute,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import VariableValues
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.changes import Seen, Watch
from resolvers.context import Context
from schema.errors import of_request, refusal
from schema.execution import Checks, MutationExecutor, MutationPlan, PlanCache, Planner, Unfit
from schema.limits import CostBook, Limits
from schema.operations.bounded import BoundedCache
from schema.operations.rules import excesses, rules
from schema.operations.variables import VariableBook

_CACHED_DOCUMENTS = 1_000
_CACHED_CHARACTERS = 250_000  # of text; of one character, half a kilobyte can be made
# The library quotes what is wrong, all of it, in each error: with these it stays cheap and short.
_MOST_ERRORS = 10
_LONGEST_MESSAGE = 500  # characters
_TOO_MANY_TOKENS = re.compile(r"Syntax Error: Document contains more than \d+ tokens")
_TOO_DEEP = re.compile(r"Syntax Error: Document is nested too")
_NESTED = "The document is nested too deeply."
# What is said of a variable: where the fault is, and behind a colon what its type would have.
_PLACE = re.compile(r"Variable '\$\w+' has invalid (default )?value[^:]*")


# A document, or why it cannot run.
_Loaded = DocumentNode | tuple[GraphQLError, ...]


class Refused(Exception):
    """A request that does not run, and why; `requested` is its cost where that was known."""

    def __init__(self, *errors: GraphQLError, requested: int | None = None) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.requested = requested


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid operation, its variables as they came and as they were coerced, and what it could
    cost with them."""

    document: DocumentNode
    definition: OperationDefinitionNode
    variables: Mapping[str, Any]
    values: VariableValues
    requested: int

    @property
    def kind(self) -> OperationType:
        return self.definition.operation


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation came to. `ran` is false where it was refused before its first field."""

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    ran: bool


class Executor:
    """Prepares and runs the operations of one schema."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        limits: Limits,
        introspection: bool,
        plans: bool = True,
        checks: Checks | None = None,
    ) -> None:
        self._schema = schema._schema
        self._limits = limits
        self._costs = CostBook(self._schema)
        self._introspection = introspection
        self._variables = VariableBook(self._schema, suggests=introspection)
        self.plans = PlanCache(Planner(schema)) if plans else None
        self._checks = checks
        self._rules = rules(introspection=introspection)
        self._documents = BoundedCache[_Loaded](
            most=_CACHED_DOCUMENTS, most_weight=_CACHED_CHARACTERS, gone=self._forget
        )

    def prepare(
        self, query: str, operation_name: str | None, variables: Mapping[str, Any]
    ) -> Operation:
        """Raises Refused for whatever cannot run."""
        # Before the cache, which would remember the long text.
        if len(query) > self._limits.characters:
            raise Refused(
                refusal(
                    "QUERY_TOO_COMPLEX",
                    f"The document has {len(query)} characters, "
                    f"the limit is {self._limits.characters}.",
                    characters=len(query),
                    limit=self._limits.characters,
                )
            )
        found = self._documents.get(query) or self._load(query)
        if not isinstance(found, DocumentNode):
            raise Refused(*found)
        definition = get_operation_ast(found, operation_name)
        if definition is None:
            raise Refused(_no_operation(operation_name))
        values = self._coerced(definition, variables)
        requested = self._cost(found, definition, values)
        return Operation(found, definition, variables, values, requested)

    def _coerced(
        self, definition: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> VariableValues:
        values = self._variables.coerce(definition, variables)
        if isinstance(values, list):
            raise Refused(*(self._of_input(error) for error in values))
        return values

    def _of_input(self, error: GraphQLError) -> GraphQLError:
        """An error of a variable's value, or of an argument that a variable left without one."""
        if self._introspection or error.extensions:
            return of_request(error, "BAD_USER_INPUT")
        place = _PLACE.match(error.message)
        message = f"{place[0]}." if place else "A variable's value does not fit where it is used."
        return GraphQLError(
            message, error.nodes, path=error.path, extensions={"code": "BAD_USER_INPUT"}
        )

    def _cost(
        self, document: DocumentNode, definition: OperationDefinitionNode, values: VariableValues
    ) -> int:
        try:
            cost = self._costs.find(document, definition, values.coerced)
            if cost > self._limits.cost:
                path = self._costs.path(document, definition, values.coerced)
                raise Refused(_too_dear(cost, self._limits.cost, path), requested=cost)
        except RecursionError:
            raise Refused(refusal("QUERY_TOO_COMPLEX", _NESTED)) from None
        return cost

    async def watch(self, operation: Operation, context: Context) -> Watch:
        """What a subscription asks to be told of. Raises Refused for what it may not have."""
        name = operation.definition.name
        prepared = StrawberryGraphQLCoreExecutionContext.build(
            self._schema,
            operation.document,
            context_value=context,
            raw_variable_values=dict(operation.variables),
            operation_name=name.value if name else None,
            hide_suggestions=not self._introspection,
            operation_extensions=None,
        )
        if isinstance(prepared, list):
            raise Refused(*(self._of_input(error) for error in prepared))
        try:
            source = create_source_event_stream(prepared)
            if isinstance(source, Awaitable):
                source = await source
        finally:
            # Methods of its own: it would wait for the collector, and hold all it was given.
            del prepared.async_helpers
        if not isinstance(source, Watch):
            assert isinstance(source, ExecutionResult)  # noqa: S101 by the library's contract
            raise Refused(*map(self._of_field, source.errors or ()))
        return source

    async def run(
        self, operation: Operation, context: Context, event: Seen | None = None
    ) -> Answer:
        """Runs a query or a mutation or, for one event, a subscription: by its plan, where there
        is one and nothing to say of errors. A share of queries run twice, to check the plans."""
        plans = self.plans
        plan = plans and plans.find(operation.document, operation.definition, operation.values)
        if not plans or not plan:
            return await self.refer(operation, context, event)
        if isinstance(plan, MutationPlan):
            executor = MutationExecutor.of(
                self._schema,
                operation.document,
                operation.definition,
                context,
                operation.values,
                plan=plan,
                unfit=plans.give_up,
                hide_suggestions=not self._introspection,
            )
            return await self._answer(executor.run())
        try:
            data = await plan.execute(event, context, operation.values)
        except Unfit:
            plans.give_up()
            return await self.refer(operation, context, event)
        checks = self._checks
        if checks and operation.kind is OperationType.QUERY and checks.is_due():
            return await self._checked(checks, data, operation, context)
        return Answer(data, [], ran=True)

    async def refer(
        self, operation: Operation, context: Context, event: Seen | None = None, **options: Any
    ) -> Answer:
        """As `run`, by graphql-core, whose answers are right by definition; `options` are its."""
        name = operation.definition.name
        result = execute(
            self._schema,
            operation.document,
            event,
            context_value=context,
            variable_values=dict(operation.variables),
            operation_name=name.value if name else None,
            executor_class=StrawberryGraphQLCoreExecutionContext,
            hide_suggestions=not self._introspection,
            operation_extensions=None,
            **options,
        )
        return await self._answer(result)

    async def _checked(
        self, checks: Checks, data: dict[str, Any], operation: Operation, context: Context
    ) -> Answer:
        """graphql-core's answer, over the loaders that the plan has filled."""
        answer = await self.refer(operation, context)
        expected = None if answer.errors else answer.data
        checks.compare(data, expected, operation.document, operation.definition)
        return answer

    def _of_field(self, error: GraphQLError) -> GraphQLError:
        """An error of a running operation. What the library says of the types of variables is no
        more told here than when they come."""
        if not error.nodes or not isinstance(error.nodes[0], ValueNode) or self._introspection:
            return error
        return self._of_input(error)

    async def _answer(self, result: Any) -> Answer:
        """What an execution came to, or comes to once it is awaited."""
        if hasattr(result, "__await__"):
            result = await result
        errors = [self._of_field(error) for error in result.errors or ()]
        # Only what is refused before the first field runs has no path.
        ran = result.data is not None or not errors or any(error.path for error in errors)
        if not ran:
            errors = [self._of_input(error) for error in errors]
        return Answer(result.data, errors, ran)

    def _load(self, query: str) -> _Loaded:
        """The document, or why it cannot run; remembered either way."""
        try:
            document = parse(
                query, max_tokens=self._limits.tokens, allow_empty_selection_sets=False
            )
        except GraphQLError as error:
            found: _Loaded = (self._unparsed(error),)
        else:
            found = self._excess(document) or self._validated(document)
        self._documents.put(query, found, len(query))
        return found

    def _forget(self, found: _Loaded) -> None:
        """What is kept of its operations holds all of a document."""
        if isinstance(found, DocumentNode):
            for node in found.definitions:
                if isinstance(node, OperationDefinitionNode):
                    self._costs.forget(node)
                    self._variables.forget(node)
                    if self.plans:
                        self.plans.forget(node)

    def _excess(self, document: DocumentNode) -> tuple[GraphQLError, ...]:
        try:
            return tuple(excesses(document, self._limits))
        except RecursionError:
            return (refusal("QUERY_TOO_COMPLEX", _NESTED),)

    def _unparsed(self, error: GraphQLError) -> GraphQLError:
        if _TOO_MANY_TOKENS.match(error.message):
            limit = self._limits.tokens
            message = f"The document has more than {limit} tokens, which is the limit."
            return refusal("QUERY_TOO_COMPLEX", message, limit=limit)
        if _TOO_DEEP.match(error.message):
            return refusal("QUERY_TOO_COMPLEX", _NESTED)
        return _cut(of_request(error, "GRAPHQL_PARSE_FAILED"))

    def _validated(self, document: DocumentNode) -> _Loaded:
        errors = validate(
            self._schema,
            document,
            self._rules,
            max_errors=_MOST_ERRORS,
            hide_suggestions=not self._introspection,
            allow_empty_selection_sets=False,
        )
        # What the library could not validate within its own bounds, fragment in fragment.
        if errors and errors[-1].message == "Validation aborted.":
            return (refusal("QUERY_TOO_COMPLEX", _NESTED),)
        if errors:
            return tuple(_cut(of_request(error, "GRAPHQL_VALIDATION_FAILED")) for error in errors)
        return document


def _cut(error: GraphQLError) -> GraphQLError:
    if len(error.message) > _LONGEST_MESSAGE:
        error.message = f"{error.message[:_LONGEST_MESSAGE]} ..."
    return error


def _too_dear(cost: int, limit: int, path: list[str]) -> GraphQLError:
    return refusal(
        "QUERY_TOO_COMPLEX",
        f"The document could cost {cost}, the limit is {limit}, most of it at {'.'.join(path)}: "
        "ask for smaller pages or fewer levels.",
        cost=cost,
        limit=limit,
        path=path,
    )


def _no_operation(name: str | None) -> GraphQLError:
    if name is None:
        message = "The document has several operations: name one in operationName."
    else:
        message = "The document has no operation with the name in operationName."
    return refusal("BAD_USER_INPUT", message)
