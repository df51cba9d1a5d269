"""IDs: UUIDv7 in order of time, and which text is an ID at all."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.ids import is_slug, is_subject, is_uuid, uuid7

milliseconds = st.integers(0, 2**48 - 1)


def ones(bits: int) -> int:
    return (1 << bits) - 1


def zeros(_bits: int) -> int:
    return 0


@given(milliseconds)
def test_an_id_is_a_uuid_of_version_7_with_its_time(at: int) -> None:
    made = uuid7(at)
    parsed = uuid.UUID(made)
    assert is_uuid(made)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == at


@given(milliseconds, milliseconds)
def test_ids_are_in_order_of_time_whatever_the_chance(one: int, other: int) -> None:
    if one < other:
        assert uuid7(one, ones) < uuid7(other, zeros)


def test_ids_of_one_moment_differ() -> None:
    assert len({uuid7(1_700_000_000_000) for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("0190d9a0-0000-7000-8000-000000000001", True),
        ("0190D9A0-0000-7000-8000-000000000001", False),
        ("0190d9a0000070008000000000000001", False),
        ("{0190d9a0-0000-7000-8000-000000000001}", False),
        ("0190d9a0-0000-7000-8000-000000000001\n", False),
        ("", False),
    ],
)
def test_a_uuid_has_one_spelling(text: str, right: bool) -> None:
    assert is_uuid(text) is right


@pytest.mark.parametrize("slug", ["a", "home-garden", "a1-2-b", "x" * 64])
def test_groups_of_small_letters_and_digits_are_a_slug(slug: str) -> None:
    assert is_slug(slug)


@pytest.mark.parametrize(
    "text", ["", "A", "-a", "a-", "a--b", "a b", "a#b", "é", "x" * 65, "a\n", "²"]
)
def test_nothing_else_is_a_slug(text: str) -> None:
    assert not is_slug(text)


@pytest.mark.parametrize("subject", ["u", "auth0|507f", "太郎 田中", "#%:", "x" * 128])
def test_printable_text_is_a_subject(subject: str) -> None:
    assert is_subject(subject)


@pytest.mark.parametrize("text", ["", "x" * 129, "a\nb", "a\x00", "\ud800", "\U0010ffff"])
def test_nothing_else_is_a_subject(text: str) -> None:
    assert not is_subject(text)
