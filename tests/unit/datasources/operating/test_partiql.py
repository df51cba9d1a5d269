"""Statements: what is taken, what is refused, and which attributes a condition holds."""

from __future__ import annotations

import string
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.errors import ConfigurationError
from datasources.operating.partiql import LONGEST, parse

WHERE = 'SELECT * FROM "shop" WHERE '


def held(condition: str) -> set[str]:
    return set(parse(WHERE + condition).held)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("SELECT * FROM shop", ("shop", None)),
        ('select a, b.c[0].d, "e f" from "shop-1" where a = \'x\'', ("shop-1", None)),
        ('SELECT * FROM "shop"."by name" WHERE a = 1', ("shop", "by name")),
        ("SELECT * FROM shop WHERE a = 'it''s' ORDER BY b DESC, c ASC, d", ("shop", None)),
        ("\n SELECT\t*\r\nFROM shop ", ("shop", None)),
    ],
)
def test_a_select_is_understood(text: str, source: tuple[str, str | None]) -> None:
    select = parse(text)

    assert (select.table, select.index) == source


@pytest.mark.parametrize(
    "condition",
    [
        "k = 'x'",
        '"k" = 5',
        "k = -1.5e3",
        "k = ?",
        "(k = 'x')",
        "((k = 'x') AND a = 1)",
        "k IN ['x', 'y']",
        "k IN ('x', ?)",
        "k = 'x' OR k = 'y'",
        "(k = 'x' OR k IN ['y']) AND a > 1",
        "k = 'x' AND begins_with(s, 'ORDER')",
        "k = 'x' AND s BETWEEN 'a' AND 'b'",
        "s BETWEEN 'a' AND 'b' AND k = 'x'",
        "a = 1 AND NOT (b = 2 OR a = 3) AND k = 'x'",
        "contains(a, 'x') AND attribute_type(b, 'S') AND k = 'x'",
        "size(a) > 3 AND a IS NOT MISSING AND b IS NULL AND k = 'x'",
        "a NOT IN [1, 2] AND k = 'x'",
        "a <> b AND k = 'x'",
    ],
)
def test_a_condition_that_holds_the_key_is_known_for_it(condition: str) -> None:
    assert "k" in held(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "a = 'x'",
        "K = 'x'",
        "k > 'x'",
        "k <> 'x'",
        "k = a",
        "k = k",
        "'x' = k",
        "k = MISSING",
        "k IN ['x', NULL]",
        "k = TRUE",
        "k NOT IN ['x']",
        "k IS NOT MISSING",
        "k BETWEEN 'x' AND 'x'",
        "begins_with(k, 'x')",
        "contains(k, 'x')",
        "size(k) = 3",
        "k = size(a)",
        "k.a = 'x'",
        "k[0] = 'x'",
        "a.k = 'x'",
        "NOT k = 'x'",
        "NOT (k = 'x')",
        "k = 'x' OR a = 1",
        "k = 'x' OR NOT k = 'y'",
        "(k = 'x' AND a = 1) OR (k = 'y' AND a = 2)",
        "a = 'k = ''x'''",
        "a = 1 OR k = 'x' AND b = 2",
        # DynamoDB filters no key attribute of a look-up: what it does instead, nobody says.
        "k = 'x' AND (k = 'y' OR a = 1)",
        "k = 'x' AND k > 'a'",
        "k = 'x' AND k = 'y'",
        "k = 'x' AND begins_with(k, 'x')",
        "begins_with(k, 'x') AND a = 1 AND k = 'x'",
        "a = 1 AND NOT (b = 2 OR k = 'y') AND k = 'x'",
        "k IN ['x'] AND k IS NOT MISSING",
        "k = 'x' AND k.a = 1",
        "k = 'x' AND a = k",
    ],
)
def test_a_condition_that_leaves_the_key_open_is_known_for_it(condition: str) -> None:
    assert "k" not in held(condition)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DELETE FROM shop WHERE k = 'x'",
        "UPDATE shop SET a = 1 WHERE k = 'x'",
        "INSERT INTO shop VALUE {'k': 'x'}",
        "EXISTS(SELECT * FROM shop WHERE k = 'x')",
        "SELECT * FROM shop; SELECT * FROM shop",
        "SELECT * FROM shop; DELETE FROM shop WHERE k = 'x'",
        "SELECT * FROM shop;;",
        "SELECT * FROM shop LIMIT 5",
        "SELECT * FROM shop -- WHERE",
        "SELECT * FROM shop /* WHERE */",
        "SELECT DISTINCT a FROM shop",
        "SELECT a AS b FROM shop",
        "SELECT count(a) FROM shop",
        "SELECT * FROM shop, other",
        "SELECT * FROM shop JOIN other",
        "SELECT * FROM shop.by_name",
        'SELECT * FROM "shop".by_name',
        'SELECT * FROM "a"."b"."c"',
        "SELECT * FROM (SELECT * FROM shop)",
        "SELECT * FROM shop WHERE",
        "SELECT * FROM shop WHERE k",
        "SELECT * FROM shop WHERE k = ",
        "SELECT * FROM shop WHERE k = 'x",
        "SELECT * FROM shop WHERE k = 'x' 'y'",
        "SELECT * FROM shop WHERE k = 'x' OR",
        "SELECT * FROM shop WHERE (k = 'x'",
        "SELECT * FROM shop WHERE k = 'x')",
        "SELECT * FROM shop WHERE k == 'x'",
        "SELECT * FROM shop WHERE k = a = b",
        "SELECT * FROM shop WHERE k = 1 + 1",
        "SELECT * FROM shop WHERE k = 1a",
        "SELECT * FROM shop WHERE k = 1.",
        "SELECT * FROM shop WHERE k = - 'x'",
        "SELECT * FROM shop WHERE k = {'a': 1}",
        "SELECT * FROM shop WHERE k = <<'a'>>",
        "SELECT * FROM shop WHERE k = `a`",
        "SELECT * FROM shop WHERE k IN []",
        "SELECT * FROM shop WHERE k IN ['x' 'y']",
        "SELECT * FROM shop WHERE k IN ['x')",
        "SELECT * FROM shop WHERE k LIKE 'x'",
        "SELECT * FROM shop WHERE shout(k, 'x')",
        'SELECT * FROM shop WHERE "a""b" = 1',
        'SELECT * FROM shop WHERE "" = 1',
        "SELECT * FROM shop WHERE k = 'x' ORDER a",
        "SELECT * FROM shop WHERE k\u00a0= 'x'",
        "SELECT * FROM shop WHERE \u212a = 'x'",
        "SELECT * FROM shop WHERE k = \u0661",
        "SELECT * FROM shop WHERE k\0= 'x'",
        WHERE + "(" * 60 + "k = 1" + ")" * 60,
        WHERE + "k = '" + "x" * LONGEST + "'",
    ],
    ids=lambda text: text[:60],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^The statement (is refused|has more)"):
        parse(text)


def test_a_refusal_quotes_nothing_of_the_statement() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse("SELECT * FROM shop WHERE swordfish = 'swordfish' swordfish")

    assert "swordfish" not in repr(refused.value)
    assert "character 50" in refused.value.message


def test_one_semicolon_at_the_end_is_let_pass_and_left_out() -> None:
    assert parse("SELECT * FROM shop ; ").text == "SELECT * FROM shop"


def test_parameters_are_counted_where_they_are_values() -> None:
    select = parse(WHERE + "k = ? AND a IN [?, '?'] AND b BETWEEN ? AND ? AND begins_with(c, ?)")

    assert select.parameters == 5


@pytest.mark.parametrize("value", [{"BOOL": True}, {"NULL": True}])
def test_a_parameter_that_no_key_can_be_leaves_the_key_open(value: dict[str, object]) -> None:
    text = {"S": "x"}
    assert parse(WHERE + "a = ? AND k = ?", [value, text]).held == {"k"}
    assert parse(WHERE + "a = ? AND k = ?", [text, value]).held == {"a"}
    assert parse(WHERE + "k IN [?, ?]", [text, value]).held == set()
    assert parse(WHERE + "k IN [?, ?]", [text, {"N": "5"}]).held == {"k"}


# Conditions with what they mean: whether they let a row through.
Condition = tuple[str, Callable[[dict[str, str]], bool]]

VALUES = "xyz"


def simple(name: str, value: str) -> Condition:
    return f"{name} = '{value}'", lambda row: row[name] == value


def listed(name: str, values: list[str]) -> Condition:
    texts = ", ".join(f"'{value}'" for value in values)
    return f"{name} IN [{texts}]", lambda row: row[name] in values


def less(name: str, value: str) -> Condition:
    return f"{name} < '{value}'", lambda row: row[name] < value


names = st.sampled_from("ka")
values = st.sampled_from(VALUES)
leaves = st.one_of(
    st.builds(simple, names, values),
    st.builds(listed, names, st.lists(values, min_size=1, max_size=2)),
    st.builds(less, names, values),
)


def negated(one: Condition) -> Condition:
    return f"NOT ({one[0]})", lambda row: not one[1](row)


def joined(one: Condition, other: Condition, *, both: bool) -> Condition:
    word = "AND" if both else "OR"
    meaning = (
        (lambda row: one[1](row) and other[1](row))
        if both
        else (lambda row: one[1](row) or other[1](row))
    )
    return f"({one[0]}) {word} ({other[0]})", meaning


conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(negated, inner), st.builds(joined, inner, inner, both=st.booleans())
    ),
    max_leaves=8,
)


@given(conditions)
def test_what_is_said_to_hold_the_key_lets_no_other_key_through(condition: Condition) -> None:
    text, lets_through = condition
    if "k" in held(text):
        # A key that no statement here names.
        assert not any(lets_through({"k": key, "a": a}) for key in ("", "~") for a in VALUES)


@given(st.text(alphabet=string.printable, max_size=60))
def test_whatever_is_typed_is_understood_or_refused(text: str) -> None:
    for statement in (text, WHERE[: -len("WHERE ")] + text, WHERE + text):
        with suppress(ConfigurationError):
            assert parse(statement).table == "shop"
