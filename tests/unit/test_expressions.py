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
# A name of `datasources.writes` itself, where the expressions of its objects go into requests.
OWN = "encode_action"
# Where a value could stand in the text of a request: PartiQL, and the parameters of old that
# expressions have replaced.
STATEMENTS = {"execute_statement", "batch_execute_statement", "execute_transaction"}
LEGACY = """AttributesToGet AttributeUpdates ConditionalOperator Expected KeyConditions QueryFilter
    ScanFilter Statement Statements""".split()
PLACEHOLDERS = re.compile(rf"(#\w+(\[\d\])?|:\w+|\b({'|'.join(WORDS)})\b|[\s=<>(),+-])*")


def handed_over(tree: ast.AST) -> Iterator[ast.expr | None]:
    """What stands where DynamoDB or `datasources.writes` takes an expression; None for one that
    cannot be looked at."""
    seen: set[ast.AST] = set()

    def at(key: ast.expr | None, value: ast.expr) -> Iterator[ast.expr]:
        if key and is_named(key):
            seen.add(key)
            yield value

    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys, values):
                for key, value in zip(keys, values, strict=True):
                    yield from at(key, value)
            case ast.Assign([ast.Subscript(slice=key)], value):
                yield from at(key, value)
            case ast.Call(called, arguments, keywords):
                # A keyword, setdefault and its like, or a constructor.
                yield from (k.value for k in keywords if (k.arg or "").endswith("xpression"))
                if len(arguments) == 2:
                    yield from at(*arguments)
                yield from of_constructor(called, arguments, keywords)
            case ast.alias(name, str()) if name in CONSTRUCTORS:
                yield None
            case ast.Assign(_, value) | ast.AnnAssign(_, _, value) if is_constructor(value):
                yield None
            case ast.ClassDef(bases=bases) if any(map(is_constructor, bases)):
                yield None
            case ast.Attribute(value) if is_constructor(value):
                yield None
    # The name of a parameter anywhere else: what it gets is not to be seen from here.
    rest = {id(part) for key in seen for part in ast.walk(key)} | documentation(tree)
    if any(isinstance(n, ast.expr) and is_named(n) and id(n) not in rest for n in ast.walk(tree)):
        yield None


def of_constructor(
    called: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword]
) -> Iterator[ast.expr | None]:
    if is_constructor(called):
        place = CONSTRUCTORS[called.id if isinstance(called, ast.Name) else name_of(called)]
        yield from arguments[place : place + 1]
        unpacked = [each for each in arguments[:place] if isinstance(each, ast.Starred)]
        if unpacked or any(k.arg is None for k in keywords):
            yield None
    elif is_of_any_class(called):
        yield None
    elif name_of(called) != "isinstance":
        handed_on = [*arguments, *(k.value for k in keywords)]
        yield from (None for each in handed_on if is_constructor(each))


def is_of_any_class(called: ast.expr) -> bool:
    """Whether it makes another object of a class that is not to be seen."""
    match called:
        case ast.Attribute(_, "__class__") | ast.Call(ast.Name("type"), [_]):
            return True
    return False


def is_constructor(node: ast.expr | None) -> bool:
    return name_of(node) in CONSTRUCTORS


def name_of(node: ast.expr | None) -> str:
    match node:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
    return ""


def documentation(tree: ast.AST) -> set[int]:
    """Texts that stand by themselves."""
    statements = (n.value for n in ast.walk(tree) if isinstance(n, ast.Expr))
    return {id(each) for each in statements if isinstance(each, ast.Constant)}


def is_named(key: ast.expr) -> bool:
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
        case ast.Subscript(ast.Name(name) as whole):
            yield from texts(whole, tree, constants)
            yield from (None for _ in added_to(name, tree))
        case ast.Name(name):
            values = list(bound_in_functions(name, tree))
            for value in values:
                yield from texts(value, tree, constants) if value else [None]
            if not values:
                yield from made_at_import(constants.get(name))
        # Of a Condition or an Update, whose constructors are looked at themselves.
        case ast.Attribute(ast.Name("condition" | "action"), "expression") if OWN in constants:
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
    """What functions bind a name to; None where that is not to be seen: an argument, what is
    added to, a part of something, the variable of a loop."""
    for node in in_functions(tree):
        match node:
            case ast.arg(found) if found == name:
                yield None
            case ast.Assign([ast.Name(found)], value) if found == name:
                yield value
            case ast.AnnAssign(ast.Name(found), _, value) if found == name and value:
                yield value
    plain = {id(target) for node in ast.walk(tree) for target in plain_targets(node)}
    for node in in_functions(tree):
        match node:
            case ast.Name(found, ast.Store()) if found == name and id(node) not in plain:
                yield None
            case ast.MatchAs(name=bound) | ast.MatchStar(name=bound) if bound == name:
                yield None
            case ast.ExceptHandler(name=bound) | ast.alias(asname=bound) if bound == name:
                yield None
            case ast.alias(name=bound, asname=None) if bound == name:
                yield None


def plain_targets(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign([ast.Name() as target]) | ast.AnnAssign(ast.Name() as target):
            return [target]
    return []


def added_to(name: str, tree: ast.AST) -> Iterator[ast.AST]:
    """Where functions change what a name stands for."""
    for node in in_functions(tree):
        match node:
            case ast.Subscript(ast.Name(found), _, ast.Store()) if found == name:
                yield node
            case ast.Call(ast.Attribute(ast.Name(found), "setdefault" | "update")) if found == name:
                yield node
            case ast.AugAssign(ast.Name(found)) if found == name:
                yield node


def in_functions(tree: ast.AST) -> Iterator[ast.AST]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    for function in (n for n in ast.walk(tree) if isinstance(n, functions)):
        yield from ast.walk(function)


def expressions(source: str, constants: Mapping[str, object]) -> list[str | None]:
    tree = ast.parse(source)
    return [
        text
        for node in handed_over(tree)
        for text in (texts(node, tree, constants) if node else [None])
    ]


def expressions_of(path: Path) -> list[str | None]:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    constants = vars(import_module(name.removesuffix(".__init__")))
    is_own = path == ROOT / "datasources" / "writes.py"
    return expressions(path.read_text(), constants if is_own else without(OWN, constants))


def without(name: str, constants: Mapping[str, object]) -> dict[str, object]:
    return {each: value for each, value in constants.items() if each != name}


def put_into_text(tree: ast.AST) -> list[str]:
    """Calls and parameters by which a request is more than expressions and values."""
    found = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    found += [n.arg for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg]
    found += [str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    return [name for name in found if name in STATEMENTS or name in LEGACY]


# Runs what a person types behind `cartograph partiql`, who may do at the table what they may.
TYPED = ROOT / "datasources" / "operating" / "statements.py"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_request_has_values_in_its_text(path: Path) -> None:
    allowed = ["execute_statement", "Statement"] if path == TYPED else []

    assert put_into_text(ast.parse(path.read_text())) == allowed


def test_what_is_typed_is_run_for_the_command_line_alone() -> None:
    importing = [path for path in SOURCES if "datasources.operating.statements" in path.read_text()]

    assert [path.relative_to(ROOT).as_posix() for path in importing] == [
        "composition/commands/partiql.py"
    ]


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

    assert {
        "queries",
        "writes",
        "users",
        "categories",
        "products",
        "reviews",
        "idempotency",
    } <= found
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
        'x["ProjectionExpression"] = ", ".join(names)',
        "client.update_item(UpdateExpression='SET #a = :a' if x else f'{given}')",
        # Constructors by another name, or with what cannot be counted.
        "writes.Condition(given)",
        "from datasources.writes import Condition as C",
        "C = Condition",
        "partial(Condition, given)",
        "list(map(Condition, given))",
        "make(kind=Update)",
        "Update(*given)",
        "Condition(**given)",
        "replace(update, expression=given)",
        "class Own(Condition):\n  pass",
        "Condition.__call__(given)",
        "type(condition)(given)",
        "condition.__class__(given)",
        # The name of a parameter where nobody looks for one.
        'x["FilterExpression"] += " AND #b = :b"',
        'x["FilterExpression"]: str = given',
        'y = x["FilterExpression"] = given',
        'x["FilterExpression"], y = given',
        'x.update([("FilterExpression", given)])',
        'setitem(x, "FilterExpression", given)',
        'KEY = "FilterExpression"\nx[KEY] = given',
        'x["%sExpression" % kind] = given',
        'x["{}Expression".format(kind)] = given',
        # What is no longer what it was when the module was made.
        "def f():\n  global CONSTANT\n  CONSTANT = given\n  Condition(CONSTANT)",
        "def f():\n  for CONSTANT in given:\n    Condition(CONSTANT)",
        "def f():\n  CONSTANT, x = given\n  Condition(CONSTANT)",
        "def f():\n  if CONSTANT := given:\n    Condition(CONSTANT)",
        "def f():\n  with given as CONSTANT:\n    Condition(CONSTANT)",
        "def f():\n  match given:\n    case CONSTANT:\n      Condition(CONSTANT)",
        "def f():\n  from given import CONSTANT\n  Condition(CONSTANT)",
        "def f():\n  import given as CONSTANT\n  Condition(CONSTANT)",
        "def f():\n  try:\n    g()\n  except E as CONSTANT:\n    Condition(CONSTANT)",
        'def f():\n  SHAPES["x"] = given\n  Condition(SHAPES["x"])',
        "def f():\n  SHAPES.update(given)\n  Condition(SHAPES[1])",
        "def f(condition):\n  query(FilterExpression=condition.expression)",
    ],
)
def test_an_expression_that_is_put_together_is_noticed(source: str) -> None:
    assert None in expressions(source, {"CONSTANT": "#a = :a", "SHAPES": {"x": "#a = :a"}})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('query(FilterExpression="#a = :a")', ["#a = :a"]),
        ('x["FilterExpression"] = CONSTANT', ["#a = :a"]),
        ('Update(key, SHAPES[kind], {}, {}, Condition("#b = :b"))', ["#a = :a", "#b = :b"]),
        ('def f():\n  text = "#b = :b"\n  Condition(text)', ["#b = :b"]),
        ("def f(action):\n  return isinstance(action, Update)", []),
        ('def f():\n  "Fills an Expression"', []),
    ],
)
def test_an_expression_that_is_a_constant_is_found_and_no_fault(
    source: str, found: list[str]
) -> None:
    constants = {"CONSTANT": "#a = :a", "SHAPES": {"x": "#a = :a"}}
    assert sorted(map(str, expressions(source, constants))) == found


@pytest.mark.parametrize("text", ["version = :read", "#a = 'x'", "#a = 1", "DROP TABLE"])
def test_a_name_or_a_value_inside_an_expression_is_noticed(text: str) -> None:
    assert not PLACEHOLDERS.fullmatch(text)
