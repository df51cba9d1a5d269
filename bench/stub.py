"""A DynamoDB that is faster than whoever asks: every answer to a read is made once, then kept.

`python -m bench.stub PORT [PRODUCTS [OLDER]]` serves the shop of `bench.shelf`. It answers as
DynamoDB does (rows, units, checksum) what the measured servers ask, and refuses anything else;
writes it accepts and forgets. Two addresses are for who measures: GET /counts tells how often
each operation was called, POST /sell takes one unit of one product, as a record of the stream.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
import zlib
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import httptools
import orjson
import uvloop

from bench.shelf import TABLE, Shelf, stock
from datasources.attributes import encode_row
from datasources.keys import PK, SK, partition_attribute, sort_attribute
from datasources.operating.provision import TableDefinition, read_template

TEMPLATE = Path(__file__).parents[1] / "infra" / "template.yaml"
HOST = "127.0.0.1"
STREAM = "arn:aws:dynamodb:ap-northeast-1:000000000000:table/cartograph/stream/bench"
SHARD = "shardId-00000001"
READS = frozenset(("GetItem", "BatchGetItem", "Query"))
_ALL = "\U0010ffff"  # above every sort key
_NAME = r"([#\w]+)"
_EQUALS = re.compile(_NAME + r" = (:\w+)")
_BEGINS = re.compile(r"begins_with\(" + _NAME + r", (:\w+)\)")
_BETWEEN = re.compile(_NAME + r" BETWEEN (:\w+) AND (:\w+)")

Body = dict[str, Any]


class Refused(Exception):
    """What this store does not know how to do."""


class Store:
    def __init__(self, shelf: Shelf) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: dict[tuple[str, bytes], bytes] = {}
        self._tables = {one.name: one for one in read_template(TEMPLATE, TABLE)}
        self._rows: dict[tuple[str, str], Body] = {}
        partitions: dict[tuple[str, str], list[tuple[str, Body]]] = defaultdict(list)
        for row in shelf.rows:
            encoded: Body = dict(encode_row(row))
            self._rows[row[PK], row[SK]] = encoded
            for index in (None, "GSI1", "GSI2", "GSI3"):
                pk, sk = partition_attribute(index), sort_attribute(index)
                if pk in row:
                    partitions[index or "", row[pk]].append((row[sk], encoded))
        for partition in partitions.values():
            partition.sort(key=itemgetter(0))
        self._partitions = partitions
        watched = {"S": shelf.watched.id}
        self._sold = next(row for row in self._rows.values() if row.get("id") == watched)
        self._records: list[Body] = []
        self.told = 0.0  # when the last record was given away, by the monotonic clock

    def answer(self, operation: str, raw: bytes) -> bytes:
        """A whole HTTP response."""
        self.counts[operation] += 1
        kept = self._kept.get((operation, raw))
        if kept is not None:
            return kept
        method = getattr(self, f"_{operation}", None)
        if method is None:
            raise Refused(f"no such operation here: {operation}")
        answer = response(orjson.dumps(method(orjson.loads(raw))))
        if operation in READS:
            self._kept[operation, raw] = answer
        return answer

    # Reading and writing.

    def _GetItem(self, body: Body) -> Body:  # noqa: N802 named as the operation is
        row = self._row(body["Key"])
        item = {"Item": row} if row else {}
        return item | _consumed(body, [row or {}])

    def _BatchGetItem(self, body: Body) -> Body:  # noqa: N802
        [(table, asked)] = body["RequestItems"].items()
        rows = [row for key in asked["Keys"] if (row := self._row(key))]
        consumed = _consumed(body, rows)
        if consumed:
            consumed["ConsumedCapacity"] = [consumed["ConsumedCapacity"]]
        return {"Responses": {table: rows}, "UnprocessedKeys": {}, **consumed}

    def _Query(self, body: Body) -> Body:  # noqa: N802
        if body.keys() & {"ExclusiveStartKey", "FilterExpression"}:
            raise Refused(f"this query is not foreseen: {body}")
        index = body.get("IndexName")
        pk, low, high = _key_range(body, index)
        entries = self._partitions.get((index or "", pk), [])
        start = bisect_left(entries, low, key=itemgetter(0))
        found = entries[start : bisect_right(entries, high, key=itemgetter(0))]
        if not body.get("ScanIndexForward", True):
            found.reverse()
        limit = body.get("Limit", len(found))
        rows = [row for _, row in found[:limit]]
        answer = {"Items": rows, "Count": len(rows), "ScannedCount": len(rows)}
        if len(rows) == limit and rows:
            names = {PK, SK, partition_attribute(index), sort_attribute(index)}
            answer["LastEvaluatedKey"] = {name: rows[-1][name] for name in names}
        return answer | _consumed(body, [rows])

    def _TransactWriteItems(self, body: Body) -> Body:  # noqa: N802
        if "ReturnConsumedCapacity" not in body:
            return {}
        units = 2.0 * len(body["TransactItems"])
        return {"ConsumedCapacity": [{"TableName": TABLE, "CapacityUnits": units}]}

    def _PutItem(self, body: Body) -> Body:  # noqa: N802
        return _consumed(body, [])

    def _BatchWriteItem(self, _body: Body) -> Body:  # noqa: N802
        return {"UnprocessedItems": {}}

    def _row(self, key: Body) -> Body | None:
        return self._rows.get((key[PK]["S"], key[SK]["S"]))

    # The table and its stream.

    def _DescribeTable(self, body: Body) -> Body:  # noqa: N802
        return {"Table": _description(self._tables[body["TableName"]])}

    def _DescribeStream(self, _body: Body) -> Body:  # noqa: N802
        numbers = {"StartingSequenceNumber": "1"}
        shards = [{"ShardId": SHARD, "SequenceNumberRange": numbers}]
        about = {"StreamArn": STREAM, "StreamStatus": "ENABLED", "Shards": shards}
        return {"StreamDescription": about}

    def _GetShardIterator(self, body: Body) -> Body:  # noqa: N802
        return {"ShardIterator": body.get("SequenceNumber", "0")}

    def _GetRecords(self, body: Body) -> Body:  # noqa: N802
        records = self._records[int(body["ShardIterator"]) :]
        if records:
            self.told = time.monotonic()
        return {"Records": records, "NextShardIterator": str(len(self._records))}

    def sell(self) -> Body:
        """Takes a unit of the watched product; the record that tells of it."""
        before, after = self._sold, dict(self._sold)
        after["inventory"] = {"N": str(int(before["inventory"]["N"]) - 1)}
        self._sold = after
        number = str(len(self._records) + 1)
        record = {
            "eventID": f"event-{number}",
            "eventName": "MODIFY",
            "eventSource": "aws:dynamodb",
            "dynamodb": {
                "ApproximateCreationDateTime": int(time.time()),
                "Keys": {PK: before[PK], SK: before[SK]},
                "SequenceNumber": number,
                "SizeBytes": 2 * len(orjson.dumps(before)),
                "StreamViewType": "NEW_AND_OLD_IMAGES",
                "OldImage": before,
                "NewImage": after,
            },
        }
        self._records.append(record)
        return record


def _key_range(body: Body, index: str | None) -> tuple[str, str, str]:
    """The partition key, and the least and the greatest sort key."""
    expression = body["KeyConditionExpression"]
    names: Mapping[str, str] = body.get("ExpressionAttributeNames", {})
    values = {name: value["S"] for name, value in body["ExpressionAttributeValues"].items()}
    equal = {names.get(name, name): values[value] for name, value in _EQUALS.findall(expression)}
    low, high = "", _ALL
    if found := _BETWEEN.search(expression):
        low, high = values[found[2]], values[found[3]]
    elif found := _BEGINS.search(expression):
        low, high = values[found[2]], values[found[2]] + _ALL
    elif not _EQUALS.fullmatch(expression):
        raise Refused(f"this condition is not foreseen: {expression}")
    return equal[partition_attribute(index)], low, high


def _consumed(body: Body, read: list[Any]) -> Body:
    """Half a unit for each 4 KB of what was read, by the size of its JSON."""
    if "ReturnConsumedCapacity" not in body:
        return {}
    units = sum(0.5 * -(-len(orjson.dumps(one)) // 4096) for one in read)
    return {"ConsumedCapacity": {"TableName": TABLE, "CapacityUnits": units}}


def _description(table: TableDefinition) -> Body:
    types = dict(table.keys) | {name: kind for index in table.indexes for name, kind in index.keys}
    description: Body = {
        "TableName": table.name,
        "TableStatus": "ACTIVE",
        "KeySchema": _key_schema(table.keys),
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index.name,
                "KeySchema": _key_schema(index.keys),
                "Projection": {"ProjectionType": index.projection},
            }
            for index in table.indexes
        ],
    }
    if table.stream:
        description["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream}
        description["LatestStreamArn"] = STREAM
    return description


def _key_schema(keys: tuple[tuple[str, Any], ...]) -> list[Body]:
    roles = ("HASH", "RANGE")
    return [
        {"AttributeName": name, "KeyType": role}
        for (name, _), role in zip(keys, roles, strict=True)
    ]


def response(body: bytes, status: bytes = b"200 OK") -> bytes:
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.0\r\nx-amz-crc32: %d\r\n"
        b"x-amzn-RequestId: 00000000000000000000000000\r\nContent-Length: %d\r\n\r\n%b"
        % (status, zlib.crc32(body), len(body), body)
    )


class Connection(asyncio.Protocol):
    """HTTP/1.1 with one request at a time, as the clients of DynamoDB speak it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._own: dict[bytes, Callable[[], Body]] = {
            b"/counts": lambda: dict(store.counts),
            b"/sell": store.sell,
            b"/told": lambda: {"at": store.told},
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._operation = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 12 and name.lower() == b"x-amz-target":
            self._operation = value.partition(b".")[2]

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if own := self._own.get(self._url):
            answer = response(orjson.dumps(own()))
        else:
            try:
                answer = self._store.answer(self._operation.decode(), self._body)
            except Refused as refused:
                print(f"stub: {refused}", file=sys.stderr, flush=True)
                told = {"__type": "ValidationException", "message": str(refused)}
                answer = response(orjson.dumps(told), b"400 Bad Request")
        self._transport.write(answer)


async def main(port: int, *size: int) -> None:
    store = Store(stock(*size))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(store), HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
