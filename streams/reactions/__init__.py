"""Reactions: what follows a change. Each is safe to repeat, because records come again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from datasources.errors import TransactionCancelled
from datasources.keys import PK, SK, TTL, handled
from datasources.table import Table
from datasources.writes import ABSENT, Action, Put, Update
from streams.changes import Change

# A record can come again for 24 hours, the time it stays in the stream.
REMEMBERED = timedelta(hours=25)


class Reaction(Protocol):
    """`name` tells its marks and log lines from those of others, for ever."""

    @property
    def name(self) -> str: ...

    async def react(self, change: Change) -> None: ...


@dataclass(frozen=True, slots=True)
class TableReaction:
    """Effects on rows of the shop, each had once: in one transaction with the mark of it.

    `effects` says what a change comes to, nothing for most. `table` gives the main table with a
    fresh deadline, `marks` names the system table, `new_token` gives ClientRequestTokens.
    """

    name: str
    effects: Callable[[Change], Sequence[Update]]
    table: Callable[[], Table]
    marks: str
    now: Callable[[], datetime]
    new_token: Callable[[], str]

    async def react(self, change: Change) -> None:
        """Passes over rows that are gone: their condition fails, and the others remain."""
        effects = self.effects(change)
        while effects:
            actions: list[Action] = [self._mark(change), *effects]
            try:
                return await self.table().transact(actions, token=self.new_token())
            except TransactionCancelled as answer:
                if answer.failed(0):
                    return None
                effects = [
                    effect
                    for position, effect in enumerate(effects, start=1)
                    if not answer.failed(position)
                ]
        return None

    def _mark(self, change: Change) -> Put:
        pk, sk = handled(change.event_id, self.name)
        until = int((self.now() + REMEMBERED).timestamp())
        return Put({PK: pk, SK: sk, TTL: until}, ABSENT, table=self.marks)
