"""What every mutation does the same way: one transaction, and again when a race was lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from datasources import idempotency
from datasources.errors import Conflict, ItemTooLarge
from datasources.items import Idempotency
from datasources.keys import Key
from datasources.writes import Action
from resolvers.context import Context
from resolvers.errors import UserErrorCode, rejected

T = TypeVar("T")

GRACE = 1.0  # seconds


class Raced(Exception):
    """Somebody else has written what was read in between: read again and decide again."""


async def commit(context: Context, actions: Sequence[Action]) -> None:
    """One transaction, whose token stays the same for all attempts at it; Rejected where a row
    would be larger than the store takes."""
    token = str(uuid.UUID(int=context.shop.random_bits(128)))
    try:
        await context.table.transact(actions, token=token)
    except ItemTooLarge:
        raise rejected(UserErrorCode.INVALID, "this is more than can be stored") from None
    finally:
        # Whatever it came to: of an answer that was lost nobody knows.
        if cached := context.cached:
            await cached.wrote([action.key for action in actions])
    context.shop.wrote()


async def again(context: Context, attempt: Callable[[], Awaitable[T]]) -> T:
    """What the attempt comes to once it is not Raced; each begins with nothing remembered.

    Who keeps losing waits a little longer each time, up to the deadline.
    """
    lost = 0
    while True:
        try:
            return await attempt()
        except Raced:
            lost += 1
            context.loaders.forget()
            await context.table.pause(lost, Conflict("Others keep changing the same thing."))


async def recorded(context: Context, key: Key) -> Idempotency | None:
    """The living idempotency record, read consistently and within a second of its own: asked
    for when an answer was lost, which is when the deadline is near or past."""
    patient = asyncio.get_running_loop().time() + GRACE
    table = replace(context.table, deadline=max(context.table.deadline, patient))
    row = (await table.batch_get([key], consistent=True)).get(key)
    return idempotency.living(Idempotency.of(row) if row else None, context.now())
