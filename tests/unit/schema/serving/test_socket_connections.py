"""Frames. How connections end is tested with a server around them: test_serving.py."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from schema.serving.socket_connections import _frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_frame_is_the_one_that_websockets_makes(size: int) -> None:
    text = "x" * size
    assert _frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def test_the_length_of_a_frame_counts_bytes() -> None:
    text = "名" * 42  # 126 bytes
    assert _frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
