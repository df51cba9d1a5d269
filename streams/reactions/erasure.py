"""What is left of a user who was erased goes as well: the addresses of finished orders, and of
the others as they finish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from datasources.erasure import finish, forget_if_erased
from datasources.items import Order, User, UserStatus
from datasources.orders import FINISHED
from datasources.table import Table
from streams.changes import Change


@dataclass(frozen=True, slots=True)
class ErasureReaction:
    """Needs no mark: what is gone is not removed again."""

    table: Callable[[], Table]
    now: Callable[[], datetime]
    name: str = "erasure"

    async def react(self, change: Change) -> None:
        match change.new:
            case User() as user if user.status is UserStatus.DELETED:
                await finish(self.table(), change.keys, user.id, self.now())
            case Order() as order if order.shipping_address and order.status in FINISHED:
                await forget_if_erased(self.table(), change.keys, order, self.now())
