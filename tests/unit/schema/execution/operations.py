"""Random valid operations over the schema of the shop: aliases, merged fields, fragments,
directives, variables, lists, and arguments good and bad. The same number, the same operation."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    Undefined,
    get_named_type,
    is_leaf_type,
)

_TEXTS = ("user0@example.com", "electronics", "books", "NO-1", "nonsense", "")
_DEEPEST = 4
# How often an argument that may be left out is given.
_SHARE = {"first": 0.6, "last": 0.03, "after": 0.03, "before": 0.03}


class OperationMaker:
    def __init__(
        self,
        schema: GraphQLSchema,
        ids: Mapping[str, Sequence[str]],
        cursors: Sequence[str],
        seed: int,
    ) -> None:
        self._schema = schema
        self._ids = ids
        self._cursors = cursors
        self._random = random.Random(seed)  # noqa: S311 - made-up operations, no secrets
        self._wanted = ""  # the type of the field whose arguments are being made
        self._declared: list[str] = []
        self._fragments: dict[str, str] = {}
        self.variables: dict[str, Any] = {}

    def make(self, kind: OperationType = OperationType.QUERY) -> str:
        """The text of a document of one operation; its variables are in `variables`."""
        root = self._schema.get_root_type(kind)
        assert root is not None
        body = self._selections(root, 0)
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        head = f"{kind.value} {declared}" if declared or kind is not OperationType.QUERY else ""
        return "\n".join([head + body, *self._fragments.values()])

    def _chance(self, of: float) -> bool:
        return self._random.random() < of

    # --- selections ---------------------------------------------------------------------------

    def _selections(
        self, kind: GraphQLObjectType | GraphQLInterfaceType, depth: int, prefix: str = ""
    ) -> str:
        fields = [
            (name, field)
            for name, field in kind.fields.items()
            if depth < _DEEPEST or is_leaf_type(get_named_type(field.type))
        ]
        some = (
            self._random.choices(fields, k=self._random.choice((1, 1, 1, 2, 3))) if fields else []
        )
        lines = [self._field(name, field, depth, prefix) for name, field in some]
        if not lines or self._chance(0.15):
            lines.append(self._random.choice(("__typename", "kind_of_it: __typename")))
        if isinstance(kind, GraphQLInterfaceType):
            lines += [self._fragment(each, depth) for each in self._possible(kind)]
        elif self._chance(0.2):
            lines.append(self._fragment(kind, depth, prefix))
        return "{ " + " ".join(lines) + " }"

    def _possible(self, kind: GraphQLInterfaceType) -> list[GraphQLObjectType]:
        return [each for each in self._schema.get_possible_types(kind) if self._chance(0.3)]

    def _fragment(self, kind: GraphQLObjectType, depth: int, prefix: str | None = None) -> str:
        # What different types call by the same name may be of different types: not here.
        own = f"{kind.name}_" if prefix is None else prefix
        body = self._selections(kind, depth, own)
        if self._chance(0.5):
            condition = f"on {kind.name}" if prefix is None or self._chance(0.5) else ""
            return f"... {condition}{self._directives()} {body}"
        name = f"Fragment{len(self._fragments)}"
        self._fragments[name] = f"fragment {name} on {kind.name} {body}"
        return f"...{name}{self._directives()}"

    def _field(self, name: str, field: GraphQLField, depth: int, prefix: str) -> str:
        arguments = self._arguments(field)
        inner = get_named_type(field.type)
        below = ""
        if isinstance(inner, GraphQLObjectType | GraphQLInterfaceType):
            below = " " + self._selections(inner, depth + 1)
        # A name for each set of arguments, so that the same names can always be merged.
        key = f"{prefix}{name}" if prefix or arguments or self._chance(0.2) else ""
        if arguments:
            key += f"_{zlib.crc32(arguments.encode())}"
        elif key == name:
            key = f"my_{name}"
        alias = f"{key}: " if key else ""
        return f"{alias}{name}{arguments}{self._directives()}{below}"

    def _directives(self) -> str:
        if not self._chance(0.12):
            return ""
        value = self._chance(0.5)
        written = self._variable("Boolean!", value) if self._chance(0.6) else json.dumps(value)
        return f" @{self._random.choice(('skip', 'include'))}(if: {written})"

    # --- arguments ----------------------------------------------------------------------------

    def _arguments(self, field: GraphQLField) -> str:
        given = []
        for name, argument in field.args.items():
            needed = isinstance(argument.type, GraphQLNonNull) and (
                argument.default_value is Undefined
            )
            if needed or self._chance(_SHARE.get(name, 0.12)):
                self._wanted = get_named_type(field.type).name
                given.append(f"{name}: {self._argument(name, argument)}")
        return f"({', '.join(given)})" if given else ""

    def _argument(self, name: str, argument: GraphQLArgument) -> str:
        value = self._value(argument.type, name)
        if not self._chance(0.3):
            return _literal(argument.type, value)
        kind = str(argument.type)
        if argument.default_value is not Undefined and self._chance(0.5):
            # Allowed for the sake of the default; a null is then an error as the field runs.
            return self._variable(kind.removesuffix("!"), self._random.choice((value, None)))
        if not kind.endswith("!") and self._chance(0.2):
            name = self._variable(kind, value)
            del self.variables[name[1:]]  # declared, and not given
            return name
        return self._variable(kind, value)

    def _variable(self, kind: str, value: Any) -> str:
        name = f"v{len(self._declared)}"
        self._declared.append(f"${name}: {kind}")
        self.variables[name] = value
        return f"${name}"

    def _value(self, kind: Any, name: str) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type, name)
        if isinstance(kind, GraphQLList):
            return [self._value(kind.of_type, name) for _ in range(self._random.randint(0, 6))]
        if isinstance(kind, GraphQLInputObjectType):
            return {
                each: self._value(field.type, each)
                for each, field in kind.fields.items()
                if self._chance(0.6)
            }
        if isinstance(kind, GraphQLEnumType):
            return self._random.choice(list(kind.values))
        return self._scalar(kind, name)

    def _id(self, kind: str) -> str:
        if self._chance(0.03):
            return self._random.choice(("nonsense", ""))
        if kind not in self._ids or self._chance(0.03):
            kind = self._random.choice(list(self._ids))
        return self._random.choice(self._ids[kind])

    def _scalar(self, kind: GraphQLNamedType, name: str) -> Any:
        match kind.name, name:
            case "ID", _:
                return self._id("Category" if name == "categoryId" else self._wanted)
            case "Int", _:
                return self._random.choice((1, 2, 3, 4, 5) if self._chance(0.97) else (0, 101))
            case "Decimal", _:
                return self._random.choice(("0", "1002", "1005", "3.5"))
            case "DateTime", _:
                return self._random.choice(("2026-11-20T00:00:00Z", "2026-11-21T00:00:00+09:00"))
            case "String", "after" | "before":
                return self._random.choice(self._cursors)
        return self._random.choice(_TEXTS)


def _literal(kind: Any, value: Any) -> str:
    if isinstance(kind, GraphQLNonNull):
        return _literal(kind.of_type, value)
    if isinstance(kind, GraphQLList):
        return "[" + ", ".join(_literal(kind.of_type, each) for each in value) + "]"
    if isinstance(kind, GraphQLInputObjectType):
        pairs = (f"{key}: {_literal(kind.fields[key].type, each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    return value if isinstance(kind, GraphQLEnumType) else json.dumps(value)
