"""What one operation knows: who asks, by when it must end, and what it reads with."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from datasources.cache import Cached, Caller, ItemCache
from datasources.calls import Observer
from datasources.cursor import CursorCodec
from datasources.errors import ServiceUnavailable
from datasources.ids import uuid7
from datasources.items import User, UserStatus
from datasources.keys import Keys
from datasources.table import Guard, Table
from resolvers.loaders import Loaders
from resolvers.money import Currency
from resolvers.principal import Principal
from streams.journal import Journal, Position

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


# Seconds, and a share at most, of the time for an operation in which the store is not asked any
# more: an answer is to be made, and of a write whose answer was lost one learns what became.
_SPARE = 0.1
_SPARE_TO_WRITE = 1.0
_MOST_SPARE = 1 / 8

# What a change cursor is bound to, beside its tenant.
_CHANGES = "changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What all operations share, made once by the composition root.

    Deadlines are in seconds from a request's arrival to its answer, `read_budget` in rows; `now`
    gives the time in UTC, `random_bits` so many random bits as an integer. `index_lag` is how far
    what is read may lie behind what the stream has told already. `wrote` is called after each
    write. `guard` holds back what is asked of a store that fails, and `observer` is told of every
    call of it. `cache` keeps what is read between operations. `client_of` gives the client for a
    tenant and for what has to be fresh or may be some seconds old; None: it is always `client`.
    """

    client: DynamoDBClient
    table: str
    shards: int
    currency: Currency
    cursors: CursorCodec
    deadline: float
    write_deadline: float = 8.0
    read_budget: int
    journal: Journal
    index_lag: timedelta = timedelta(0)
    wrote: Callable[[], None] = lambda: None
    guard: Guard | None = None
    now: Callable[[], datetime]
    random_bits: Callable[[int], int] = secrets.randbits
    observer: Observer | None = None
    cache: ItemCache | None = None
    client_of: Callable[[str, bool], DynamoDBClient] | None = None

    def change_cursor(self, tenant: str, position: Position) -> str:
        """One for all subscriptions of a tenant."""
        return self.cursors.seal(str(position), (tenant, _CHANGES))

    def operation(
        self,
        principal: Principal,
        request_id: str,
        *,
        writes: bool,
        follows: bool = False,
        arrived: float | None = None,
    ) -> Context:
        """A fresh context, with loaders of its own. One that `follows` a change sees it. `arrived`
        is when its request did, in seconds of the event loop's clock; None: now."""
        if arrived is None:
            arrived = asyncio.get_running_loop().time()
        seconds = self.write_deadline if writes else self.deadline
        spare = min(_SPARE_TO_WRITE if writes else _SPARE, seconds * _MOST_SPARE)
        client = self.client
        if self.client_of:
            client = self.client_of(principal.tenant, writes or follows)
        table = Table(
            client,
            self.table,
            arrived + seconds - spare,
            consistent=writes,
            guard=self.guard,
            observer=self.observer,
        )
        keys = Keys(principal.tenant, self.shards)
        cached = Cached(self.cache, _caller_of(principal)) if self.cache else None
        return Context(
            shop=self,
            principal=principal,
            request_id=request_id,
            started=self.now(),
            ends=arrived + seconds,
            tail=self.journal.tail(principal.tenant, lag=self.index_lag),
            keys=keys,
            table=table,
            cached=cached,
            loaders=Loaders(
                table, keys, read_budget=self.read_budget, cached=None if writes else cached
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`started` is a time of day, `ends` one of the event loop's clock: by then there has to be
    an answer."""

    shop: Shop
    principal: Principal
    request_id: str
    started: datetime
    ends: float
    tail: Position | None
    keys: Keys
    table: Table
    cached: Cached | None = None
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
        """The position in the stream of changes before anything in this operation was read.

        Raises ServiceUnavailable while the changes cannot be followed.
        """
        if self.tail is None:
            raise ServiceUnavailable("The changes cannot be followed yet; try again in a moment.")
        return self.seal_position(self.tail)

    def seal_position(self, position: Position) -> str:
        return self.shop.change_cursor(self.principal.tenant, position)

    def open_change_cursor(self, cursor: str) -> Position | None:
        """None for what is no change cursor of this tenant."""
        text = self.shop.cursors.open(cursor, (self.principal.tenant, _CHANGES))
        return None if text is None else Position.parse(text)


def _caller_of(principal: Principal) -> Caller:
    user_id = principal.user_id
    return None if user_id is None else (principal.tenant, user_id)


async def _nobody() -> None:
    return None
