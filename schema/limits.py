"""What a document may be and may cost, known before it runs.

The cost is what it could come to at most: one for every object that has to be read, times the
size of the lists it stands in. Values inside an object (money, an address, the lines of an
order) are read with it and free. The weights stand in `schema/weights.py`.
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

from schema.weights import (
    CONNECTION,
    DEFAULT_SIZE,
    GIVEN_LISTS,
    LARGEST_SIZE,
    LISTS,
    OBJECT,
    PAGE_SIZES,
    SIZING,
)

_MOST_OPERATIONS = 1_000
_MOST_COSTS = 100  # of one operation

# A document of few tokens can cost more than any machine counts to; JSON's numbers are exact
# up to here, and no limit lies beyond.
MOST = 2**53 - 1


_Parent = GraphQLObjectType | GraphQLInterfaceType


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may have at most, in all its operations. What stands in a fragment counts
    in each place where that is spread; `{viewer{id}}` is 2 deep. Introspection has a depth of its
    own, and a document with some may have so many fields of either sort: the queries of the usual
    tools are 15 deep and have 232."""

    tokens: int = 1_000
    characters: int = 15_000
    depth: int = 10
    aliases: int = 15
    fields: int = 200
    directives: int = 10
    introspection_depth: int = 20
    introspection_fields: int = 250
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

    def forget(self, operation: OperationDefinitionNode) -> None:
        self._known.pop(id(operation), None)

    def path(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> list[str]:
        """Where most of the cost is: from the root, the dearest field of each level."""
        root = self._schema.get_root_type(operation.operation)
        return _Estimate(self._schema, document, variables).path(operation.selection_set, root)

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
            if node.name.value in SIZING and isinstance(node.value, VariableNode):
                found[node.value.name.value] = None

    visit(document, Sizes())
    return tuple(found)


def _size(value: object) -> object:
    return len(value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class _Dearest:
    """The field of a level that costs most, and its type; None where none costs anything."""

    cost: int = 0
    field: FieldNode | None = None
    type: GraphQLNamedType | None = None


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
        self._dearest_of: dict[str, _Dearest] = {}

    def selections(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> int:
        if selections is None or not isinstance(parent, _Parent):
            return 0
        return sum(self._selection(node, parent) for node in selections.selections)

    def path(self, selections: SelectionSetNode, parent: GraphQLNamedType | None) -> list[str]:
        path = []
        dearest = self._dearest(selections, parent)
        while dearest.field:
            path.append((dearest.field.alias or dearest.field.name).value)
            dearest = self._dearest(dearest.field.selection_set, dearest.type)
        return path

    def _dearest(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> _Dearest:
        """Of the fields of one level, those in fragments among them."""
        if selections is None or not isinstance(parent, _Parent):
            return _Dearest()
        found = (self._dear(node, parent) for node in selections.selections)
        return max(found, key=lambda each: each.cost, default=_Dearest())

    def _dear(self, node: object, parent: _Parent) -> _Dearest:
        match node:
            case FieldNode():
                field = parent.fields.get(node.name.value)
                if field and (cost := self._field(node, parent)):
                    return _Dearest(cost, node, get_named_type(field.type))
            case InlineFragmentNode():
                return self._dearest(node.selection_set, self._narrowed(node, parent))
            case FragmentSpreadNode():
                name = node.name.value
                if name not in self._dearest_of:
                    fragment = self._fragments[name]
                    inside = self._narrowed(fragment, parent)
                    self._dearest_of[name] = self._dearest(fragment.selection_set, inside)
                return self._dearest_of[name]
        return _Dearest()

    def _narrowed(
        self, node: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLNamedType
    ) -> GraphQLNamedType | None:
        narrowed = node.type_condition
        return self._schema.get_type(narrowed.name.value) if narrowed else parent

    def _selection(self, node: object, parent: _Parent) -> int:
        match node:
            case FieldNode():
                return self._field(node, parent)
            case InlineFragmentNode():
                return self.selections(node.selection_set, self._narrowed(node, parent))
            case FragmentSpreadNode():
                name = node.name.value
                if name not in self._weighed:
                    fragment = self._fragments[name]
                    inside = self._narrowed(fragment, parent)
                    self._weighed[name] = self.selections(fragment.selection_set, inside)
                return self._weighed[name]
        return 0

    def _field(self, node: FieldNode, parent: _Parent) -> int:
        field = parent.fields.get(node.name.value)
        if field is None:
            return 0
        inner = get_named_type(field.type)
        below = self.selections(node.selection_set, inner)
        if inner.name.endswith(CONNECTION):
            return self._page_size(node) * below
        return self._list_size(node, parent) * (below + OBJECT * _is_object(inner))

    def _page_size(self, node: FieldNode) -> int:
        given = [self._argument(node, name) for name in PAGE_SIZES]
        sizes = [size for size in given if isinstance(size, int)]
        # A size below zero is refused as it runs; here it must not pay for its neighbours.
        return max(0, min(max(sizes, default=DEFAULT_SIZE), LARGEST_SIZE))

    def _list_size(self, node: FieldNode, parent: GraphQLNamedType) -> int:
        name = (parent.name, node.name.value)
        if name in GIVEN_LISTS:
            given = self._argument(node, GIVEN_LISTS[name])
            return len(given) if isinstance(given, list | tuple) else 1
        return LISTS.get(name, 1)

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
