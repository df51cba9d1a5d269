"""Documents that nobody would write: of the grammar and no schema, or of no grammar at all. The
same seed, the same document."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLSchema, OperationType, get_introspection_query

from tests.unit.schema.execution.operations import OperationMaker
from tests.unit.schema.hostile import documents

_ODD = (
    "\x00",
    "\ufeff",
    "\u2028",
    "\U0001f600",
    "\x7f",
    "\ufffd",
    "\u30ce",
    "\r",
    '"',
    '"""',
    "\\u{1}",
)
_TOKENS = (
    *("{", "}", "(", ")", "[", "]", ":", "=", "!", "|", "&", "@", "$", "...", ",", "#", '"'),
    *("on", "query", "mutation", "subscription", "fragment", "true", "null", "type", "extend"),
    *("@skip(if: true)", "@include(if: $v0)", "@defer", "@stream", "@oneOf", "__typename"),
    *("__schema", "__type", "1e9999", "-0", "0x", "9" * 400, '"\\uD83D"', '"""\n"""'),
)
_MOST_FRAGMENTS = 6


@dataclass(frozen=True)
class MadeUp:
    query: str
    variables: Mapping[str, Any]


class Inventor:
    """`ids` and `cursors` are of what there is."""

    def __init__(
        self, schema: GraphQLSchema, ids: Mapping[str, Sequence[str]], cursors: Sequence[str]
    ) -> None:
        self._schema = schema
        self._ids = ids
        self._cursors = cursors
        self._hostile = [text for _, text in documents()]
        types = [kind for name, kind in schema.type_map.items() if not name.startswith("__")]
        self._types = [kind.name for kind in types]
        self._names = sorted({name for kind in types for name in getattr(kind, "fields", ())})

    def invent(self, seed: int) -> MadeUp:
        source = random.Random(seed)  # noqa: S311 - made-up documents, no secrets
        kind = source.random()
        if kind < 0.45:
            made = self._valid(source, seed)
        elif kind < 0.85:
            made = MadeUp(_Grammar(source, self._names, self._types).document(), {"v0": True})
        elif kind < 0.97:
            made = MadeUp(source.choice(self._hostile), {})
        else:
            made = MadeUp(get_introspection_query(), {})
        return made if source.random() < 0.5 else self._spoilt(source, made)

    def _valid(self, source: random.Random, seed: int) -> MadeUp:
        maker = OperationMaker(self._schema, self._ids, self._cursors, seed)
        kinds = (OperationType.QUERY, OperationType.QUERY, *OperationType)
        return MadeUp(maker.make(source.choice(kinds)), maker.variables)

    def _spoilt(self, source: random.Random, made: MadeUp) -> MadeUp:
        text = made.query
        for _ in range(source.choice((1, 1, 1, 2, 5))):
            text = self._spoil(source, text)
        variables = dict(made.variables)
        for name in made.variables:
            if source.random() < 0.2:
                variables[name] = source.choice(
                    (None, "", 2**53, 1.5, [], [[None]], {"a": {"b": []}}, "\x00", True)
                )
        return MadeUp(text or " ", variables)

    def _spoil(self, source: random.Random, text: str) -> str:
        start, end = sorted(source.randrange(len(text) + 1) for _ in range(2))
        piece = text[start : min(end, start + 200)]
        where = source.randrange(len(text) + 1)
        match source.randrange(6):
            case 0:
                return text[:start] + text[start + len(piece) :]
            case 1:
                return text[:where] + piece * source.choice((1, 1, 2, 50)) + text[where:]
            case 2:
                return text[:where] + source.choice(_ODD) + text[where:]
            case 3:
                return text[:where] + source.choice(_TOKENS) + text[where:]
            case 4:
                old = source.choice(self._names)
                return text.replace(old, source.choice((*self._names, *self._types)), 1)
            case _:
                other = source.choice(self._hostile)
                return text[:where] + other[source.randrange(len(other)) :][:300]


class _Grammar:
    """Documents that parse, with names of the schema wherever they may or may not be."""

    def __init__(self, source: random.Random, names: Sequence[str], types: Sequence[str]) -> None:
        self._random = source
        self._names = names
        self._types = types

    def document(self) -> str:
        fragments = self._random.randrange(_MOST_FRAGMENTS)
        parts = [self._operation(n) for n in range(self._random.choice((1, 1, 1, 2, 4)))]
        parts += [
            f"fragment F{n} on {self._type()}{self._directives()}{self._selections(0)}"
            for n in range(fragments)
        ]
        self._random.shuffle(parts)
        return "\n".join(parts)

    def _operation(self, number: int) -> str:
        if number == 0 and self._chance(0.4):
            return self._selections(0)
        kind = self._random.choice(("query", "query", "mutation", "subscription"))
        declared = "".join(
            f"${self._variable()}: {self._type_reference()}"
            f"{f' = {self._value(0)}' if self._chance(0.2) else ''} "
            for _ in range(self._random.randrange(4))
        )
        variables = f"({declared})" if declared else ""
        return f"{kind} O{number}{variables}{self._directives()}{self._selections(0)}"

    def _selections(self, depth: int) -> str:
        count = self._random.choice((1, 1, 2, 3, 8))
        return "{" + " ".join(self._selection(depth) for _ in range(count)) + "}"

    def _selection(self, depth: int) -> str:
        kind = self._random.random()
        if kind < 0.15:
            return f"...F{self._random.randrange(_MOST_FRAGMENTS)}{self._directives()}"
        deeper = depth < 12 and self._chance(0.55)
        if kind < 0.3 and deeper:
            condition = f" on {self._type()}" if self._chance(0.6) else ""
            return f"...{condition}{self._directives()}{self._selections(depth + 1)}"
        alias = f"{self._name()}: " if self._chance(0.15) else ""
        below = self._selections(depth + 1) if deeper else ""
        return f"{alias}{self._name()}{self._arguments()}{self._directives()}{below}"

    def _arguments(self) -> str:
        if not self._chance(0.25):
            return ""
        given = [f"{self._name()}: {self._value(0)}" for _ in range(self._random.choice((1, 2)))]
        return f"({', '.join(given)})"

    def _directives(self) -> str:
        if not self._chance(0.08):
            return ""
        name = self._random.choice(("skip", "include", "deprecated", "nothing", "oneOf"))
        return f" @{name}(if: {self._value(2)})" if self._chance(0.8) else f" @{name}"

    def _value(self, depth: int) -> str:
        if depth < 3 and self._chance(0.3):
            inner = [self._value(depth + 1) for _ in range(self._random.randrange(4))]
            if self._chance(0.5):
                return f"[{' '.join(inner)}]"
            return "{" + " ".join(f"{self._name()}: {each}" for each in inner) + "}"
        plain = ("1", "-1", "1.5e3", '"x"', '"""x"""', "true", "null", "ACTIVE", "PRICE", "9" * 30)
        return self._random.choice((*plain, f"${self._variable()}"))

    def _type_reference(self) -> str:
        name = self._type()
        for _ in range(self._random.choice((0, 0, 1, 2))):
            name = f"[{name}]" if self._chance(0.5) or name.endswith("!") else f"{name}!"
        return name

    def _variable(self) -> str:
        return f"v{self._random.randrange(3)}"

    def _name(self) -> str:
        if self._chance(0.05):
            return self._random.choice(("nothing", "__typename", "__schema", "__type", "_"))
        return self._random.choice(self._names)

    def _type(self) -> str:
        return "Nothing" if self._chance(0.05) else self._random.choice(self._types)

    def _chance(self, of: float) -> bool:
        return self._random.random() < of
