"""What one operation knows: who asks, by when it must end, and what it reads with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from datasources.cursor import CursorCodec
from datasources.items import User, UserStatus
from datasources.keys import Keys, timestamp
from datasources.table import Table
from resolvers.loaders import Loaders
from resolvers.money import Currency
from resolvers.principal import Principal

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What all operations share, made once by the composition root.

    `deadline` is in seconds, `read_budget` in rows, `now` gives the time in UTC.
    """

    client: DynamoDBClient
    table: str
    shards: int
    currency: Currency
    cursors: CursorCodec
    deadline: float
    read_budget: int
    now: Callable[[], datetime]

    def operation(self, principal: Principal, request_id: str, *, writes: bool) -> Context:
        """A fresh context, with loaders of its own; the deadline counts from now."""
        table = Table(self.client, self.table, asyncio.get_running_loop().time() + self.deadline)
        keys = Keys(principal.tenant, self.shards)
        return Context(
            shop=self,
            principal=principal,
            request_id=request_id,
            started=self.now(),
            keys=keys,
            table=table,
            loaders=Loaders(table, keys, read_budget=self.read_budget, consistent=writes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    shop: Shop
    principal: Principal
    request_id: str
    started: datetime
    keys: Keys
    table: Table
    loaders: Loaders

    def profile(self) -> Awaitable[User | None]:
        """The caller's own profile; None for anonymous callers and those who have none yet."""
        user_id = self.principal.user_id
        return _nobody() if user_id is None else self.loaders.user(user_id)

    async def is_erased(self) -> bool:
        """Whether the caller's account has been erased: such a caller reads what is public."""
        profile = await self.profile()
        return profile is not None and profile.status is UserStatus.DELETED

    def change_cursor(self) -> str:
        """The position in the stream of changes before anything in this operation was read."""
        binding = (self.principal.tenant, "changes")
        return self.shop.cursors.seal(timestamp(self.started), binding)


async def _nobody() -> None:
    return None
