"""What a document may be and may cost, known before it runs.

The cost is what it could come to at most: one for every object that has to be read, times the
size of the lists it stands in. Values inside an object (money, an address, the lines of an
order) are read with it and free.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ArgumentNode,
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
    Visitor,
    get_named_type,
    visit,
)

from resolvers.connection import DEFAULT_SIZE, LARGEST_SIZE

# Lists inside an object, and how long they can be.
LIST_SIZES = {("Order", "items"): 50}

# The arguments that say how long a list is: of a connection, and of Query.nodes.
_PAGE_SIZES = ("first", "last")
_SIZES = {*_PAGE_SIZES, "ids"}

_MOST_OPERATIONS = 1_000
_MOST_COSTS = 100  # of one operation

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


class CostBook:
    """The costs of the operations of one schema: each is weighed once for all values of its
    variables but those that a page size or a list of IDs is given by."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[int, _Known] = OrderedDict()

    def find(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> int:
        """As `cost_of`."""
        known = self._of(document, operation)
        sizes = tuple(_size(variables.get(name)) for name in known.sizing)
        cost = known.costs.get(sizes)
        if cost is None:
            cost = cost_of(self._schema, document, operation, variables)
            if len(known.costs) < _MOST_COSTS:
                known.costs[sizes] = cost
        return cost

    def _of(self, document: DocumentNode, operation: OperationDefinitionNode) -> _Known:
        known = self._known.get(id(operation))
        if known is None:
            known = self._known[id(operation)] = _Known(operation, _sizing(document))
            if len(self._known) > _MOST_OPERATIONS:
                self._known.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class _Known:
    """One operation. It is kept here, so that no other can come to have its id."""

    operation: OperationDefinitionNode
    sizing: tuple[str, ...]
    costs: dict[tuple[object, ...], int] = field(default_factory=dict)


def _sizing(document: DocumentNode) -> tuple[str, ...]:
    """The variables that give the sizes of lists."""
    found: dict[str, None] = {}

    class Sizes(Visitor):
        def enter_argument(self, node: ArgumentNode, *_args: object) -> None:
            if node.name.value in _SIZES and isinstance(node.value, VariableNode):
                found[node.value.name.value] = None

    visit(document, Sizes())
    return tuple(found)


def _size(value: object) -> object:
    return len(value) if isinstance(value, list | tuple) else value


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
        given = [self._argument(node, name) for name in _PAGE_SIZES]
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
