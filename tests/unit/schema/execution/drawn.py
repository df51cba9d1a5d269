"""Valid operations over the schema of the shop as hypothesis-graphql draws them, wide and deep,
with arguments that have more of a chance to find something."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLNamedType,
    ListValueNode,
    NullValueNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    ValueNode,
    Visitor,
    get_named_type,
    is_required_argument,
    print_ast,
    visit,
)
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from tests.unit.schema.execution.judge import SCHEMA, ids

TEXTS = ("user0@example.com", "electronics", "books", "NO-1", "nonsense", "")
# How often an argument that may be left out is given: hypothesis-graphql gives each always, and
# no page has both a first and a last.
_SHARE = {"first": 0.6, "last": 0.05, "after": 0.05, "before": 0.05}

_SCALARS: dict[str, st.SearchStrategy[ValueNode]] = {
    "ID": st.sampled_from([each for some in ids().values() for each in some]).map(nodes.String),
    "String": st.sampled_from(TEXTS).map(nodes.String) | st.text(max_size=9).map(nodes.String),
    "Int": st.sampled_from((1, 2, 3, 4, 5) * 5 + (0, 101)).map(nodes.Int),
    "Decimal": st.sampled_from(("0", "1002", "1005", "3.5")).map(nodes.String),
    "DateTime": st.sampled_from(("2026-11-20T00:00:00Z", "2026-11-21T00:00:00+09:00")).map(
        nodes.String
    ),
}


@st.composite
def drawn(draw: st.DrawFn, cursors: Sequence[str]) -> str:
    """The text of a document of one query."""
    document = draw(queries(SCHEMA._schema, custom_scalars=_SCALARS, print_ast=_as_it_is))
    types = TypeInfo(SCHEMA._schema)
    fitting = _Fitting(types, draw(st.randoms(use_true_random=False)), cursors)
    return print_ast(visit(document, TypeInfoVisitor(types, fitting)))


def _as_it_is(document: DocumentNode) -> DocumentNode:
    return document


class _Fitting(Visitor):
    """Leaves out arguments that would only be in one another's way, and has most IDs be those of
    what is asked for."""

    def __init__(self, types: TypeInfo, random: Random, cursors: Sequence[str]) -> None:
        super().__init__()
        self._types = types
        self._random = random
        self._cursors = cursors

    def enter_field(self, node: FieldNode, *_args: Any) -> FieldNode:
        field = self._types.get_field_def()
        if field is None or not field.args:
            return node
        kind = get_named_type(field.type)
        given = [
            self._argument(each, kind)
            for each in node.arguments or ()
            if is_required_argument(field.args[each.name.value])
            or self._random.random() < _SHARE.get(each.name.value, 0.2)
        ]
        return FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=tuple(given),
            directives=node.directives,
            selection_set=node.selection_set,
        )

    def _argument(self, node: ArgumentNode, kind: GraphQLNamedType) -> ArgumentNode:
        name, value = node.name.value, node.value
        if isinstance(value, NullValueNode):
            return node
        if name in {"after", "before"}:
            value = self._one_of(self._cursors)
        elif name == "categoryId":
            value = self._one_of(ids()["Category"])
        elif name == "id" and kind.name in ids() and self._random.random() < 0.95:
            value = self._one_of(ids()[kind.name])
        elif isinstance(value, ListValueNode):
            value = ListValueNode(values=value.values[:6])
        return ArgumentNode(name=node.name, value=value)

    def _one_of(self, texts: Sequence[str]) -> StringValueNode:
        return nodes.String(self._random.choice(texts))
