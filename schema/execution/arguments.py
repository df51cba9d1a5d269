"""Arguments that are what a variable is, which is most of those that differ from run to run."""

from __future__ import annotations

from graphql import (
    FieldNode,
    GraphQLField,
    Undefined,
    VariableNode,
    get_nullable_type,
    is_leaf_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.field import StrawberryField


def direct_arguments(
    node: FieldNode,
    definition: GraphQLField,
    field: StrawberryField,
    converter: GraphQLCoreConverter,
) -> dict[str, str] | None:
    """The variables of a field's arguments, by the names that its resolver has for them; None
    where any argument is something else: a literal, a default, a list, an object."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    known = {converter.config.name_converter.from_argument(each): each for each in field.arguments}
    direct: dict[str, str] = {}
    for name, argument in definition.args.items():
        value = given.get(name)
        if value is None and argument.default_value is Undefined:
            continue
        is_plain = is_leaf_type(get_nullable_type(argument.type)) and name in known
        if not isinstance(value, VariableNode) or not is_plain:
            return None
        if not _is_taken_as_it_is(known[name], converter):
            return None
        direct[known[name].python_name] = value.name.value
    return direct


def _is_taken_as_it_is(argument: StrawberryArgument, converter: GraphQLCoreConverter) -> bool:
    """Whether Strawberry converts any value to itself."""
    value = object()
    try:
        registry, config = converter.scalar_registry, converter.config
        return convert_argument(value, argument.type, registry, config) is value
    except Exception:
        return False
