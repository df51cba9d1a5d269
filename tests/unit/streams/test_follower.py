from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.changes import Change
from streams.follower import Follower
from streams.journal import CursorExpired, MemoryJournal, Position
from tests.support import items
from tests.support.changes import change
from tests.support.items import NOW


def a_journal(most_changes: int = 1_000) -> MemoryJournal:
    return MemoryJournal(lambda: NOW, most_changes=most_changes)


def following(journal: MemoryJournal, after: Position | None = None, **more: int) -> Follower:
    return Follower(
        journal,
        "t",
        lambda change: change.item == items.product(1),
        after or journal.tail("t"),
        **more,
    )


def mine() -> Change:
    return change(None, items.product(1))


def other() -> Change:
    return change(None, items.product(2))


async def given_by(follower: Follower, number: int) -> list[Change]:
    return [(await asyncio.wait_for(anext(follower), 10)).change for _ in range(number)]


async def waiting(follower: Follower) -> asyncio.Future[Any]:
    """Its next entry, which there is none of yet."""
    future = asyncio.ensure_future(anext(follower))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not future.done()
    return future


async def test_it_gives_what_concerns_it_in_order_and_waits_for_more() -> None:
    journal = a_journal()
    follower = following(journal)
    first, last = mine(), change(items.product(1), None)
    await journal.append([first, other()])
    assert await given_by(follower, 1) == [first]
    future = await waiting(follower)
    await journal.append([other(), last])
    assert (await future).change == last


async def test_what_was_missed_comes_before_what_happens() -> None:
    journal = a_journal()
    begin = journal.tail("t")
    missed, heard = [mine() for _ in range(250)], [mine() for _ in range(20)]
    await journal.append(missed)
    follower = following(journal, begin)
    got = await given_by(follower, 120)
    await journal.append(heard)
    assert got + await given_by(follower, 150) == missed + heard
    (await waiting(follower)).cancel()


@pytest.mark.parametrize("most", [1, 2, 7])
async def test_who_takes_slower_than_entries_come_gets_all_the_same(most: int) -> None:
    journal = a_journal()
    follower = following(journal, most=most)
    made = [mine() for _ in range(300)]
    await journal.append(made[:150])
    got = await given_by(follower, 10)
    await journal.append(made[150:])
    assert got + await given_by(follower, 290) == made
    (await waiting(follower)).cancel()


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 5), st.booleans())
def test_nothing_is_missed_or_doubled_however_taking_and_coming_alternate(
    steps: list[int], most: int, from_the_beginning: bool
) -> None:
    async def run() -> None:
        journal = a_journal()
        before = [mine(), other(), mine()]
        begin = journal.tail("t")
        await journal.append(before)
        follower = following(journal, begin if from_the_beginning else None, most=most)
        expected = [before[0], before[2]] if from_the_beginning else []
        got: list[Change] = []
        taking: asyncio.Future[Any] | None = None
        for step, number in zip(steps, count(), strict=False):
            made = [mine() if (number + n) % 3 else other() for n in range(step)]
            expected += [one for one in made if one.item == items.product(1)]
            await journal.append(made)
            taking = taking or asyncio.ensure_future(anext(follower))
            for _ in range(step):
                await asyncio.sleep(0)
            if taking.done():
                got.append(taking.result().change)
                taking = None
        while len(got) < len(expected):
            got.append((await asyncio.wait_for(taking or anext(follower), 10)).change)
            taking = None
        assert got == expected
        await waiting(follower) if taking is None else None

    asyncio.run(run())


async def test_at_the_end_of_what_was_missed_it_is_where_the_journal_is() -> None:
    journal = a_journal()
    begin = journal.tail("t")
    made = [mine(), mine()]
    await journal.append([*made, other()])
    follower = following(journal, begin)
    assert [entry.change async for entry in follower.missed()] == made
    assert follower.position == journal.tail("t")


async def test_entries_that_are_gone_end_it() -> None:
    journal = a_journal(most_changes=2)
    begin = journal.tail("t")
    await journal.append([mine() for _ in range(3)])
    with pytest.raises(CursorExpired):
        await anext(following(journal, begin))


async def test_entries_that_go_before_they_were_read_again_end_it() -> None:
    journal = a_journal(most_changes=5)
    follower = following(journal, most=2)
    made = [mine() for _ in range(20)]
    await journal.append(made)
    assert await given_by(follower, 2) == made[:2]
    with pytest.raises(CursorExpired):
        await anext(follower)


async def test_a_journal_that_was_lost_ends_it() -> None:
    journal = a_journal()
    future = await waiting(following(journal))
    await journal.lose()
    with pytest.raises(CursorExpired):
        await future


async def test_once_closed_it_hears_nothing_more() -> None:
    journal = a_journal()
    follower = following(journal)
    follower.close()
    future = await waiting(follower)
    await journal.append([mine() for _ in range(5)])
    await asyncio.sleep(0)
    assert not future.done()
    future.cancel()
