"""The rules of the tree: imports go one way, one module knows the SDK, and one the keys."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Who may import whom: each those that stand before it.
LAYERS = ("datasources", "streams", "resolvers", "schema", "composition", "server")
SDK = ("boto3", "botocore", "aiobotocore")
SDK_MAY_BE_IN = ("datasources", "streams")
SDK_CLIENT = "datasources/client.py"
KEYS = "datasources/keys.py"

# "#USER#", "ORDER#", the name of a key attribute; "#name" stands for an attribute in expressions.
KEY = re.compile(r"#[A-Z]|[A-Z]#|^(PK|SK|GSI[0-9]+(PK|SK)?)$")


def sources() -> list[Path]:
    folders = [ROOT / name for name in (*LAYERS, "settings")]
    inside = [p for f in folders for p in f.rglob("*.py") if "node_modules" not in p.parts]
    return [ROOT / "server.py", *inside]


def faults(path: str, text: str) -> list[str]:
    """The rules that a module breaks, each with its line."""
    tree = ast.parse(text)
    found = [
        f"{path}:{line}: {why}"
        for line, name, is_typing in imports(tree)
        for why in import_faults(path, name, is_typing)
    ]
    if path != KEYS:
        found += [f"{path}:{line}: builds the key {piece!r}" for line, piece in keys(tree)]
    return found


def import_faults(path: str, name: str, is_typing: bool) -> Iterator[str]:
    own, top = layer(path), name.partition(".")[0]
    if top in LAYERS and own in LAYERS and LAYERS.index(top) > LAYERS.index(own):
        yield f"imports {name}, which stands above {own}"
    if top == "settings" and own not in {"server", "composition", "settings"}:
        yield "imports settings, which is for the composition root alone"
    if top == "tests":
        yield f"imports {name}"
    if top == "aioboto3" and path != SDK_CLIENT:
        yield f"imports aioboto3, which is for {SDK_CLIENT} alone"
    if top in SDK and own not in SDK_MAY_BE_IN:
        yield f"imports {name}, which is for {' and '.join(SDK_MAY_BE_IN)}"
    if top.startswith("types_") and not is_typing:
        yield f"imports {name}, which is not installed where the service runs"


def layer(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")


def imports(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line, absolute name, and whether only type checkers see it, of every import anywhere."""
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, node in typing
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or "", node in typing


def keys(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Strings that look like keys or parts of one; docstrings are no strings in this sense."""
    prose = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for piece in node.values[1:]:
                # What joins two values: f"{created}#{product_id}".
                if isinstance(piece, ast.Constant) and str(piece.value).startswith("#"):
                    yield node.lineno, ast.unparse(node)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in prose
            and KEY.search(node.value)
        ):
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_keeps_the_rules(path: Path) -> None:
    assert faults(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) == []


def test_all_layers_are_looked_at() -> None:
    found = {layer(path.relative_to(ROOT).as_posix()) for path in sources()}
    assert found >= {"datasources", "resolvers", "schema", "server", "settings"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("datasources/users.py", "from resolvers import users"),
        ("datasources/users.py", "import streams.reader"),
        ("streams/reader.py", "from resolvers.money import Currency"),
        ("resolvers/users.py", "def f():\n    from schema.users import User"),
        ("resolvers/users.py", "if TYPE_CHECKING:\n    from schema.users import User"),
        ("schema/app.py", "import server"),
        ("schema/app.py", "from settings import Settings"),
        ("datasources/users.py", "import settings"),
        ("resolvers/users.py", "from tests.support import items"),
        ("datasources/table.py", "import aioboto3"),
        ("server.py", "import aioboto3"),
        ("resolvers/users.py", "from botocore.exceptions import ClientError"),
        ("server.py", "import botocore"),
        ("resolvers/context.py", "from types_aiobotocore_dynamodb import DynamoDBClient"),
        ("datasources/users.py", 'pk = f"{tenant}#USER#{user}"'),
        ("datasources/users.py", 'sk = f"{created}#{user}"'),
        ("datasources/users.py", 'sk = "ORDER#" + order'),
        ("datasources/users.py", 'row["GSI2PK"]'),
        ("streams/changes.py", 'row["PK"]'),
    ],
)
def test_a_broken_rule_is_seen(path: str, text: str) -> None:
    assert faults(path, text) != []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("server.py", "from settings import Settings\nfrom schema.app import build_app"),
        ("settings/reading.py", "from settings.declared import Settings"),
        ("schema/app.py", "from datasources.items import User"),
        ("schema/app.py", "from schema.build import build_schema"),
        ("datasources/client.py", "import aioboto3"),
        ("streams/sinks.py", "from botocore.exceptions import ClientError"),
        ("resolvers/a.py", "if TYPE_CHECKING:\n    import types_aiobotocore_dynamodb"),
        ("resolvers/a.py", '"""Stands at `t#USER#u`."""'),
        ("datasources/table.py", 'condition = f"#{name} = :{name} AND #pk = :pk"'),
        ("datasources/keys.py", 'pk = f"{tenant}#USER#{user}"'),
    ],
)
def test_what_is_allowed_is_no_fault(path: str, text: str) -> None:
    assert faults(path, text) == []
