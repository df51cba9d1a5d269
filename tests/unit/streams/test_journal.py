from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from streams.changes import Change
from streams.journal import CursorExpired, MemoryJournal, Position
from tests.support import items
from tests.support.changes import Ear, change
from tests.support.items import NOW


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def some(count: int, *, size: int = 0) -> list[Change]:
    return [change(None, items.product(number), size=size) for number in range(count)]


async def since(journal: MemoryJournal, after: Position) -> list[Change]:
    return [entry.change async for page in journal.since("t", after) for entry in page]


def tail(journal: MemoryJournal) -> Position:
    return journal.tail("t")


async def test_what_is_behind_a_position_comes_in_order_and_whole() -> None:
    journal, made = MemoryJournal(Clock()), some(250)
    begin = tail(journal)
    await journal.append(made[:100])
    middle = tail(journal)
    await journal.append(made[100:])
    assert await since(journal, begin) == made
    assert await since(journal, middle) == made[100:]
    assert await since(journal, tail(journal)) == []


@pytest.mark.parametrize("step", [0, 0.001, 5, -3])
async def test_positions_rise_whatever_the_clock_does(step: float) -> None:
    clock = Clock()
    journal, positions = MemoryJournal(clock), []
    for one in some(5):
        await journal.append([one])
        positions.append(tail(journal))
        clock.pass_(step)
    assert positions == sorted(set(positions))


async def test_listeners_hear_what_is_of_their_tenant_until_they_leave() -> None:
    journal, ear = MemoryJournal(Clock()), Ear()
    leave = journal.listen("t", ear)
    mine, other = change(None, items.product(1)), change(None, items.product(1), tenant="u")
    await journal.append([mine, other])
    leave()
    await journal.append(some(1))
    assert [entry.change for entry in ear.entries] == [mine]
    assert ear.entries[0].position <= tail(journal)


async def test_tenants_have_journals_of_their_own() -> None:
    journal = MemoryJournal(Clock())
    begin = journal.tail("u")
    await journal.append(some(3))
    assert [page async for page in journal.since("u", begin)] == []


Bound = Callable[[Clock], MemoryJournal]


@pytest.mark.parametrize(
    ("make", "pause"),
    [
        (lambda clock: MemoryJournal(clock, kept=timedelta(seconds=60)), 61),
        (lambda clock: MemoryJournal(clock, most_changes=2), 0),
        (lambda clock: MemoryJournal(clock, most_bytes=250), 0),
    ],
    ids=["by age", "by number", "by size"],
)
async def test_a_position_behind_which_something_is_gone_has_expired(
    make: Bound, pause: float
) -> None:
    clock = Clock()
    journal, made = make(clock), some(4, size=100)
    begin = tail(journal)
    await journal.append(made[:2])
    kept = tail(journal)
    clock.pass_(pause)
    await journal.append(made[2:])
    with pytest.raises(CursorExpired):
        await since(journal, begin)
    assert await since(journal, kept) == made[2:]


async def test_age_counts_also_while_nothing_comes() -> None:
    clock = Clock()
    journal = MemoryJournal(clock)
    begin = tail(journal)
    await journal.append(some(1))
    clock.pass_(3_601)
    with pytest.raises(CursorExpired):
        await since(journal, begin)


async def test_an_idle_journal_keeps_its_positions_good() -> None:
    clock = Clock()
    journal = MemoryJournal(clock)
    begin = tail(journal)
    clock.pass_(86_400)
    assert await since(journal, begin) == []


async def test_a_position_of_another_journal_has_expired() -> None:
    first, second = MemoryJournal(Clock()), MemoryJournal(Clock())
    with pytest.raises(CursorExpired):
        await since(second, tail(first))


async def test_a_lag_gives_a_position_from_before_what_was_told_meanwhile() -> None:
    clock = Clock()
    journal, made = MemoryJournal(clock), some(3)
    clock.pass_(10)
    await journal.append(made[:1])
    clock.pass_(1)
    await journal.append(made[1:])
    assert await since(journal, journal.tail("t", lag=timedelta(seconds=0.5))) == made[1:]
    assert await since(journal, journal.tail("t", lag=timedelta(seconds=5))) == made


async def test_a_lag_never_reaches_behind_what_is_kept() -> None:
    clock = Clock()
    journal, made = MemoryJournal(clock, most_changes=1), some(3)
    await journal.append(made)
    assert await since(journal, journal.tail("t", lag=timedelta(hours=2))) == made[2:]


async def test_a_loss_begins_a_new_epoch_and_is_told_to_all() -> None:
    journal, ears = MemoryJournal(Clock()), {tenant: Ear() for tenant in ("t", "u")}
    for tenant, ear in ears.items():
        journal.listen(tenant, ear)
    await journal.append(some(2))
    before = tail(journal)
    await journal.lose()
    assert [ear.losses for ear in ears.values()] == [1, 1]
    with pytest.raises(CursorExpired):
        await since(journal, before)
    begin, made = tail(journal), some(2)
    await journal.append(made)
    assert await since(journal, begin) == made


def test_a_position_is_read_back_from_its_text() -> None:
    position = Position("an-epoch", 1_795_341_014_521, 9)
    assert str(position) == "an-epoch.1795341014521-9"
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "e", "e.", "e.1", "e.1-", "e.-1", "e.x-1", "2026-11-20T12:00Z"]
)
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parse(text) is None
