"""The size of a row as DynamoDB counts it, and the most that it may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.attributes import is_larger, row_size
from datasources.errors import ItemTooLarge
from datasources.keys import PK, SK, Key
from datasources.table import ROW_BYTES, Table
from datasources.writes import Action, Put, Update


@pytest.mark.parametrize(
    ("row", "size"),
    [
        ({}, 0),
        ({"a": ""}, 1),
        ({"name": "abc"}, 4 + 3),
        ({"名": "が"}, 3 + 3),
        ({"a": "😀"}, 1 + 4),
        ({"a": True, "b": None}, 1 + 1 + 1 + 1),
        ({"a": 0}, 1 + 2),
        ({"a": 123}, 1 + 3),
        ({"a": []}, 1 + 3),
        ({"a": ["x", "yz"]}, 1 + 3 + (1 + 1) + (1 + 2)),
        ({"a": ("x", "yz")}, 1 + 3 + (1 + 1) + (1 + 2)),
        ({"a": {"b": "x"}}, 1 + 3 + (1 + 1 + 1)),
    ],
    ids=str,
)
def test_names_and_values_count_in_bytes(row: dict[str, Any], size: int) -> None:
    assert row_size(row) == size


VALUES = st.recursive(
    st.text(max_size=3) | st.booleans() | st.none() | st.integers(-(10**12), 10**12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_a_row_is_larger_than_any_size_below_its_own(row: dict[str, Any]) -> None:
    size = row_size(row)
    assert not is_larger(row, size)
    assert size == 0 or is_larger(row, size - 1)


def test_what_is_no_attribute_value_has_no_size() -> None:
    with pytest.raises(TypeError, match="float"):
        row_size({"a": 1.5})


class Recorder:
    """Takes whatever is written."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        self.sent.append(parameters["TransactItems"])
        return {}


async def transact(*actions: Action) -> list[Any]:
    recorder: Any = Recorder()
    table = Table(recorder, "shop", asyncio.get_running_loop().time() + 60)
    try:
        await table.transact(actions, token="token")
    except ItemTooLarge:
        assert recorder.sent == []
        raise
    sent: list[Any] = recorder.sent
    return sent


def a_row(size: int) -> dict[str, str]:
    keys = {PK: "t#X", SK: "Y", "text": ""}
    return {**keys, "text": "x" * (size - row_size(keys))}


async def test_a_row_of_400_kb_is_written() -> None:
    assert len(await transact(Put(a_row(ROW_BYTES)))) == 1


async def test_a_larger_row_is_refused_before_anything_is_sent() -> None:
    small = Update(Key("t#X", "Z"), "SET #a = :a", {"#a": "a"}, {":a": 1})

    with pytest.raises(ItemTooLarge):
        await transact(small, Put(a_row(ROW_BYTES + 1)))
