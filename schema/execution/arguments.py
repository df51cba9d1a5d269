"""Arguments that are what a variable is, which is most of those that differ from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_nullable_type,
    is_leaf_type,
)
from graphql.execution.values import get_argument_values
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument, convert_argument, convert_arguments
from strawberry.types.field import StrawberryField


class Direct(NamedTuple):
    """By the names that the resolver has for them: the variables that arguments are, and the values
    of those in which none stands."""

    variables: Mapping[str, str]
    fixed: Mapping[str, Any]


def direct_arguments(
    node: FieldNode,
    definition: GraphQLField,
    field: StrawberryField,
    converter: GraphQLCoreConverter,
) -> Direct | None:
    """The arguments of a field; None where a variable stands in a list or an object, or is one."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    known = {converter.config.name_converter.from_argument(each): each for each in field.arguments}
    variables: dict[str, str] = {}
    fixed = dict(definition.args)
    for name, value in given.items():
        if not has_variables(value):
            continue
        is_plain = is_leaf_type(get_nullable_type(fixed.pop(name).type)) and name in known
        if not isinstance(value, VariableNode) or not is_plain:
            return None
        if not _is_taken_as_it_is(known[name], converter):
            return None
        variables[known[name].python_name] = value.name.value
    registry, config = converter.scalar_registry, converter.config
    try:
        values = get_argument_values(GraphQLField(definition.type, fixed), node)
        return Direct(variables, convert_arguments(values, field.arguments, registry, config))
    except (GraphQLError, ValueError, TypeError):
        return None  # it is told when it runs


def has_variables(node: ValueNode) -> bool:
    if isinstance(node, ListValueNode):
        return any(map(has_variables, node.values))
    if isinstance(node, ObjectValueNode):
        return any(has_variables(each.value) for each in node.fields)
    return isinstance(node, VariableNode)


def _is_taken_as_it_is(argument: StrawberryArgument, converter: GraphQLCoreConverter) -> bool:
    """Whether Strawberry converts any value to itself."""
    value = object()
    try:
        registry, config = converter.scalar_registry, converter.config
        return convert_argument(value, argument.type, registry, config) is value
    except Exception:
        return False
