"""What commands show."""

from __future__ import annotations

import asyncio
import json
import os
import unicodedata
from collections.abc import Iterator
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composition.terminal import agreed, aligned, as_json, as_table, printable, say

STEERING = "\x1b[31m\x07\x9b2J\u202egnp.exe\u2066\u2028\ufeff\r\n\t\x00\x7f"


def test_what_steers_a_terminal_is_shown_and_not_sent() -> None:
    assert printable("\x1b[2J\u202e") == "\\u001b[2J\\u202e"
    assert printable("太郎 (e\u0301) 😀\u3000x") == "太郎 (e\u0301) 😀\u3000x"
    assert printable("\U000e0001") == "\\udb40\\udc01"


@given(st.text())
def test_whatever_a_row_holds_nothing_of_it_steers(text: str) -> None:
    row = {text or "name": {"S": text}, "m": {"M": {text: {"L": [{"S": text}]}}}}

    shown = as_table([row], [text]) + as_json([row]) + printable(text)

    kinds = {unicodedata.category(each) for each in shown.replace("\n", "")}
    assert kinds.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def test_lines_for_a_person_are_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"no table {STEERING}")

    _, told = capsys.readouterr()
    assert told.endswith("\n")
    assert told[:-1].isprintable()


# --- rows -----------------------------------------------------------------------------------


def test_json_has_each_value_as_it_is() -> None:
    rows = [
        {
            "text": {"S": STEERING},
            "large": {"N": "12345678901234567890123456789012345678"},
            "exact": {"N": "1.10"},
            "odd": {"N": "Infinity"},
            "yes": {"BOOL": True},
            "none": {"NULL": True},
            "map": {"M": {"list": {"L": [{"N": "1"}, {"S": "x"}]}}},
            "numbers": {"NS": ["1", "2.5"]},
            "texts": {"SS": ["a"]},
            "bytes": {"B": b"\x00\xff"},
            "more": {"BS": [b"a"]},
        },
        {},
    ]

    shown = as_json(rows)

    assert '"exact":1.10' in shown
    assert json.loads(shown) == [
        {
            "text": STEERING,
            "large": 12345678901234567890123456789012345678,
            "exact": 1.1,
            "odd": "Infinity",
            "yes": True,
            "none": None,
            "map": {"list": [1, "x"]},
            "numbers": [1, 2.5],
            "texts": ["a"],
            "bytes": "AP8=",
            "more": ["YQ=="],
        },
        {},
    ]
    assert json.loads(as_json([])) == []


def test_a_table_has_keys_first_and_stands_straight_whatever_the_script() -> None:
    rows: list[dict[str, Any]] = [
        {"k": {"S": "key"}, "name": {"S": "太郎"}, "n": {"N": "5"}},
        {"k": {"S": "k"}, "name": {"S": "Hanako"}, "list": {"L": []}},
    ]

    assert as_table(rows, ["k", "s"]).split("\n") == [
        "k    list  n  name",
        "---  ----  -  ------",
        "key        5  太郎",
        "k    []       Hanako",
    ]


def test_a_wide_cell_is_cut_but_not_a_key() -> None:
    long = "長" * 50
    [_, _, line] = as_table([{"k": {"S": long}, "a": {"S": long}}], ["k"]).split("\n")

    key, cell = line.split()
    assert key == long
    assert cell == "長" * 19 + "…"


def test_nothing_is_no_table() -> None:
    assert as_table([], ["k"]) == ""
    assert aligned([]) == ""


# --- questions ------------------------------------------------------------------------------


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[str]]:
    """What is written here is typed at the terminal."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w") as typing:
        monkeypatch.setattr("sys.stdin", stdin)
        yield typing
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("text", "yes"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
async def test_only_yes_is_yes(
    typed: IO[str], capsys: pytest.CaptureFixture[str], text: str, yes: bool
) -> None:
    typed.write(text)
    typed.close()

    assert await agreed("Go on?") is yes
    assert capsys.readouterr().err == "cartograph: Go on? [y/N] "


async def test_a_question_can_be_left_unanswered(typed: IO[str]) -> None:
    asking = asyncio.ensure_future(agreed("Go on?"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
