"""DynamoDB's reads over rows in memory: what a Query gives and where it stops, call by call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from datasources.attributes import decode_row, encode_row
from datasources.items import Row
from datasources.keys import GSI3, PK, SK, Key
from datasources.table import Table

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

SHAPES = {
    "#pk = :pk",
    "#pk = :pk AND #sk >= :low",
    "#pk = :pk AND #sk <= :high",
    "#pk = :pk AND #sk BETWEEN :low AND :high",
}


@dataclass
class MemoryClient:
    """`page_rows` is the number of rows after which a page is full whatever its limit, as one
    of 1 MB is; `ghosts` are rows that an index still has and the table no longer."""

    page_rows: int = 1_000_000
    rows: dict[Key, Row] = field(default_factory=dict)
    ghosts: list[Row] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def put(self, rows: Iterable[Row]) -> None:
        self.rows |= {Key(row[PK], row[SK]): row for row in rows}

    def table(self) -> Table:
        return Table(
            self.as_client(), "shop", asyncio.get_running_loop().time() + 60, jitter=lambda *_: 0
        )

    def as_client(self) -> DynamoDBClient:
        return cast("DynamoDBClient", self)

    def named(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each call of one operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    async def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        self.calls.append(("batch_get_item", parameters))
        [(table, request)] = parameters["RequestItems"].items()
        keys = [Key(**_lowered(decode_row(key))) for key in request["Keys"]]
        if len(keys) > 100 or len(set(keys)) < len(keys):
            raise _refused("BatchGetItem", "too many keys, or one twice")
        found = [encode_row(self.rows[key]) for key in keys if key in self.rows]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    async def query(self, **parameters: Any) -> dict[str, Any]:
        self.calls.append(("query", parameters))
        if parameters["KeyConditionExpression"] not in SHAPES:
            raise _refused("Query", "no key condition")
        if _crossed(parameters) or parameters["Limit"] < 1:
            raise _refused("Query", "the ends of BETWEEN have crossed, or no limit")
        pk_name, sk_name = _key_names(parameters.get("IndexName"))
        ordered = sorted(
            (row for row in self._candidates(parameters) if _matches(row, parameters)),
            key=lambda row: (row[sk_name], row[PK], row[SK]),
            reverse=not parameters["ScanIndexForward"],
        )
        start = parameters.get("ExclusiveStartKey")
        if start is not None:
            ordered = _behind(ordered, decode_row(start), sk_name, parameters["ScanIndexForward"])
        size = min(parameters["Limit"], self.page_rows)
        page, rest = ordered[:size], ordered[size:]
        answer: dict[str, Any] = {
            "Items": [
                _projected(row, parameters.get("IndexName"))
                for row in page
                if _passes(row, parameters)
            ],
            "ScannedCount": len(page),
            "ConsumedCapacity": {"CapacityUnits": 0.5},
        }
        # A page that its limit has filled names a start even where nothing is left.
        if rest or len(page) == parameters["Limit"]:
            names = {PK, SK, pk_name, sk_name}
            answer["LastEvaluatedKey"] = encode_row({n: page[-1][n] for n in names})
        return answer

    def _candidates(self, parameters: Mapping[str, Any]) -> list[Row]:
        index = parameters.get("IndexName")
        pk_name, _ = _key_names(index)
        wanted = parameters["ExpressionAttributeValues"][":pk"]["S"]
        every = [*self.rows.values(), *(self.ghosts if index else ())]
        return [row for row in every if row.get(pk_name) == wanted]


def _key_names(index: str | None) -> tuple[str, str]:
    return (f"{index}PK", f"{index}SK") if index else (PK, SK)


def _lowered(key: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in key.items()}


def _crossed(parameters: Mapping[str, Any]) -> bool:
    values = decode_row(parameters["ExpressionAttributeValues"])
    return ":low" in values and ":high" in values and values[":low"] > values[":high"]


def _matches(row: Row, parameters: Mapping[str, Any]) -> bool:
    _, sk_name = _key_names(parameters.get("IndexName"))
    values = decode_row(parameters["ExpressionAttributeValues"])
    low, high = values.get(":low"), values.get(":high")
    return (low is None or row[sk_name] >= low) and (high is None or row[sk_name] <= high)


def _passes(row: Row, parameters: Mapping[str, Any]) -> bool:
    if "FilterExpression" not in parameters:
        return True
    name = parameters["ExpressionAttributeNames"]["#filter"]
    wanted = parameters["ExpressionAttributeValues"][":filter"]["S"]
    return bool(row.get(name) == wanted)


def _behind(ordered: list[Row], start: Mapping[str, str], sk_name: str, forward: bool) -> list[Row]:
    edge = (start[sk_name], start[PK], start[SK])
    places = [(row[sk_name], row[PK], row[SK]) for row in ordered]
    return [
        row
        for row, place in zip(ordered, places, strict=True)
        if (place > edge if forward else place < edge)
    ]


def _projected(row: Row, index: str | None) -> dict[str, Any]:
    if index != GSI3:
        return dict(encode_row(row))
    pk_name, sk_name = _key_names(index)
    return dict(encode_row({name: row[name] for name in (PK, SK, pk_name, sk_name)}))


def _refused(operation: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, operation)
