"""A stream, a store and a time that do as they are told."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from datasources import categories, orders, products, reviews, users
from datasources.attributes import encode_row
from datasources.errors import ConditionFailed, TransactionCancelled
from datasources.items import Category, Item, Order, Product, Review, Row, User
from datasources.keys import PK, SK, Key, Keys
from datasources.queries import Query, QueryPage
from datasources.table import Table
from datasources.writes import Action, Delete, Put, Update
from streams.changes import Record

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

KEYS = Keys("t", 4)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

# --- records --------------------------------------------------------------------------------


def row(item: Item) -> dict[str, Any]:
    match item:
        case User():
            return users.row(KEYS, item)
        case Category():
            return categories.row(KEYS, item)
        case Product():
            return products.row(KEYS, item)
        case Order():
            return orders.row(KEYS, item)
        case Review():
            return reviews.row(KEYS, item)
    raise TypeError(type(item).__name__)


def record(number: int, old: Item | Row | None = None, new: Item | Row | None = None) -> Record:
    """The stream's record of a write; its ID and sequence number are of the number."""
    body: dict[str, Any] = {
        "SequenceNumber": str(number),
        "ApproximateCreationDateTime": NOW,
    }
    for name, image in (("OldImage", old), ("NewImage", new)):
        if image is not None:
            encoded = encode_row(row(image) if isinstance(image, Item) else image)
            body[name] = encoded
            body["Keys"] = {part: encoded[part] for part in (PK, SK)}
    kind = "MODIFY" if old is not None and new is not None else "REMOVE" if old else "INSERT"
    return {"eventID": f"event-{number}", "eventName": kind, "dynamodb": body}


def records(numbers: Iterable[int]) -> list[Record]:
    """Records that only their numbers tell apart."""
    return [
        {
            "eventID": f"event-{number}",
            "eventName": "INSERT",
            "dynamodb": {"SequenceNumber": str(number), "ApproximateCreationDateTime": NOW},
        }
        for number in numbers
    ]


def numbers(delivered: Sequence[Record]) -> list[int]:
    return [int(one["dynamodb"]["SequenceNumber"]) for one in delivered]


# --- time -----------------------------------------------------------------------------------


@dataclass
class Time:
    """Stands still while anything can be done, then goes on to the next sleeper."""

    now: float = 0.0
    _sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _number: count[int] = field(default_factory=count)

    async def sleep(self, seconds: float) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._number), wake))
        await wake

    async def run(
        self, work: Coroutine[Any, Any, None], until: Callable[[], bool], longest: float = 600
    ) -> None:
        """Runs the work until something holds, and cancels it; raises what it raises."""
        task = asyncio.create_task(work)
        try:
            while not until():
                for _ in range(30):
                    await asyncio.sleep(0)
                if task.done():
                    return task.result()
                if not until():
                    assert self.now < longest, "it does not come about"
                    self._go_on()
        finally:
            task.cancel()
            await asyncio.wait([task])
        return None

    def _go_on(self) -> None:
        self.now, _, wake = heapq.heappop(self._sleepers)
        if not wake.done():
            wake.set_result(None)


# --- the stream -----------------------------------------------------------------------------


class ExpiredIteratorException(ClientError):
    pass


class TrimmedDataAccessException(ClientError):
    pass


class ResourceNotFoundException(ClientError):
    pass


def fault(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "Scripted")


def told(kind: type[ClientError]) -> ClientError:
    return kind({"Error": {"Code": kind.__name__, "Message": ""}}, "Scripted")


@dataclass
class ScriptedShard:
    """`trimmed`: so many of the oldest records are gone. `listed`: DescribeStream has it."""

    records: list[Record] = field(default_factory=list)
    parent: str | None = None
    closed: bool = False
    trimmed: int = 0
    listed: bool = True


@dataclass
class ScriptedStream:
    """`faults` are raised first, by operation; `expired` iterators are known by their position
    (shard, index) and expire once; `calls` are (time, operation, shard or None)."""

    time: Time
    shards: dict[str, ScriptedShard]
    page: int = 1_000
    status: str = "ENABLED"
    gone: bool = False
    faults: dict[str, list[ClientError]] = field(default_factory=dict)
    expired: set[tuple[str, int]] = field(default_factory=set)
    calls: list[tuple[float, str, str | None]] = field(default_factory=list)
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(
            ExpiredIteratorException=ExpiredIteratorException,
            TrimmedDataAccessException=TrimmedDataAccessException,
            ResourceNotFoundException=ResourceNotFoundException,
        )
    )

    def times(self, operation: str, shard: str | None = None) -> list[float]:
        return [at for at, name, of in self.calls if (name, of) == (operation, shard)]

    async def describe_stream(self, **parameters: Any) -> dict[str, Any]:
        self._begin("describe_stream", None)
        if self.gone:
            raise told(ResourceNotFoundException)
        listed = [shard for shard in self.shards.items() if shard[1].listed]
        names = [name for name, _ in listed]
        after = parameters.get("ExclusiveStartShardId")
        start = names.index(after) + 1 if after else 0
        page = listed[start : start + parameters["Limit"]]
        answer: dict[str, Any] = {
            "Shards": [
                {"ShardId": name, **({"ParentShardId": shard.parent} if shard.parent else {})}
                for name, shard in page
            ]
        }
        if start + len(page) < len(listed):
            answer["LastEvaluatedShardId"] = page[-1][0]
        return {"StreamDescription": {**answer, "StreamStatus": self.status}}

    async def get_shard_iterator(self, **parameters: Any) -> dict[str, Any]:
        name = parameters["ShardId"]
        self._begin("get_shard_iterator", name)
        if name not in self.shards:
            raise told(ResourceNotFoundException)
        shard = self.shards[name]
        index = shard.trimmed
        if parameters["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER":
            known = [one["dynamodb"]["SequenceNumber"] for one in shard.records]
            index = known.index(parameters["SequenceNumber"]) + 1
        if index < shard.trimmed:
            raise told(TrimmedDataAccessException)
        return {"ShardIterator": f"{name}/{index}"}

    async def get_records(self, **parameters: Any) -> dict[str, Any]:
        name, _, at = parameters["ShardIterator"].partition("/")
        self._begin("get_records", name)
        if name not in self.shards:
            raise told(ResourceNotFoundException)
        shard, index = self.shards[name], int(at)
        if (name, index) in self.expired:
            self.expired.remove((name, index))
            raise told(ExpiredIteratorException)
        if index < shard.trimmed:
            raise told(TrimmedDataAccessException)
        found = shard.records[index : index + min(parameters["Limit"], self.page)]
        index += len(found)
        at_end = shard.closed and index == len(shard.records)
        return {"Records": found, **({} if at_end else {"NextShardIterator": f"{name}/{index}"})}

    def _begin(self, operation: str, shard: str | None) -> None:
        self.calls.append((self.time.now, operation, shard))
        if self.faults.get(operation):
            raise self.faults[operation].pop(0)


# --- the store ------------------------------------------------------------------------------


@dataclass
class Memory:
    """The rows of both tables; `faults` are raised by transactions first, `tokens` are theirs."""

    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)
    transactions: list[list[Action]] = field(default_factory=list)

    def put(self, *items: Item) -> None:
        for item in items:
            image = row(item)
            self.rows[Key(image[PK], image[SK])] = image

    def table(self) -> Table:
        return MemoryTable(cast("DynamoDBClient", None), "shop", 0.0, memory=self)


@dataclass
class MemoryTable(Table):
    memory: Memory = field(default_factory=Memory)

    async def query(self, query: Query, **_: Any) -> QueryPage[Row]:
        rows = [row for key, row in self.memory.rows.items() if key.pk == query.pk]
        return QueryPage(rows, len(rows), None)

    async def put(self, action: Put) -> None:
        there = self.memory.rows.get(action.key)
        if _fails(action, there):
            raise ConditionFailed("", there)
        self._carry_out(action)

    async def batch_write(self, rows: Sequence[Row]) -> None:
        for one in rows:
            self.memory.rows[Key(one[PK], one[SK])] = dict(one)

    async def transact(self, actions: Sequence[Action], *, token: str) -> None:
        if self.memory.faults:
            raise self.memory.faults.pop(0)
        found = [self.memory.rows.get(action.key) for action in actions]
        failed = [
            (there or {}) if _fails(action, there) else None
            for action, there in zip(actions, found, strict=True)
        ]
        if any(one is not None for one in failed):
            raise TransactionCancelled(failed)
        self.memory.transactions.append(list(actions))
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        rows = self.memory.rows
        match action:
            case Put():
                rows[action.key] = dict(action.row)
            case Delete():
                del rows[action.key]
            case Update(expression="ADD #count :by"):
                name = action.names["#count"]
                rows[action.key] = {
                    **rows[action.key],
                    name: rows[action.key][name] + action.values[":by"],
                }
            case Update():
                histogram = rows[action.key]["histogram"]
                rows[action.key] = {
                    **rows[action.key],
                    "histogram": [n + action.values[f":by{i}"] for i, n in enumerate(histogram)],
                }
            case _:
                raise TypeError(type(action).__name__)


def _fails(action: Action, there: Row | None) -> bool:
    """Whether the row breaks the action's condition, whose parts are joined by AND."""
    condition = action.condition
    if condition is None:
        return False
    for part in condition.expression.split(" AND "):
        name, _, value = part.rpartition("(")[2].rstrip(")").partition(" = ")
        found = (there or {}).get(condition.names[name])
        if part.startswith("attribute_not_exists"):
            holds = found is None
        elif part.startswith("attribute_exists"):
            holds = found is not None
        else:
            holds = found == condition.values[value]
        if not holds:
            return True
    return False
