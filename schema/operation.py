"""A document on its way: parsed and validated from a cache, refused when it costs too much, run.

Strawberry makes the schema; graphql-core runs it here directly, since a request needs no more
than that and each step is a place where a request can be refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    execute,
    get_operation_ast,
    get_variable_values,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import VariableValues
from graphql.validation import ASTValidationRule, ValidationRule
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.changes import Seen, Watch
from resolvers.context import Context
from schema.errors import of_request, refusal
from schema.execution import Checks, MutationExecutor, MutationPlan, PlanCache, Planner, Unfit
from schema.limits import CostBook, Limits

_CACHED_DOCUMENTS = 1_000
_MOST_ERRORS = 20
_TOO_LARGE = re.compile(r"Syntax Error: Document (contains more than \d+ tokens|is nested too)")
_NESTED = "The document is nested too deeply."


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
        self.plans = PlanCache(Planner(schema)) if plans else None
        self._checks = checks
        self._rules: tuple[type[ASTValidationRule], ...] = tuple(specified_rules)
        if not introspection:
            self._rules += (NoIntrospection,)
        self._document = lru_cache(_CACHED_DOCUMENTS)(self._load)

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
                )
            )
        found = self._document(query)
        if not isinstance(found, DocumentNode):
            raise Refused(*found)
        definition = get_operation_ast(found, operation_name)
        if definition is None:
            raise Refused(_no_operation(operation_name))
        values = self._coerced(definition, variables)
        requested = self._cost(found, definition, values)
        if requested > self._limits.cost:
            raise Refused(
                refusal(
                    "QUERY_TOO_COMPLEX",
                    f"The document could cost {requested}, the limit is {self._limits.cost}: "
                    "ask for smaller pages or fewer levels.",
                    cost=requested,
                    limit=self._limits.cost,
                ),
                requested=requested,
            )
        return Operation(found, definition, variables, values, requested)

    def _coerced(
        self, definition: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> VariableValues:
        values = get_variable_values(
            self._schema,
            definition.variable_definitions or (),
            dict(variables),
            max_errors=_MOST_ERRORS,
            hide_suggestions=not self._introspection,
        )
        if isinstance(values, list):
            raise Refused(*(of_request(error, "BAD_USER_INPUT") for error in values))
        return values

    def _cost(
        self, document: DocumentNode, definition: OperationDefinitionNode, values: VariableValues
    ) -> int:
        try:
            return self._costs.find(document, definition, values.coerced)
        except RecursionError:
            raise Refused(refusal("QUERY_TOO_COMPLEX", _NESTED)) from None

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
            raise Refused(*(of_request(error, "BAD_USER_INPUT") for error in prepared))
        source = create_source_event_stream(prepared)
        if isinstance(source, Awaitable):
            source = await source
        if not isinstance(source, Watch):
            assert isinstance(source, ExecutionResult)  # noqa: S101 by the library's contract
            raise Refused(*(source.errors or ()))
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
            return await _answer(executor.execute_operation())
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
        self, operation: Operation, context: Context, event: Seen | None = None
    ) -> Answer:
        """As `run`, by graphql-core, whose answers are right by definition."""
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
        )
        return await _answer(result)

    async def _checked(
        self, checks: Checks, data: dict[str, Any], operation: Operation, context: Context
    ) -> Answer:
        """graphql-core's answer, over the loaders that the plan has filled."""
        answer = await self.refer(operation, context)
        expected = None if answer.errors else answer.data
        checks.compare(data, expected, operation.document, operation.definition)
        return answer

    def _load(self, query: str) -> DocumentNode | tuple[GraphQLError, ...]:
        """The document, or why it cannot run; remembered either way."""
        try:
            document = parse(
                query, max_tokens=self._limits.tokens, allow_empty_selection_sets=False
            )
            errors = validate(
                self._schema,
                document,
                self._rules,
                max_errors=_MOST_ERRORS,
                hide_suggestions=not self._introspection,
                allow_empty_selection_sets=False,
            )
        except GraphQLError as error:
            too_large = _TOO_LARGE.match(error.message)
            return (
                of_request(error, "QUERY_TOO_COMPLEX" if too_large else "GRAPHQL_PARSE_FAILED"),
            )
        # What the library could not validate within its own bounds, fragment in fragment.
        if errors and errors[-1].message == "Validation aborted.":
            return (refusal("QUERY_TOO_COMPLEX", _NESTED),)
        if errors:
            return tuple(of_request(error, "GRAPHQL_VALIDATION_FAILED") for error in errors)
        return document


class NoIntrospection(ValidationRule):
    """Refuses to tell the schema; `__typename` is an object's own business and stays."""

    def enter_field(self, node: FieldNode, *_args: object) -> None:
        if node.name.value in {"__schema", "__type"}:
            self.report_error(
                GraphQLError(
                    "This service does not tell its schema.",
                    node,
                    extensions={"code": "INTROSPECTION_DISABLED"},
                )
            )


async def _answer(result: Any) -> Answer:
    """What an execution came to, or comes to once it is awaited."""
    if hasattr(result, "__await__"):
        result = await result
    errors = result.errors or []
    # Only what is refused before the first field runs has no path.
    ran = result.data is not None or not errors or any(error.path for error in errors)
    if not ran:
        errors = [of_request(error, "BAD_USER_INPUT") for error in errors]
    return Answer(result.data, errors, ran)


def _no_operation(name: str | None) -> GraphQLError:
    if name is None:
        message = "The document has several operations: name one in operationName."
    else:
        message = "The document has no operation with the name in operationName."
    return refusal("BAD_USER_INPUT", message)
