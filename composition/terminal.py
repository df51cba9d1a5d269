"""What commands show: to a terminal nothing is sent that could steer it."""

from __future__ import annotations

import asyncio
import re
import sys
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

Report = Callable[[str], None]

_WIDEST = 40  # columns of a cell
_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def say(line: str) -> None:
    """Tells a person, on stderr."""
    print(f"cartograph: {printable(line)}", file=sys.stderr, flush=True)  # noqa: T201


def show(line: str) -> None:
    """Gives what was asked for, on stdout."""
    print(line)  # noqa: T201


async def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes; waits so that Ctrl-C is heard meanwhile."""
    print(f"cartograph: {question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def printable(text: str) -> str:
    """The text with all that is not seen, or that moves what is, written as an escape: control
    characters, those that turn the direction of writing, line ends."""
    if text.isprintable():
        return text
    return "".join(_escaped(each) for each in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _STEERING:
        return character
    code = ord(character)
    if code > 0xFFFF:  # as JSON has it, so that what was JSON still is
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


# --- rows -----------------------------------------------------------------------------------


def plain(value: Mapping[str, Any]) -> Any:
    """An attribute value as JSON has it: numbers with all their digits, binary as base64."""
    [(kind, inner)] = value.items()
    match kind:
        case "N":
            return _number(inner)
        case "NULL":
            return None
        case "M":
            return {name: plain(each) for name, each in inner.items()}
        case "L":
            return [plain(each) for each in inner]
        case "NS":
            return [_number(each) for each in inner]
        case "B":
            return _base64(inner)
        case "BS":
            return [_base64(each) for each in inner]
        case _:
            return inner


def _number(text: str) -> object:
    return orjson.Fragment(text) if _NUMBER.fullmatch(text) else text


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of attribute values as a JSON list, a row to a line."""
    lines = [printable(_json(_plain_row(row))) for row in rows]
    return "[" + ",\n ".join(lines) + "]"


def as_table(rows: Sequence[Mapping[str, Any]], first: Sequence[str]) -> str:
    """Rows of attribute values as a table: what stands `first`, which is never cut, then by name;
    "" without rows."""
    names = {name for row in rows for name in row}
    columns = [name for name in first if name in names] + sorted(names - set(first))
    cells = [[_cell(row.get(name), whole=name in first) for name in columns] for row in rows]
    return aligned([[printable(name) for name in columns], *cells], ruled=True)


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _cell(value: Mapping[str, Any] | None, *, whole: bool) -> str:
    if value is None:
        return ""
    shown = plain(value)
    text = shown if isinstance(shown, str) else _json(shown)
    return printable(text) if whole else _fitted(text)


def aligned(lines: Sequence[Sequence[str]], *, ruled: bool = False) -> str:
    """Lines of cells, which are printable, below each other; `ruled`: a rule below the first."""
    if not lines or not lines[0]:
        return ""
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    shown = list(lines)
    if ruled:
        shown.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in shown
    )


def _fitted(text: str) -> str:
    """Printable, and cut where it is too wide for a cell."""
    text = printable(text[: _WIDEST + 1])
    if _width(text) <= _WIDEST:
        return text
    while _width(text) >= _WIDEST:
        text = text[:-1]
    return text + "…"


def _width(text: str) -> int:
    """Columns that it takes: letters of East Asia two, accents that go with a letter none."""
    return sum(
        0
        if unicodedata.combining(each)
        else 2
        if unicodedata.east_asian_width(each) in {"W", "F"}
        else 1
        for each in text
    )
