"""Mutations: graphql-core runs their root fields, and plans make what these select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.execution.plan import MutationPlan, Plan
from schema.execution.values import Unfit


class MutationExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, but for one step: the value that the resolver of a root field gave
    is completed by the field's plan. Where that comes upon Unfit, the step is graphql-core's as
    well, over the value that is there: no resolver of a root field runs twice.

    `unfit` is called for each root field that comes upon Unfit.
    """

    def __init__(
        self, *args: Any, plan: MutationPlan, unfit: Callable[[], None], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._plan = plan
        self._unfit = unfit

    @classmethod
    def of(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        definition: OperationDefinitionNode,
        context: object,
        values: VariableValues,
        **options: Any,
    ) -> MutationExecutor:
        """As `build`, for variables that have been coerced."""
        fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        return cls(
            schema,
            fragments,
            {name: FragmentDetails(node) for name, node in fragments.items()},
            None,
            context,
            definition,
            values,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            **options,
        )

    async def run(self) -> ExecutionResult:
        """What the operation came to."""
        try:
            result: Any = self.execute_operation()
            found: ExecutionResult = await result if self.is_awaitable(result) else result
            return found
        finally:
            # Methods of its own are in there: without that cycle nothing is left to the collector.
            del self.async_helpers

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        step = (return_type, field_details_list, info, path, result, position_context)
        # From within here, graphql-core asks again for what a type that is not null wraps.
        is_whole = path.prev is None and return_type is info.return_type
        plan = self._plan.fields.get(str(path.key)) if is_whole else None
        return self._complete(plan, result, step) if plan else super().complete_value(*step)

    async def _complete(self, plan: Plan, result: Any, step: tuple[Any, ...]) -> Any:
        try:
            return await plan.finish(result, self.context_value, self.variable_values)
        except Unfit:
            self._unfit()
        completed = super().complete_value(*step)
        return await completed if self.is_awaitable(completed) else completed
