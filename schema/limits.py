"""What a document may be and may cost, known before it runs.

The cost is what it could come to at most: one for every object that has to be read, times the
size of the lists it stands in. Values inside an object (money, an address, the lines of an
order) are read with it and free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from resolvers.connection import DEFAULT_SIZE, LARGEST_SIZE

# Lists inside an object, and how long they can be.
LIST_SIZES = {("Order", "items"): 50}

# A document of few tokens can cost more than any machine counts to; JSON's numbers are exact
# up to here, and no limit lies beyond.
MOST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    tokens: int = 1_000
    characters: int = 15_000
    cost: int = 5_000


def cost_of(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> int:
    """The cost of a valid operation with its variables, as they were coerced."""
    root = schema.get_root_type(operation.operation)
    cost = _Estimate(schema, document, variables).selections(operation.selection_set, root)
    return min(cost, MOST)


class _Estimate:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        # A fragment is weighed once: spread in spread, walking each use would be exponential.
        self._weighed: dict[str, int] = {}

    def selections(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> int:
        if selections is None or not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return 0
        return sum(self._selection(node, parent) for node in selections.selections)

    def _selection(self, node: object, parent: GraphQLObjectType | GraphQLInterfaceType) -> int:
        match node:
            case FieldNode():
                return self._field(node, parent)
            case InlineFragmentNode():
                narrowed = node.type_condition
                inside = self._schema.get_type(narrowed.name.value) if narrowed else parent
                return self.selections(node.selection_set, inside)
            case FragmentSpreadNode():
                return self._spread(node.name.value)
        return 0

    def _spread(self, name: str) -> int:
        if name not in self._weighed:
            fragment = self._fragments[name]
            narrowed = self._schema.get_type(fragment.type_condition.name.value)
            self._weighed[name] = self.selections(fragment.selection_set, narrowed)
        return self._weighed[name]

    def _field(self, node: FieldNode, parent: GraphQLObjectType | GraphQLInterfaceType) -> int:
        field = parent.fields.get(node.name.value)
        if field is None:
            return 0
        inner = get_named_type(field.type)
        below = self.selections(node.selection_set, inner)
        if inner.name.endswith("Connection"):
            return self._page_size(node) * below
        return self._list_size(node, parent) * (below + _is_object(inner))

    def _page_size(self, node: FieldNode) -> int:
        given = [self._argument(node, name) for name in ("first", "last")]
        sizes = [size for size in given if isinstance(size, int)]
        # A size below zero is refused as it runs; here it must not pay for its neighbours.
        return max(0, min(max(sizes, default=DEFAULT_SIZE), LARGEST_SIZE))

    def _list_size(self, node: FieldNode, parent: GraphQLNamedType) -> int:
        if (parent.name, node.name.value) == ("Query", "nodes"):
            ids = self._argument(node, "ids")
            return len(ids) if isinstance(ids, list | tuple) else 1
        return LIST_SIZES.get((parent.name, node.name.value), 1)

    def _argument(self, node: FieldNode, name: str) -> object:
        for argument in node.arguments or ():
            if argument.name.value == name:
                return self._value(argument.value)
        return None

    def _value(self, node: object) -> object:
        match node:
            case IntValueNode():
                return int(node.value)
            case ListValueNode():
                return node.values
            case VariableNode():
                return self._variables.get(node.name.value)
        return None


def _is_object(kind: GraphQLNamedType) -> bool:
    """Whether a type stands for an object of its own row: a Node."""
    if isinstance(kind, GraphQLObjectType):
        return any(interface.name == "Node" for interface in kind.interfaces)
    return kind.name == "Node"
