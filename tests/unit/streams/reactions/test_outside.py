from dataclasses import dataclass, field

import pytest

from datasources.errors import ServiceUnavailable, StoreError
from datasources.items import User
from datasources.keys import TTL, handled
from streams.changes import Change
from streams.patience import Patience
from streams.reactions.outside import OutsideReaction
from tests.support.items import product, user
from tests.unit.streams.reactions.outside import Rows, change_of
from tests.unit.streams.scripted import NOW

AWAY = ServiceUnavailable("Not now.")
MARK = handled("event-1", "note")
CHANGE = change_of(new=user(1))


@dataclass
class Notes:
    """A reaction to users, whose effect is a note taken; `faults` are raised first."""

    marks: Rows = field(default_factory=Rows)
    taken: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    def reaction(self) -> OutsideReaction[str]:
        return OutsideReaction("note", self._wanted, self._take, self.marks.table, lambda: NOW)

    @staticmethod
    def _wanted(change: Change) -> str | None:
        return change.new.id if isinstance(change.new, User) else None

    async def _take(self, note: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.taken.append(note)


async def test_an_effect_is_had_once_whoever_sees_the_record_again() -> None:
    notes = Notes()
    reaction = notes.reaction()
    await reaction.react(CHANGE)
    await reaction.react(CHANGE)
    await notes.reaction().react(CHANGE)
    assert notes.taken == ["user-1"]


async def test_the_mark_is_the_reactions_own_and_stays_longer_than_a_record() -> None:
    notes = Notes()
    await notes.reaction().react(CHANGE)
    assert set(notes.marks.rows) == {MARK}
    assert notes.marks.rows[MARK][TTL] == NOW.timestamp() + 25 * 3600


async def test_the_mark_is_looked_for_with_a_consistent_read() -> None:
    notes = Notes()
    await notes.reaction().react(CHANGE)
    assert notes.marks.reads == [([MARK], True)]


async def test_a_change_without_an_effect_costs_no_call() -> None:
    notes = Notes()
    await notes.reaction().react(change_of(new=product(1)))
    assert (notes.marks.reads, notes.marks.rows) == ([], {})


async def test_an_effect_that_fails_leaves_no_mark() -> None:
    notes = Notes(faults=[StoreError("SES refuses: MessageRejected.")])
    reaction = notes.reaction()
    with pytest.raises(StoreError):
        await reaction.react(CHANGE)
    assert notes.marks.rows == {}
    await reaction.react(CHANGE)
    assert notes.taken == ["user-1"]
    assert MARK in notes.marks.rows


async def test_without_knowing_of_a_mark_nothing_is_done() -> None:
    notes = Notes(marks=Rows(unread=[AWAY]))
    with pytest.raises(ServiceUnavailable):
        await notes.reaction().react(CHANGE)
    assert notes.taken == []


async def test_while_marks_cannot_be_written_the_effect_is_not_had_at_every_try() -> None:
    notes = Notes(marks=Rows(unwritten=[AWAY] * 30))
    reaction = notes.reaction()

    async def sleep(_seconds: float) -> None: ...

    await Patience(sleep, lambda _low, high: high).insist(lambda: reaction.react(CHANGE), "note")
    assert notes.taken == ["user-1"]
    assert MARK in notes.marks.rows


async def test_a_crash_between_effect_and_mark_has_the_effect_once_more() -> None:
    notes = Notes(marks=Rows(unwritten=[AWAY]))
    with pytest.raises(ServiceUnavailable):
        await notes.reaction().react(CHANGE)
    await notes.reaction().react(CHANGE)
    await notes.reaction().react(CHANGE)
    assert notes.taken == ["user-1"] * 2
