"""How results are delivered, and connections ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from schema.running import deliver, spread_out
from tests.support.sockets import within


class Ready:
    """Results that are all there already."""

    def __init__(self, amount: int) -> None:
        self.left = amount
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return b"{}"

    async def aclose(self) -> None:
        self.is_closed = True


async def test_results_that_come_without_waiting_let_others_have_their_turn() -> None:
    results = Ready(1_000)
    left: list[int] = []

    async def other() -> None:
        left.append(results.left)

    async def send(_result: bytes) -> None:
        pass

    waiting = asyncio.create_task(other())
    await deliver(results, send)
    await within(waiting)
    assert 900 < left[0] < 1_000


async def test_results_are_closed_also_when_they_cannot_be_sent() -> None:
    results = Ready(3)

    async def send(_result: bytes) -> None:
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        await deliver(results, send)
    assert results.is_closed
    assert results.left == 2


@pytest.mark.parametrize(("amount", "expected"), [(0, []), (10, [0.2] * 10), (50, [0.5] * 50)])
async def test_few_connections_are_ended_sooner_than_many(
    amount: int, expected: list[float]
) -> None:
    ended: list[int] = []
    asked: list[float] = []

    def uniform(_least: float, most: float) -> float:
        asked.append(most)
        return 0.0

    async def end() -> None:
        ended.append(1)

    await spread_out([end] * amount, 0.5, uniform)
    assert (asked, len(ended)) == (expected, amount)
