"""Expressions handed to DynamoDB are constants with placeholders: what a client sends can fill
one, and never become part of one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("composition", "datasources", "resolvers", "schema", "streams")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)

# Where the constructors of `datasources.writes` take an expression.
CONSTRUCTORS = {"Condition": 0, "Update": 1}
WORDS = """AND OR NOT BETWEEN IN SET REMOVE ADD DELETE attribute_exists attribute_not_exists
    attribute_type begins_with contains size if_not_exists list_append""".split()
# Where a value could stand in the text of a request: PartiQL, and the parameters of old that
# expressions have replaced.
STATEMENTS = {"execute_statement", "batch_execute_statement", "execute_transaction"}
LEGACY = """AttributesToGet AttributeUpdates ConditionalOperator Expected KeyConditions QueryFilter
    ScanFilter Statement Statements""".split()
PLACEHOLDERS = re.compile(rf"(#\w+(\[\d\])?|:\w+|\b({'|'.join(WORDS)})\b|[\s=<>(),+-])*")


def handed_over(tree: ast.AST) -> Iterator[ast.expr]:
    """What stands where DynamoDB or `datasources.writes` takes an expression."""
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys, values):
                for key, value in zip(keys, values, strict=True):
                    if is_named(key):
                        yield value
            case ast.Assign([ast.Subscript(slice=key)], value):
                if is_named(key):
                    yield value
            case ast.Call(ast.Name(name), arguments, keywords):
                yield from (k.value for k in keywords if (k.arg or "").endswith("Expression"))
                if name in CONSTRUCTORS:
                    yield from arguments[CONSTRUCTORS[name] : CONSTRUCTORS[name] + 1]
                    yield from (k.value for k in keywords if k.arg == "expression")
            case ast.Call(_, [key, value], []) if is_named(key):  # setdefault and its like
                yield value
            case ast.Call(_, _, keywords):
                yield from (k.value for k in keywords if (k.arg or "").endswith("Expression"))


def is_named(key: ast.expr | None) -> bool:
    """Whether a key is the name of a parameter that takes an expression, or ends as one."""
    match key:
        case ast.Constant(str(name)):
            return name.endswith("Expression")
        case ast.JoinedStr([*_, last]):
            return is_named(last)
        case ast.BinOp(_, ast.Add(), last):
            return is_named(last)
    return False


def texts(node: ast.expr, tree: ast.AST, constants: Mapping[str, object]) -> Iterator[str | None]:
    """Every text that the node can come to; None for what is no constant."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(_, chosen, other):
            yield from texts(chosen, tree, constants)
            yield from texts(other, tree, constants)
        case ast.Subscript(ast.Name() as whole):
            yield from texts(whole, tree, constants)
        case ast.Name(name):
            values = list(bound_in_functions(name, tree))
            for value in values:
                yield from texts(value, tree, constants) if value else [None]
            if not values:
                yield from made_at_import(constants.get(name))
        # Of a Condition or an Update, whose constructors are looked at themselves.
        case ast.Attribute(ast.Name("condition" | "action"), "expression"):
            return
        case _:
            yield None


def made_at_import(value: object) -> Iterator[str | None]:
    """A module's constant is there before any client is."""
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from made_at_import(inner)
        case _:
            yield None


def bound_in_functions(name: str, tree: ast.AST) -> Iterator[ast.expr | None]:
    """What functions bind a name to; None where that is an argument or is added to."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    for function in (n for n in ast.walk(tree) if isinstance(n, functions)):
        for node in ast.walk(function):
            match node:
                case ast.arg(found) | ast.AugAssign(ast.Name(found)) if found == name:
                    yield None
                case ast.Assign([ast.Name(found)], value) if found == name:
                    yield value
                case ast.AnnAssign(ast.Name(found), _, value) if found == name and value:
                    yield value


def expressions(source: str, constants: Mapping[str, object]) -> list[str | None]:
    tree = ast.parse(source)
    return [text for node in handed_over(tree) for text in texts(node, tree, constants)]


def expressions_of(path: Path) -> list[str | None]:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return expressions(path.read_text(), vars(import_module(name.removesuffix(".__init__"))))


def put_into_text(tree: ast.AST) -> list[str]:
    """Calls and parameters by which a request is more than expressions and values."""
    found = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    found += [n.arg for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg]
    found += [str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    return [name for name in found if name in STATEMENTS or name in LEGACY]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_request_has_values_in_its_text(path: Path) -> None:
    assert put_into_text(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "client.execute_statement(**parameters)",
        "client.query(KeyConditions=given)",
        'parameters["ScanFilter"] = given',
        "getattr(client, 'execute_transaction')",
    ],
)
def test_a_request_with_values_in_its_text_is_noticed(source: str) -> None:
    assert put_into_text(ast.parse(source)) != []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_expression_is_a_constant_of_placeholders(path: Path) -> None:
    found = expressions_of(path)

    assert None not in found
    assert [text for text in found if not PLACEHOLDERS.fullmatch(text or "")] == []


def test_the_expressions_of_the_shop_are_found() -> None:
    found = {path.stem for path in SOURCES if expressions_of(path)}

    assert {"table", "writes", "users", "categories", "products", "reviews", "idempotency"} <= found
    assert len(expressions_of(ROOT / "datasources" / "products.py")) >= 7


@pytest.mark.parametrize(
    "source",
    [
        'query(KeyConditionExpression=f"#pk = {pk}")',
        'client.query(FilterExpression="#a = %s" % value)',
        'x["ConditionExpression"] = "#a = {}".format(value)',
        'Condition("#a = " + value)',
        'Update(key, "SET #a = :a" + more, {}, {})',
        "Update(key, expression=given, names={}, values={})",
        'found = {"UpdateExpression": " ".join(parts)}',
        'def f():\n  text = "#a = :a"\n  text += more\n  Condition(text)',
        'def f():\n  text = "#a = :a" if x else given\n  Condition(text)',
        "def f(CONSTANT):\n  Condition(CONSTANT)",
        'Condition(SHAPES.get(kind, "#a = :a"))',
        "async def f(CONSTANT):\n  Condition(CONSTANT)",
        'x.setdefault("FilterExpression", given)',
        'x[f"{kind}Expression"] = given',
        'x["Filter" + "Expression"] = given',
        'query(**{"FilterExpression": given})',
    ],
)
def test_an_expression_that_is_put_together_is_noticed(source: str) -> None:
    assert None in expressions(source, {"CONSTANT": "#a = :a"})


@pytest.mark.parametrize("text", ["version = :read", "#a = 'x'", "#a = 1", "DROP TABLE"])
def test_a_name_or_a_value_inside_an_expression_is_noticed(text: str) -> None:
    assert not PLACEHOLDERS.fullmatch(text)
