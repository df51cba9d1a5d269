from __future__ import annotations

import asyncio

import pytest

from streams.follower import FellBehind, Follower
from streams.journal import CursorExpired, MemoryJournal
from tests.support import items
from tests.support.changes import change
from tests.support.items import NOW


def following(journal: MemoryJournal, **more: int) -> Follower:
    return Follower(journal, "t", lambda change: change.item == items.product(1), **more)


async def test_it_gives_what_concerns_it_in_order_and_waits_for_more() -> None:
    journal = MemoryJournal(lambda: NOW)
    follower = following(journal)
    mine, other = change(None, items.product(1)), change(None, items.product(2))
    await journal.append([mine, other])
    assert (await anext(follower)).change == mine
    waiting = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    assert not waiting.done()
    last = change(items.product(1), None)
    await journal.append([other, last])
    assert (await waiting).change == last


async def test_who_falls_behind_is_told_and_gets_nothing_from_behind_the_gap() -> None:
    journal = MemoryJournal(lambda: NOW)
    follower = following(journal, most=2)
    await journal.append([change(None, items.product(1)) for _ in range(3)])
    with pytest.raises(FellBehind):
        await anext(follower)
    await journal.append([change(None, items.product(1))])
    with pytest.raises(FellBehind):
        await anext(follower)


async def test_a_journal_that_was_lost_ends_it() -> None:
    follower = following(MemoryJournal(lambda: NOW))
    waiting = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    follower.lost()
    with pytest.raises(CursorExpired):
        await waiting


async def test_once_closed_it_hears_nothing_more() -> None:
    journal = MemoryJournal(lambda: NOW)
    follower = following(journal, most=1)
    follower.close()
    await journal.append([change(None, items.product(1)) for _ in range(5)])
    waiting = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
