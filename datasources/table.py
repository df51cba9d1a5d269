"""The table as one operation sees it: batched reads and queries within a deadline, metered.

Retries happen here and nowhere else, with full jitter ("Exponential backoff and jitter", AWS
Architecture Blog), inside the deadline and within the budget of the process. Sizes are those of
the DynamoDB API reference.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from datasources.attributes import decode_row, encode_row, is_larger
from datasources.breaker import Breaker, NotAsked
from datasources.calls import Observer, call_of, units_of
from datasources.client import CLIENT_ERRORS, as_store_error
from datasources.deadline import Deadline
from datasources.entries import Place, by_key, reading
from datasources.errors import (
    ConditionFailed,
    Conflict,
    DeadlineExceeded,
    ItemTooLarge,
    StoreError,
    Throttled,
)
from datasources.fast.client import typed
from datasources.items import Item, Row
from datasources.keys import PK, SK, Key, sort_attribute
from datasources.queries import Query, QueryPage, page_of, parameters_of
from datasources.retries import RetryBudget
from datasources.rows import stored
from datasources.writes import Action, Put, encode_action

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

R = TypeVar("R")

BATCH_GET_KEYS = 100
BATCH_WRITE_ROWS = 25
ROW_BYTES = 400 * 1024
ATTEMPTS = 3
_FIRST_PAUSE = 0.025  # seconds; doubles with each attempt
_LONGEST_PAUSE = 1.0
_DOUBLINGS = 6  # by then the longest is reached


@dataclass
class Meter:
    """What an operation has cost: calls made, and units as DynamoDB reported them."""

    requests: int = 0
    read_units: float = 0.0
    write_units: float = 0.0

    def read(self, answer: Mapping[str, Any]) -> None:
        self.read_units += units_of(answer)

    def wrote(self, answer: Mapping[str, Any]) -> None:
        self.write_units += units_of(answer)


class Guard(NamedTuple):
    """What all operations on one table have in common, for as long as the process runs."""

    breaker: Breaker
    retries: RetryBudget


@dataclass
class Table:
    """`deadline` is in seconds of the event loop's clock. Without a `guard` nothing but that
    bounds what is asked of a store that fails.

    A `consistent` table reads its rows strongly consistent, for operations that write; an index
    cannot be read so. The `observer` is told of each attempt of a call when it has ended.
    """

    client: DynamoDBClient
    name: str
    deadline: float
    meter: Meter = field(default_factory=Meter)
    consistent: bool = False
    jitter: Callable[[float, float], float] = random.uniform
    guard: Guard | None = None
    observer: Observer | None = None

    def __post_init__(self) -> None:
        self._within = Deadline(self.deadline)

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = False) -> dict[Key, Row]:
        """The rows that exist, by key: calls of 100 keys side by side, none asked for twice."""
        return await self._batches(keys, consistent, self.client.batch_get_item, by_key)

    async def batch_items(self, keys: Iterable[Key], kind: type[Item]) -> dict[Key, Item | Row]:
        """As `batch_get`, of rows that should be of one kind: as items, where all of a call are."""
        how = reading(kind, SK)
        method = typed(self.client, "batch_get_item", how.form)
        return await self._batches(keys, False, method, how.by_key)

    async def query(
        self,
        query: Query,
        *,
        limit: int,
        start: Mapping[str, Any] | None = None,
        consistent: bool = False,
    ) -> QueryPage[Row]:
        """One call: at most `limit` rows read, fewer where 1 MB is reached before."""
        answer = await self._query(self.client.query, query, limit, start, consistent)
        return page_of(answer, [stored(row) for row in answer["Items"]])

    async def places(
        self,
        query: Query,
        kind: type[Item],
        *,
        limit: int,
        start: Mapping[str, Any] | None = None,
    ) -> QueryPage[Place]:
        """As `query`, of rows that should be of one kind."""
        how = reading(kind, sort_attribute(query.index))
        method = typed(self.client, "query", how.form)
        answer = await self._query(method, query, limit, start, False)
        return page_of(answer, how.places(answer["Items"]))

    async def batch_write(self, rows: Sequence[Row]) -> None:
        """Puts at most 25 rows, none twice; what the store leaves over is tried again."""
        pending = [{"PutRequest": {"Item": encode_row(row)}} for row in rows]
        attempt = 0
        while pending:
            answer = await self._call(
                "BatchWriteItem",
                self.client.batch_write_item,
                RequestItems={self.name: pending},
                ReturnConsumedCapacity="TOTAL",
            )
            self.meter.wrote(answer)
            left = answer.get("UnprocessedItems", {}).get(self.name, [])
            if left:
                attempt += 1
                error = Throttled("The store left rows unwritten.")
                await self._repeat(attempt, error, free=len(left) < len(pending))
            pending = left

    async def put(self, action: Put) -> None:
        """Writes one row. Raises ConditionFailed, with the row there is, where its condition
        did not hold: also after an attempt that was carried out and whose answer was lost."""
        try:
            answer = await self._call(
                "PutItem",
                self.client.put_item,
                **encode_action(action, self.name)["Put"],
                ReturnConsumedCapacity="TOTAL",
            )
        except ConditionFailed as failed:
            raise ConditionFailed(failed.message, _row_of(failed.__cause__)) from None
        self.meter.wrote(answer)

    async def transact(self, actions: Sequence[Action], *, token: str) -> None:
        """All of the actions or none, each on a row of its own, at most 100.

        `token` is the ClientRequestToken: chosen once, so that an attempt whose answer was lost
        is not carried out twice. Raises TransactionCancelled where conditions did not hold, and
        ItemTooLarge for a row of more than 400 KB; conflicts with other transactions and
        throttling are tried again until the deadline.
        """
        for action in actions:
            if isinstance(action, Put) and is_larger(action.row, ROW_BYTES):
                raise ItemTooLarge(f"A row may have {ROW_BYTES} bytes at most.")
        answer = await self._call(
            "TransactWriteItems",
            self.client.transact_write_items,
            TransactItems=[encode_action(action, self.name) for action in actions],
            ClientRequestToken=token,
            ReturnConsumedCapacity="TOTAL",
        )
        self.meter.wrote(answer)

    async def _query(
        self,
        method: Callable[..., Any],
        query: Query,
        limit: int,
        start: Mapping[str, Any] | None,
        consistent: bool,
    ) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._call(
            "Query",
            method,
            **parameters_of(query),
            TableName=self.name,
            Limit=limit,
            ConsistentRead=consistent or (self.consistent and query.index is None),
            ReturnConsumedCapacity="TOTAL",
            **({"ExclusiveStartKey": start} if start else {}),
        )
        self.meter.read(answer)
        return answer

    async def _batches(
        self,
        keys: Iterable[Key],
        consistent: bool,
        method: Callable[..., Any],
        read: Callable[[Sequence[Any]], dict[Key, R]],
    ) -> dict[Key, R]:
        wanted = list(dict.fromkeys(keys))
        chunks = [wanted[i : i + BATCH_GET_KEYS] for i in range(0, len(wanted), BATCH_GET_KEYS)]
        consistent = consistent or self.consistent
        found = await gather(*(self._get_chunk(each, consistent, method, read) for each in chunks))
        return {key: row for rows in found for key, row in rows.items()}

    async def _get_chunk(
        self,
        keys: Sequence[Key],
        consistent: bool,
        method: Callable[..., Any],
        read: Callable[[Sequence[Any]], dict[Key, R]],
    ) -> dict[Key, R]:
        pending = [encode_row({PK: key.pk, SK: key.sk}) for key in keys]
        rows: dict[Key, R] = {}
        attempt = 0
        while pending:
            answer = await self._call(
                "BatchGetItem",
                method,
                RequestItems={self.name: {"Keys": pending, "ConsistentRead": consistent}},
                ReturnConsumedCapacity="TOTAL",
            )
            self.meter.read(answer)
            rows |= read(answer["Responses"].get(self.name, ()))
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if left:
                attempt += 1
                error = Throttled("The store left keys unprocessed.")
                await self._repeat(attempt, error, free=len(left) < len(pending))
            pending = left
        return rows

    async def _call(self, operation: str, method: Callable[..., Any], **parameters: Any) -> Any:
        """What the store answers; the errors of `datasources.errors` where it does not."""
        guard = self.guard
        if guard:
            guard.retries.earn()
        attempt, left = 0, ATTEMPTS
        while True:
            attempt += 1
            try:
                if guard:
                    return await guard.breaker.run(
                        self._attempt, operation, method, parameters, attempt
                    )
                return await self._attempt(operation, method, parameters, attempt)
            except (DeadlineExceeded, NotAsked):
                raise
            except StoreError as error:
                left -= not error.patient
                if not error.retryable or not left:
                    raise
                # Who met another's transaction comes after it: no sign of a store in need.
                await self._repeat(attempt, error, free=isinstance(error, Conflict))

    async def _attempt(
        self,
        operation: str,
        method: Callable[..., Any],
        parameters: dict[str, Any],
        attempt: int,
    ) -> Any:
        self.meter.requests += 1
        began = perf_counter()
        try:
            with self._within:
                answer = await method(**parameters)
        except CLIENT_ERRORS as raised:
            error = as_store_error(raised)
            self._tell(operation, parameters, {}, began, attempt, error)
            raise error from raised
        except DeadlineExceeded as late:
            self._tell(operation, parameters, {}, began, attempt, late)
            raise
        self._tell(operation, parameters, answer, began, attempt, None)
        return answer

    def _tell(
        self, operation: str, parameters: Any, answer: Any, began: float, attempt: int, error: Any
    ) -> None:
        if self.observer:
            self.observer.called(
                call_of(self.name, operation, parameters, answer, began, attempt, error)
            )

    async def _repeat(self, attempt: int, error: StoreError, *, free: bool) -> None:
        """Waits for the next attempt, or raises `error` where there is none to be made; `free`:
        it costs the budget nothing."""
        if self.guard and not free and not self.guard.retries.spend():
            raise error
        await self.pause(attempt, error)

    async def pause(self, attempt: int, error: Exception) -> None:
        """Waits before the next attempt; raises `error` where the deadline leaves no time."""
        ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, _DOUBLINGS))
        pause = self.jitter(0, ceiling)
        if asyncio.get_running_loop().time() + pause >= self.deadline:
            raise error
        await asyncio.sleep(pause)


async def gather(*awaitables: Any) -> list[Any]:
    """The results of all, side by side; the first failure ends the others and is raised."""
    if len(awaitables) == 1:
        return [await awaitables[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in awaitables]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _row_of(refusal: BaseException | None) -> Row:
    """The row that a refused write gives with its refusal, if it does."""
    return decode_row(getattr(refusal, "response", {}).get("Item", {}))
