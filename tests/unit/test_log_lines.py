"""What lines of the log are filled with is held to a list: a line of the service's own is written
as it is, so that whatever else were to go in has to be looked at first."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from composition.logs import FIELDS

ROOT = Path(__file__).parents[2]
FOLDERS = ("composition", "datasources", "resolvers", "schema", "streams")
SOURCES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "node_modules" not in path.parts
]
LOGGERS = {"log", "_log"}
METHODS = {"critical", "debug", "error", "exception", "info", "log", "warning"}

# Everywhere: the name of a class, a number, a tenant of the settings, a place in a stream.
ANYWHERE = {"attempt", "number", "self.shard", "shard", "tenant", "type(error).__name__"}
# Texts of the service's own, names of its own, and IDs that stand for nobody.
SOMEWHERE = {
    "datasources/assumed.py": {"self._name", "error"},  # a tenant; what STS has against the role
    "datasources/breaker.py": {"self.name"},  # of a table
    "datasources/dax.py": {"operation"},  # DynamoDB's name for it
    "datasources/jwks.py": {"error"},  # what the provider's address did
    "datasources/listing.py": {"listing.binding[1]", "read"},  # a field of the schema
    "schema/errors.py": {"request_id"},
    "schema/execution/checks.py": {"name", "hashlib.sha256(text.encode()).hexdigest()"},
    "streams/dead_letters.py": {"letter.place", "letter.reaction", "letter.error"},
    "streams/outbox.py": {
        *("mail.kind", "mail.tenant", "mail.event_id"),
        *("event.type", "event.tenant", "event.event_id"),
    },
    "streams/patience.py": {"what"},
    "streams/reader.py": {"OTHERS", "lost.message"},
    "streams/redrive.py": {"error.message"},
    "streams/relay.py": {"replaced.message"},
    "streams/source.py": {"at or 'its beginning'"},
}


def faults(source: str, listed: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Attribute(ast.Name(name), method), arguments, keywords):
                if name in LOGGERS and method in METHODS:
                    given = arguments[1:] if method == "log" else arguments
                    yield from _faults(given, keywords, listed)


def _faults(
    arguments: list[ast.expr], keywords: list[ast.keyword], listed: set[str]
) -> Iterator[str]:
    message, *filled = arguments
    if not (isinstance(message, ast.Constant) and isinstance(message.value, str)):
        yield f"the message {ast.unparse(message)}"
    yield from (ast.unparse(each) for each in filled if ast.unparse(each) not in listed)
    yield from (f"{each.arg}=" for each in keywords if each.arg not in {"exc_info", "extra"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_line_is_filled_with_what_is_listed_alone(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert list(faults(path.read_text(), ANYWHERE | SOMEWHERE.get(name, set()))) == []


@pytest.mark.parametrize(
    "source",
    [
        "log.info(f'hello {user.email}')",
        "log.info('hello ' + name)",
        "_log.warning('hello %s', user)",
        "log.log(level, 'hello %s', error)",
        "log.exception('hello %s', error.args, exc_info=error)",
        "log.error('hello', stack_info=True)",
        "log.error(message)",
    ],
)
def test_what_is_not_listed_is_noticed(source: str) -> None:
    assert list(faults(source, ANYWHERE)) != []


def test_what_is_listed_is_no_fault() -> None:
    source = "log.warning('%s, attempt %d', type(error).__name__, attempt, exc_info=error)"
    assert list(faults(source, ANYWHERE)) == []


def test_the_fields_of_lines_are_names_and_figures() -> None:
    personal = {"email", "user", "user_id", "sub", "variables", "token", "cursor", "query", "data"}
    assert personal.isdisjoint(FIELDS)
