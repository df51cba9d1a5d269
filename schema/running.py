"""What the ways to the service have in common: how an operation is run and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

from graphql import GraphQLError, OperationType

from datasources.deadline import Deadline
from datasources.errors import DeadlineExceeded
from datasources.table import Meter
from resolvers.context import Context, Shop
from resolvers.principal import Principal
from schema.errors import refusal, told
from schema.guards import admission as places
from schema.guards.admission import Admission
from schema.guards.callers import Caller
from schema.guards.throttle import Charge, RateLimited, Throttle
from schema.operations.explain import Record, explained, naming
from schema.operations.operation import Answer, Executor, Operation, Refused
from schema.operations.watching import watcher_of

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


class Admitted(NamedTuple):
    """An operation that may run: for whom, and what was taken for it. `arrived` is when its
    request did, in seconds of the event loop's clock; `explain`: the answer says as well what was
    asked of the store."""

    operation: Operation
    principal: Principal
    request_id: str
    arrived: float
    charge: Charge | None = None
    explain: bool = False


async def admit(
    throttle: Throttle | None, caller: Caller, address: Caller, prepare: Callable[[], Operation]
) -> tuple[Operation, Charge | None]:
    """An operation that may run, and what was taken for it. Raises Refused, RateLimited too, and
    whatever `prepare` does."""
    if throttle is None:
        return prepare(), None
    operation = throttle.prepare(caller, prepare)
    return operation, await throttle.admit(caller, address, operation)


@asynccontextmanager
async def placed(admission: Admission | None) -> AsyncIterator[None]:
    """A place for an operation that came over an open connection. Raises Refused where there is
    none."""
    if admission and not await admission.enter():
        raise Refused(refusal(places.CODE, places.MESSAGE, retryable=True))
    try:
        yield
    finally:
        if admission:
            admission.leave()


def settle_with(task: asyncio.Task[None], asked: Admitted) -> None:
    """Settles what was charged for an operation once its task is over, if that has not: it may be
    refused a place, or cancelled before it begins. A subscription has paid for one event."""
    charge = asked.charge
    if charge and asked.operation.kind is not OperationType.SUBSCRIPTION:
        task.add_done_callback(lambda _: charge.settle(Meter()))


async def answer(executor: Executor, shop: Shop, asked: Admitted) -> tuple[dict[str, Any], bool]:
    """What a query or mutation came to, as it goes to the client, and whether it ran: where it
    was refused before its first field, there are errors alone. What was charged for it is settled,
    whatever happens."""
    operation, charge = asked.operation, asked.charge
    context = shop.operation(
        asked.principal,
        asked.request_id,
        writes=operation.kind is OperationType.MUTATION,
        arrived=asked.arrived,
    )
    record = Record() if asked.explain else None
    try:
        with Deadline(context.ends):
            result = await _run(executor, operation, context, record)
    except DeadlineExceeded as late:  # of something else than the store
        result = Answer(None, [GraphQLError(late.message, original_error=late)], ran=True)
    finally:
        if charge:
            charge.settle(context.table.meter)
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = told(result.errors, asked.request_id)
    if result.ran:
        body["data"] = result.data
        body["extensions"] = {"cost": cost(operation.requested, context.table.meter, charge)}
        if record:
            body["extensions"]["explain"] = record.told()
    if watcher := watcher_of(executor):
        took = asyncio.get_running_loop().time() - asked.arrived
        watcher.ran(operation, context, body.get("errors", ()), took)
    return body, result.ran


async def _run(
    executor: Executor, operation: Operation, context: Context, record: Record | None
) -> Answer:
    if record is None:
        return await executor.run(operation, context)
    return await executor.refer(operation, explained(context, record), middleware=[naming])


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


def failed(executor: Executor, error: Exception, request_id: str) -> list[dict[str, Any]]:
    """The errors that an exception stands for, a refusal's own or the one of a defect, as they go
    to the client. They are counted."""
    if isinstance(error, Refused):
        errors: Sequence[GraphQLError] = error.errors
    else:
        errors = [GraphQLError(str(error), original_error=error)]
    shown = told(errors, request_id)
    if watcher := watcher_of(executor):
        watcher.refused(*(each["extensions"]["code"] for each in shown))
    return shown


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
