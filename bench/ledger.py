"""What every call of DynamoDB takes: capacity units, by table and by index.

Writes are taken as the store reports them. Reads are counted here, by the bytes of the rows that
were read, as "DynamoDB read and write operations" in the Developer Guide has it: the embedded
store reports nothing of BatchGetItem, and of a Query one row's worth whatever it read. So are the
conditions in a transaction on rows that it does not write, of which it reports nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from datasources.attributes import decode_row, row_size
from datasources.client import CLIENT_ERRORS
from datasources.keys import GSI1, GSI2, GSI3

READ_UNIT = 4_096  # bytes, strongly consistent; half a unit where that is not asked for
WRITE_UNIT = 1_024
TABLE, SYSTEM = "table", "system"
PLACES = (TABLE, GSI1, GSI2, GSI3, SYSTEM)
_TRANSACTIONAL = 2  # a row is prepared, then committed

# For whom a call is made.
reason: ContextVar[str] = ContextVar("reason", default="")

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `read` and `written` are units by place: the table, its indexes, and the table
    that the service keeps for itself."""

    reason: str
    operation: str
    read: Mapping[str, float]
    written: Mapping[str, float]


@dataclass(slots=True)
class Sum:
    """What some calls take together."""

    requests: int = 0
    read: dict[str, float] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Sum:
        found = cls()
        for entry in entries:
            found.requests += 1
            _add(found.read, entry.read)
            _add(found.written, entry.written)
        return found

    @property
    def reads(self) -> float:
        return sum(self.read.values())

    @property
    def writes(self) -> float:
        return sum(self.written.values())


def read_units(sizes: Iterable[int], *, consistent: bool) -> float:
    """Of rows that are read each by its key: each is rounded up by itself, and one that is not
    there counts as the smallest."""
    return sum(max(1, -(-size // READ_UNIT)) for size in sizes) * (1.0 if consistent else 0.5)


def query_units(sizes: Iterable[int], *, consistent: bool) -> float:
    """Of rows that one Query reads: they are added up first."""
    return read_units([sum(sizes)], consistent=consistent)


def write_units(size: int, *, transactional: bool = False) -> float:
    """Of one row in the table, by the larger of what it was and what it is."""
    return float(max(1, -(-size // WRITE_UNIT)) * (_TRANSACTIONAL if transactional else 1))


class Ledger:
    """A client that keeps account of what the one behind it is asked. Of writes that were `refused`
    it has no account but how many there were."""

    def __init__(self, client: Any, system: str) -> None:
        self._client = client
        self._system = system
        self.entries: list[Entry] = []
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def take(self) -> list[Entry]:
        """What there has been since the last time."""
        taken, self.entries = self.entries, []
        return taken

    async def batch_get_item(self, **parameters: Any) -> Answer:
        answer: Answer = await self._client.batch_get_item(**parameters)
        read: dict[str, float] = {}
        for table, asked in parameters["RequestItems"].items():
            sizes = [size_of(row) for row in answer["Responses"].get(table, ())]
            left = len(answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ()))
            sizes += [0] * (len(asked["Keys"]) - left - len(sizes))
            units = read_units(sizes, consistent=asked.get("ConsistentRead", False))
            _add(read, {self._place(table): units})
        self._note("BatchGetItem", read=read)
        return answer

    async def query(self, **parameters: Any) -> Answer:
        answer: Answer = await self._client.query(**parameters)
        rows = answer["Items"]
        if "FilterExpression" in parameters or "ProjectionExpression" in parameters:
            # What was left out has been read all the same.
            rows = (await self._client.query(**_whole(parameters)))["Items"]
        units = query_units(map(size_of, rows), consistent=parameters.get("ConsistentRead", False))
        place = parameters.get("IndexName") or self._place(parameters["TableName"])
        self._note("Query", read={place: units})
        return answer

    async def put_item(self, **parameters: Any) -> Answer:
        return await self._write("PutItem", self._client.put_item, parameters)

    async def batch_write_item(self, **parameters: Any) -> Answer:
        return await self._write("BatchWriteItem", self._client.batch_write_item, parameters)

    async def transact_write_items(self, **parameters: Any) -> Answer:
        checks = await self._checks(parameters["TransactItems"])
        return await self._write(
            "TransactWriteItems", self._client.transact_write_items, parameters, checks
        )

    async def _write(
        self,
        operation: str,
        method: Callable[..., Any],
        parameters: Mapping[str, Any],
        besides: Mapping[str, float] | None = None,
    ) -> Answer:
        try:
            answer: Answer = await method(**{**parameters, "ReturnConsumedCapacity": "INDEXES"})
        except CLIENT_ERRORS:
            # It is paid for all the same; the store does not say with how much.
            self.refused += 1
            raise
        written = dict(besides or {})
        reported = answer.get("ConsumedCapacity") or []
        for one in reported if isinstance(reported, list) else [reported]:
            _add(written, self._places(one))
        self._note(operation, written=written)
        return answer

    async def _checks(self, actions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Units of the conditions on rows that are not written."""
        written: dict[str, float] = {}
        for check in (action["ConditionCheck"] for action in actions if "ConditionCheck" in action):
            found = await self._client.get_item(TableName=check["TableName"], Key=check["Key"])
            units = write_units(size_of(found.get("Item", {})), transactional=True)
            _add(written, {self._place(check["TableName"]): units})
        return written

    def _places(self, reported: Mapping[str, Any]) -> dict[str, float]:
        indexes = {
            name: one["CapacityUnits"]
            for name, one in reported.get("GlobalSecondaryIndexes", {}).items()
        }
        own = reported["CapacityUnits"] - sum(indexes.values())
        return {self._place(reported["TableName"]): own, **indexes}

    def _place(self, table: str) -> str:
        return SYSTEM if table == self._system else TABLE

    def _note(
        self,
        operation: str,
        *,
        read: Mapping[str, float] | None = None,
        written: Mapping[str, float] | None = None,
    ) -> None:
        self.entries.append(Entry(reason.get(), operation, read or {}, written or {}))


def size_of(row: Mapping[str, Any] | msgspec.Raw) -> int:
    """Bytes of a row as it is sent, read already or not; a row that is not there has none."""
    return row_size(decode_row(orjson.loads(bytes(row)) if isinstance(row, msgspec.Raw) else row))


def _whole(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same query, nothing left out of its answer. A name or a value that is given has to be
    used."""
    left = dict(parameters)
    for name in ("FilterExpression", "ProjectionExpression"):
        left.pop(name, None)
    condition = left["KeyConditionExpression"]
    for name in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        given = left[name].items()
        left[name] = {key: value for key, value in given if key in condition.split()}
    return left


def _add(to: dict[str, float], more: Mapping[str, float]) -> None:
    for place, units in more.items():
        to[place] = to.get(place, 0.0) + units
