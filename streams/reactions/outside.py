"""Reactions whose effect is outside the table: a mail sent, an event published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from datasources.keys import PK, SK, TTL, handled
from datasources.table import Table
from streams.changes import Change
from streams.reactions import REMEMBERED

Effect = TypeVar("Effect")


@dataclass(frozen=True, slots=True)
class OutsideReaction(Generic[Effect]):
    """One effect for a change at most, and a mark of it by the event's ID, written after it.

    `effect_of` says what a change comes to, None for most; `have` brings it about; `marks` gives
    the system table with a fresh deadline.

    No transaction holds what is outside. A crash between the effect and its mark, and a sink that
    took the effect but whose answer was lost, have it once more: a mail too many rather than one
    that never comes. A sink that can tell the same event by its ID is given it.
    """

    name: str
    effect_of: Callable[[Change], Effect | None]
    have: Callable[[Effect], Awaitable[None]]
    marks: Callable[[], Table]
    now: Callable[[], datetime]
    # Events whose mark failed: while the store is away, the effect is not had at every try.
    _unmarked: set[str] = field(default_factory=set, init=False)

    async def react(self, change: Change) -> None:
        effect = self.effect_of(change)
        if effect is None:
            return
        if change.event_id not in self._unmarked:
            if await self._is_marked(change):
                return
            await self.have(effect)
            self._unmarked.add(change.event_id)
        await self._mark(change)
        self._unmarked.discard(change.event_id)

    async def _is_marked(self, change: Change) -> bool:
        key = handled(change.event_id, self.name)
        return bool(await self.marks().batch_get([key], consistent=True))

    async def _mark(self, change: Change) -> None:
        pk, sk = handled(change.event_id, self.name)
        until = int((self.now() + REMEMBERED).timestamp())
        await self.marks().batch_write([{PK: pk, SK: sk, TTL: until}])
