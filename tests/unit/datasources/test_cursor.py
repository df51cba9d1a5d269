"""Cursors: they open for the list they were made for, and for nothing else in the world."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datasources.cursor import CursorCodec

FIRST, SECOND = "the first of two secrets", "the second of two secrets"
CODEC = CursorCodec([FIRST])
BINDING = ("acme", "orders", "user-1", "")
POSITION = "2026-11-20T12:00:00.000Z#0190d9a0-0000-7000-8000-000000000001"
ALPHABET = string.ascii_letters + string.digits + "-_"

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
bindings = st.lists(words | st.just(""), max_size=5).map(tuple)


@given(words, bindings)
def test_a_cursor_opens_under_its_binding(position: str, binding: tuple[str, ...]) -> None:
    cursor = CODEC.seal(position, binding)
    assert set(cursor) <= set(ALPHABET)
    assert CODEC.open(cursor, binding) == position


@given(bindings, bindings)
def test_a_cursor_opens_under_no_other_binding(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assume(one != other)
    assert CODEC.open(CODEC.seal(POSITION, one), other) is None


@pytest.mark.parametrize(
    "other",
    [
        ("other", "orders", "user-1", ""),
        ("acme", "reviews", "user-1", ""),
        ("acme", "orders", "user-2", ""),
        ("acme", "orders", "user-1", "PAID"),
        ("acme", "orders", "", "user-1"),
        ("acme", "orders", "user-1"),
        ("acme", "orders", "user-1", "", ""),
        ("acmeorders", "user-1", ""),
        ("acme", "ordersuser-1", "", ""),
        (),
    ],
)
def test_tenant_list_parent_and_filter_are_each_bound(other: tuple[str, ...]) -> None:
    assert CODEC.open(CODEC.seal(POSITION, BINDING), other) is None


def test_every_changed_character_is_noticed() -> None:
    cursor = CODEC.seal(POSITION, BINDING)
    for at, right in enumerate(cursor):
        for wrong in {*ALPHABET, "=", " ", "\n", "é", "."} - {right}:
            assert CODEC.open(cursor[:at] + wrong + cursor[at + 1 :], BINDING) is None


@pytest.mark.parametrize("length", range(1, 7))
def test_every_changed_character_is_noticed_whatever_the_padding(length: int) -> None:
    cursor = CODEC.seal("x" * length, BINDING)
    for wrong in set(ALPHABET) - {cursor[-1]}:
        assert CODEC.open(cursor[:-1] + wrong, BINDING) is None


def test_every_removed_and_every_added_character_is_noticed() -> None:
    cursor = CODEC.seal(POSITION, BINDING)
    for at in range(len(cursor) + 1):
        if at < len(cursor):
            assert CODEC.open(cursor[:at] + cursor[at + 1 :], BINDING) is None
            assert CODEC.open(cursor[:at], BINDING) is None
        for more in "A_=\n ":
            assert CODEC.open(cursor[:at] + more + cursor[at:], BINDING) is None


def test_every_flipped_bit_is_noticed() -> None:
    sealed = bytearray(_bytes(CODEC.seal(POSITION, BINDING)))
    for bit in range(len(sealed) * 8):
        sealed[bit // 8] ^= 1 << bit % 8
        assert CODEC.open(_text(sealed), BINDING) is None
        sealed[bit // 8] ^= 1 << bit % 8
    assert CODEC.open(_text(sealed), BINDING) == POSITION


@given(st.text(max_size=60) | st.text(ALPHABET, max_size=200))
def test_made_up_text_is_no_cursor(text: str) -> None:
    assert CODEC.open(text, BINDING) is None


def test_endless_text_is_no_cursor() -> None:
    assert CODEC.open("A" * 5_000, BINDING) is None


def test_the_first_secret_seals_and_all_open() -> None:
    older = CursorCodec([SECOND]).seal(POSITION, BINDING)
    rotated = CursorCodec([FIRST, SECOND])
    assert rotated.open(older, BINDING) == POSITION
    assert rotated.seal(POSITION, BINDING) == CursorCodec([FIRST]).seal(POSITION, BINDING)
    assert CursorCodec([FIRST]).open(rotated.seal(POSITION, BINDING), BINDING) == POSITION


def test_a_secret_that_was_removed_opens_nothing() -> None:
    older = CursorCodec([SECOND]).seal(POSITION, BINDING)
    assert CursorCodec([FIRST]).open(older, BINDING) is None


def test_there_is_no_codec_without_a_secret() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CursorCodec([])


def test_the_same_row_has_the_same_cursor() -> None:
    assert CODEC.seal(POSITION, BINDING) == CursorCodec([FIRST]).seal(POSITION, BINDING)


@given(st.text(ALPHABET, min_size=4, max_size=60))
@settings(max_examples=50)
def test_nothing_of_a_key_can_be_read(position: str) -> None:
    sealed = _bytes(CODEC.seal(position, BINDING))
    pieces = [position[at : at + 4].encode() for at in range(len(position) - 3)]
    assert not any(piece in sealed for piece in pieces)
    assert not any(len(part) > 3 and part.encode() in sealed for part in BINDING)


def test_neighbouring_positions_have_nothing_in_common() -> None:
    one, other = (_bytes(CODEC.seal(f"{POSITION}{n}", BINDING)) for n in (1, 2))
    assert sum(a == b for a, b in zip(one, other, strict=True)) < len(one) // 4


def _bytes(cursor: str) -> bytes:
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def _text(sealed: bytes | bytearray) -> str:
    return urlsafe_b64encode(bytes(sealed)).rstrip(b"=").decode()
