"""The values of an operation's variables, coerced as graphql-core does.

Most variables are IDs, texts and whole numbers, and come as what they are: for those there is
nothing to do but to look. Whatever else there is, or is wrong, is graphql-core's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from graphql import (
    GraphQLError,
    GraphQLID,
    GraphQLInt,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    VariableDefinitionNode,
    get_variable_values,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource

_MOST_OPERATIONS = 1_000
_MOST_ERRORS = 10


def _is_text(value: object) -> bool:
    return value.__class__ is str


def _is_whole(value: Any) -> bool:
    """Whether it is an Int, which has 32 bits."""
    return value.__class__ is int and -0x8000_0000 <= value < 0x8000_0000


# What a value is that coercion leaves as it is, by its type.
_PLAIN: dict[object, Callable[[Any], bool]] = {
    GraphQLID: _is_text,
    GraphQLString: _is_text,
    GraphQLInt: _is_whole,
}


_Variable = tuple[GraphQLVariableSignature, Callable[[Any], bool]]


class _Declared(NamedTuple):
    """What an operation declares: the signature and the check of each variable; None where there
    is one of another type. The operation is kept, so that no other can come to have its id."""

    operation: OperationDefinitionNode
    variables: tuple[_Variable, ...] | None


class VariableBook:
    """Coerces the variables of one schema, and remembers what operations declare."""

    def __init__(self, schema: GraphQLSchema, *, suggests: bool) -> None:
        self._schema = schema
        self._suggests = suggests
        self._known: dict[int, _Declared] = {}

    def coerce(
        self, operation: OperationDefinitionNode, given: Mapping[str, Any]
    ) -> VariableValues | list[GraphQLError]:
        """The values, or what is wrong with them."""
        return self._as_they_are(operation, given) or get_variable_values(
            self._schema,
            operation.variable_definitions or (),
            dict(given),
            max_errors=_MOST_ERRORS,
            hide_suggestions=not self._suggests,
        )

    def forget(self, operation: OperationDefinitionNode) -> None:
        self._known.pop(id(operation), None)

    def _as_they_are(
        self, operation: OperationDefinitionNode, given: Mapping[str, Any]
    ) -> VariableValues | None:
        """None where a variable is left out, or is of another type or class than the plain."""
        declared = self._known.get(id(operation)) or self._learn(operation)
        if declared.variables is None:
            return None
        sources, coerced = {}, {}
        for signature, is_plain in declared.variables:
            name = signature.name
            value = given.get(name)
            if not is_plain(value):
                return None
            sources[name] = VariableValueSource(signature, value)
            coerced[name] = value
        return VariableValues(sources, coerced)

    def _learn(self, operation: OperationDefinitionNode) -> _Declared:
        if len(self._known) >= _MOST_OPERATIONS:
            self._known.clear()
        nodes = operation.variable_definitions or ()
        found = [self._variable(node) for node in nodes]
        plain = tuple(each for each in found if each)
        declared = _Declared(operation, plain if len(plain) == len(found) else None)
        self._known[id(operation)] = declared
        return declared

    def _variable(self, node: VariableDefinitionNode) -> _Variable | None:
        signature = get_variable_signature(self._schema, node)
        if isinstance(signature, GraphQLError):
            return None
        kind = signature.type
        check = _PLAIN.get(kind.of_type if isinstance(kind, GraphQLNonNull) else kind)
        return check and (signature, check)
