"""Attribute values: what goes into a row comes out of it as it was."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.attributes import decode, decode_row, encode, encode_row
from datasources.items import OrderStatus

text = st.text(max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(text, values, max_size=5))
def test_a_row_comes_back_as_it_was(row: dict[str, Any]) -> None:
    back = decode_row(cast(Any, encode_row(row)))
    assert back == row
    # True equals 1 in Python, so the kinds are compared as well.
    assert repr(back) == repr(row)


def test_each_kind_has_its_descriptor() -> None:
    assert encode_row({"s": "x", "b": True, "n": 1, "z": None, "l": [0], "m": {"a": "b"}}) == {
        "s": {"S": "x"},
        "b": {"BOOL": True},
        "n": {"N": "1"},
        "z": {"NULL": True},
        "l": {"L": [{"N": "0"}]},
        "m": {"M": {"a": {"S": "b"}}},
    }


def test_a_member_of_an_enum_is_its_text_and_a_tuple_a_list() -> None:
    found: Any = encode(OrderStatus.PAID)
    assert found == {"S": "PAID"}
    assert type(found["S"]) is str
    assert encode((1, 2)) == {"L": [{"N": "1"}, {"N": "2"}]}


def test_sets_come_back_as_lists() -> None:
    assert decode({"SS": ["a", "b"]}) == ["a", "b"]
    assert decode({"NS": ["1", "2"]}) == [1, 2]


@pytest.mark.parametrize("value", [1.5, b"x", object(), {1}])
def test_what_has_no_descriptor_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        encode(value)


def test_a_kind_that_the_shop_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="type B"):
        decode({"B": b"x"})
