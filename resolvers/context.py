"""What one operation knows: who asks, by when it must end, and what it reads with."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from datasources.cursor import CursorCodec
from datasources.ids import uuid7
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

    Deadlines are in seconds, `read_budget` in rows; `now` gives the time in UTC,
    `random_bits` so many random bits as an integer.
    """

    client: DynamoDBClient
    table: str
    shards: int
    currency: Currency
    cursors: CursorCodec
    deadline: float
    write_deadline: float = 8.0
    read_budget: int
    now: Callable[[], datetime]
    random_bits: Callable[[int], int] = secrets.randbits

    def operation(self, principal: Principal, request_id: str, *, writes: bool) -> Context:
        """A fresh context, with loaders of its own; the deadline counts from now."""
        seconds = self.write_deadline if writes else self.deadline
        table = Table(
            self.client,
            self.table,
            asyncio.get_running_loop().time() + seconds,
            consistent=writes,
        )
        keys = Keys(principal.tenant, self.shards)
        return Context(
            shop=self,
            principal=principal,
            request_id=request_id,
            started=self.now(),
            keys=keys,
            table=table,
            loaders=Loaders(table, keys, read_budget=self.read_budget),
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

    def new_id(self, moment: datetime) -> str:
        """A UUIDv7 of a time."""
        return uuid7(int(moment.timestamp() * 1000), self.shop.random_bits)

    def now(self) -> datetime:
        """The time, in whole milliseconds, as rows have it."""
        moment = self.shop.now()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

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
