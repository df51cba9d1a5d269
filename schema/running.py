"""What the ways to the service have in common: how an operation is run and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from graphql import GraphQLError, OperationType

from datasources.table import Meter
from resolvers.context import Shop
from resolvers.principal import Principal
from schema.callers import Caller
from schema.errors import told
from schema.operation import Executor, Operation, Refused
from schema.throttle import Charge, RateLimited, Throttle

_TURN = 32  # results

# The ASGI extension of a server that can do more than await a message's being sent: its `write`
# takes the text of one and sends it at once, or says that it cannot now.
AT_ONCE = "cartograph.at_once"

# Sends a result at once and says so; False: it cannot now, and has not.
Push = Callable[[bytes], bool]

# Takes the values of Authorization and X-Tenant.
Authenticate = Callable[[str | None, str | None], Awaitable[Principal]]


class Results(Protocol):
    """The results of one subscription, each as JSON. `__anext__` may raise Refused, which ends
    it with those errors."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Source(Protocol):
    """Where subscriptions come from."""

    async def subscribe(
        self,
        operation: Operation,
        principal: Principal,
        request_id: str,
        push: Push | None = None,
    ) -> Results:
        """May raise Refused. A result that is waited for when it comes goes to `push`, if that
        takes it; nothing does once the task that waits is cancelled."""


async def admit(
    throttle: Throttle | None, caller: Caller, address: Caller, prepare: Callable[[], Operation]
) -> tuple[Operation, Charge | None]:
    """An operation that may run, and what was taken for it. Raises Refused, RateLimited too, and
    whatever `prepare` does."""
    if throttle is None:
        return prepare(), None
    operation = throttle.prepare(caller, prepare)
    return operation, await throttle.admit(caller, address, operation)


async def answer(
    executor: Executor,
    shop: Shop,
    operation: Operation,
    principal: Principal,
    request_id: str,
    charge: Charge | None = None,
) -> tuple[dict[str, Any], bool]:
    """What a query or mutation came to, as it goes to the client, and whether it ran: where it
    was refused before its first field, there are errors alone. What was charged for it is settled,
    whatever happens."""
    writes = operation.kind is OperationType.MUTATION
    context = shop.operation(principal, request_id, writes=writes)
    try:
        result = await executor.run(operation, context)
    finally:
        if charge:
            charge.settle(context.table.meter)
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = told(result.errors, request_id)
    if result.ran:
        body["data"] = result.data
        body["extensions"] = {"cost": cost(operation.requested, context.table.meter, charge)}
    return body, result.ran


def cost(requested: int, meter: Meter, charge: Charge | None) -> dict[str, Any]:
    """What an answer says of its cost: before it ran, as DynamoDB reported it, and what is left."""
    told: dict[str, Any] = {
        "requested": requested,
        "actual": {
            "requests": meter.requests,
            "readUnits": meter.read_units,
            "writeUnits": meter.write_units,
        },
    }
    if charge:
        told["throttle"] = charge.throttle()
    return told


def extensions_of(refused: Refused) -> dict[str, Any]:
    """What the body of a refusal has beside its errors: the cost, where that is known."""
    if refused.requested is None:
        return {}
    told: dict[str, Any] = {"requested": refused.requested}
    if isinstance(refused, RateLimited) and refused.throttle:
        told["throttle"] = refused.throttle
    return {"extensions": {"cost": told}}


async def deliver(results: Results, send: Callable[[bytes], Awaitable[None]]) -> None:
    """Sends all results of a subscription, and closes it, however it ends."""
    sent = 0
    try:
        async for result in results:
            await send(result)
            sent += 1
            # What a client has missed can come without any waiting: others have their turn.
            if sent % _TURN == 0:
                await asyncio.sleep(0)
    finally:
        await results.aclose()


def errors_of(error: Exception) -> Sequence[GraphQLError]:
    """The errors that an exception stands for: a refusal's own, or the one of a defect."""
    if isinstance(error, Refused):
        return error.errors
    return [GraphQLError(str(error), original_error=error)]


async def spread_out(
    ends: Collection[Callable[[], Awaitable[None]]],
    most: float,
    uniform: Callable[[float, float], float],
) -> None:
    """Ends connections at random times over up to `most` seconds, 50 a second where there are
    few: whoever they belong to comes back, and better not all at once."""
    seconds = min(most, len(ends) / 50)

    async def end_later(end: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(uniform(0, seconds))
        await end()

    await asyncio.gather(*map(end_later, ends))
