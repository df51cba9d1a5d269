"""What observers of a table are told: how much of everything, and of nothing what it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from datasources.calls import Call, Observers
from datasources.errors import StoreError, Throttled
from datasources.keys import GSI1, PK, SK, Key
from datasources.queries import Query
from datasources.table import Table
from datasources.writes import PRESENT, Update

ROW = {PK: {"S": "swordfish"}, SK: {"S": "METADATA"}}
CAPACITY = {"TableName": "shop", "CapacityUnits": 1.5}
KEY = Key("swordfish", "METADATA")


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "swordfish"}}, "Query")


class Client:
    """Answers each call with the next of what it was given, and none after the last."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)

    def __getattr__(self, _name: str) -> Any:
        return self._answer

    async def _answer(self, **_parameters: Any) -> dict[str, Any]:
        if not self._answers:
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Told:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.batches: list[tuple[str, int]] = []

    def called(self, call: Call) -> None:
        self.calls.append(call)

    def batched(self, loader: str, size: int) -> None:
        self.batches.append((loader, size))

    def found(self, kept: int, asked: int) -> None:
        raise AssertionError("there is no cache")


def table(told: Told, *answers: dict[str, Any] | Exception, seconds: float = 60) -> Table:
    client: Any = Client(*answers)
    deadline = asyncio.get_running_loop().time() + seconds
    return Table(client, "shop", deadline, jitter=lambda *_: 0, observer=told)


def counts(call: Call) -> tuple[Any, ...]:
    return (call.operation, call.table, call.index, call.keys, call.items, call.left, call.units)


async def test_a_query_is_told_with_its_index_and_what_came() -> None:
    told = Told()
    answer = {"Items": [ROW, ROW], "ScannedCount": 2, "ConsumedCapacity": CAPACITY}

    await table(told, answer).query(Query("swordfish", index=GSI1), limit=5)

    (call,) = told.calls
    assert counts(call) == ("Query", "shop", GSI1, 1, 2, 0, 1.5)
    assert (call.attempt, call.error) == (1, None)
    assert call.seconds >= 0
    assert "swordfish" not in repr(call)


async def test_a_batch_is_told_with_its_keys_and_what_was_left_over() -> None:
    told = Told()
    left = {"shop": {"Keys": [ROW]}}
    some = {"Responses": {"shop": [ROW]}, "UnprocessedKeys": left, "ConsumedCapacity": [CAPACITY]}
    rest = {"Responses": {"shop": []}, "ConsumedCapacity": [CAPACITY]}

    await table(told, some, rest).batch_get([KEY, Key("other", "METADATA")])

    assert [counts(call)[3:6] for call in told.calls] == [(2, 1, 1), (1, 0, 0)]


async def test_writes_are_told_with_their_rows() -> None:
    told = Told()
    shop = table(told, {"UnprocessedItems": {}}, {"ConsumedCapacity": [CAPACITY]})

    await shop.batch_write([{"PK": "a", "SK": "b"}] * 3)
    await shop.transact([Update(KEY, "SET #a = :a", {"#a": "a"}, {":a": 1}, PRESENT)], token="t")

    assert [(call.operation, call.keys, call.units) for call in told.calls] == [
        ("BatchWriteItem", 3, 0.0),
        ("TransactWriteItems", 1, 1.5),
    ]


async def test_each_attempt_is_told_with_what_became_of_it() -> None:
    told = Told()
    first, then = refused("ThrottlingException"), {"Items": [], "ScannedCount": 0}

    await table(told, first, then).query(Query("p"), limit=1)

    assert [(call.attempt, call.error) for call in told.calls] == [(1, "Throttled"), (2, None)]


async def test_a_call_that_fails_is_told_by_the_class_of_its_error() -> None:
    told = Told()
    with pytest.raises(StoreError):
        await table(told, refused("ValidationException")).query(Query("p"), limit=1)
    assert [call.error for call in told.calls] == ["StoreError"]
    assert "swordfish" not in repr(told.calls)


async def test_a_call_past_the_deadline_is_told() -> None:
    told = Told()
    with pytest.raises(StoreError):
        await table(told, seconds=0).query(Query("p"), limit=1)
    assert [call.error for call in told.calls] == ["DeadlineExceeded"]


async def test_several_observers_are_told_alike() -> None:
    one, other = Told(), Told()
    both = Observers(one, None, other)
    call = Call("Query", "shop", None, 1, 0, 0, 0.5, 0.0, 0.1, 1, Throttled.__name__)
    both.called(call)
    both.batched("items", 3)
    assert one.calls == other.calls == [call]
    assert one.batches == other.batches == [("items", 3)]
