"""Plans of the operations of one schema."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import strawberry
from graphql import DocumentNode, OperationDefinitionNode, OperationType
from graphql.execution.values import VariableValues

from schema.execution.compiler import Writer
from schema.execution.plan import MutationPlan, Plan
from schema.execution.values import Classes, NotPlanned


class Planner:
    """Compiles the operations of one schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._schema = schema
        self._classes = Classes()

    def plan(
        self,
        document: DocumentNode,
        definition: OperationDefinitionNode,
        values: VariableValues,
    ) -> Plan | MutationPlan:
        """The plan of a valid operation, good for all values of the variables that agree in those
        of its @skip and @include. Raises NotPlanned for what plans do not cover."""
        if self._schema.schema_converter._exception_handler_specs:
            raise NotPlanned("a schema that handles exceptions")
        writer = partial(Writer, self._schema, self._classes, document, definition, values)
        try:
            return self._plan(writer, definition.operation)
        except RecursionError:
            raise NotPlanned("an operation nested too deeply") from None
        except NotPlanned:
            raise
        except Exception as error:  # of an argument, a directive: as it runs, it will be told
            raise NotPlanned(repr(error)) from error

    def _plan(self, writer: Callable[[], Writer], kind: OperationType) -> Plan | MutationPlan:
        root = self._schema._schema.get_root_type(kind)
        if root is None:
            raise NotPlanned("no root type")
        selected = writer().selected(root)
        if kind is not OperationType.MUTATION:
            return writer().of_operation(root, selected)
        fields = {
            key: writer().of_field(root, details)
            for key, details in selected.items()
            if details[0].node.name.value in root.fields  # which __typename is not
        }
        return MutationPlan(fields)
