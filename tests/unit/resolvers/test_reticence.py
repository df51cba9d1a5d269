"""What clients are told in words names nothing of the schema: where introspection is off, they
would learn what they were not told."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLSchema, build_schema

ROOT = Path(__file__).parents[3]
SOURCES = [*sorted((ROOT / "resolvers").rglob("*.py")), ROOT / "streams" / "journal.py"]
# Names that no English word is: of more words than one, or of capitals.
TELLING = re.compile(r"[a-z]+(?:[A-Z][a-z]*)+|[A-Z][A-Z_]{2,}")
# Both arguments were given.
SHOWN = {"goes without productId: one or the other."}


def names(schema: GraphQLSchema) -> set[str]:
    found = set()
    for kind in schema.type_map.values():
        match kind:
            case GraphQLEnumType(values=values):
                found |= values.keys()
            case GraphQLInputObjectType(fields=inputs):
                found |= inputs.keys()
            case _:
                for name, field in getattr(kind, "fields", {}).items():
                    found |= {name, *field.args}
    return found


NAMES = names(build_schema((ROOT / "schema" / "schema.graphql").read_text()))


def telling(source: str) -> list[str]:
    """The sentences in a module, but for those that explain it, that name something."""
    tree = ast.parse(source)
    explaining = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    sentences = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and id(node) not in explaining
        if isinstance(node.value, str) and " " in node.value
    )
    return [each for each in sentences if NAMES.intersection(TELLING.findall(each))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_sentence_names_anything_of_the_schema(path: Path) -> None:
    assert set(telling(path.read_text())) <= SHOWN


@pytest.mark.parametrize(
    "source",
    [
        "raise Forbidden('This needs an account: createUser makes one.')",
        "raise BadUserInput(name, f'needs a category: give categoryId, {name}')",
        "message = 'should be ACTIVE or so'",
    ],
)
def test_a_sentence_that_does_is_noticed(source: str) -> None:
    assert telling(source) != []
