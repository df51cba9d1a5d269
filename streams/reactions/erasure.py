"""What is left of a user who was erased goes as well: the addresses of finished orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from datasources.erasure import finish
from datasources.items import User, UserStatus
from datasources.table import Table
from streams.changes import Change


@dataclass(frozen=True, slots=True)
class ErasureReaction:
    """Needs no mark: what is gone is not removed again."""

    table: Callable[[], Table]
    now: Callable[[], datetime]
    name: str = "erasure"

    async def react(self, change: Change) -> None:
        user = change.new
        if isinstance(user, User) and user.status is UserStatus.DELETED:
            await finish(self.table(), change.keys, user.id, self.now())
