"""A shop over an open store: rows go in, operations run as somebody, calls are counted."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datasources import categories, orders, products, reviews, users
from datasources.cursor import CursorCodec
from datasources.items import Category, Item, Order, Product, Review, User
from datasources.keys import PK, SK, TTL, Key, Keys
from datasources.table import BATCH_WRITE_ROWS, Table
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.build import build_schema
from schema.errors import told
from schema.limits import Limits
from schema.operations.operation import Executor
from streams.journal import MemoryJournal
from tests.support.asked import requests_of
from tests.support.iam import Request
from tests.support.items import NOW
from tests.support.roles import deployed

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

API = deployed()
EXECUTOR = Executor(build_schema(), limits=Limits(), introspection=True)
CURSOR_KEY = "a key of sixteen or more"


def rows_of(keys: Keys, item: Item) -> list[dict[str, Any]]:
    """The rows that stand for an item in the table, those beside it included."""
    match item:
        case User():
            unique = [keys.username(item.username)]
            unique += [keys.email(item.email)] if item.email else []
            return [users.row(keys, item), *(users.unique_row(key, item.id) for key in unique)]
        case Category():
            return [categories.row(keys, item)]
        case Product():
            return [products.row(keys, item)]
        case Order():
            return [orders.row(keys, item)]
        case Review():
            return [reviews.row(keys, item), reviews.reviewed_row(keys, item)]
    raise TypeError(type(item).__name__)


async def keep_what_expires(client: DynamoDBClient, table: str) -> None:
    """Switches expiry off: the clock of a test stands still, and the store, whose own goes on,
    would sweep up as expired what a test has just written."""
    for name in (table, f"{table}-system"):
        await client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": False, "AttributeName": TTL}
        )


@dataclass(frozen=True)
class Call:
    """One request to DynamoDB: its operation, the index asked, and how many keys."""

    operation: str
    index: str | None
    keys: int


@dataclass
class Result:
    data: Any
    errors: list[dict[str, Any]]
    cost: float
    calls: list[Call]

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]

    def names(self) -> list[str]:
        """The operations called, in order."""
        return [call.operation for call in self.calls]


@dataclass
class TestShop:
    """One tenant of its own in a shared table, so that tests cannot meet."""

    __test__ = False

    client: DynamoDBClient
    table_name: str
    tenant: str
    shards: int = 4
    calls: list[Call] = field(default_factory=list)
    touched: set[Key] = field(default_factory=set)  # every row that a request was to write
    asked: list[Request] = field(default_factory=list)  # by operations, and not judged yet
    running: int = 0  # operations

    def __post_init__(self) -> None:
        self.keys = Keys(self.tenant, self.shards)
        self.client.meta.events.register("before-call.dynamodb", self._count)
        self.journal = MemoryJournal(lambda: NOW)
        self.shop = Shop(
            journal=self.journal,
            client=self.client,
            table=self.table_name,
            shards=self.shards,
            currency=Currency("JPY", 0),
            cursors=CursorCodec([CURSOR_KEY]),
            deadline=20,
            write_deadline=20,
            read_budget=2_000,
            now=lambda: NOW,
        )

    def table(self) -> Table:
        return Table(self.client, self.table_name, asyncio.get_running_loop().time() + 20)

    async def put(self, *items: Item) -> None:
        """Writes the items with all the rows beside them."""
        await self.put_rows(row for item in items for row in rows_of(self.keys, item))

    async def put_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        pending, table = list(rows), self.table()
        for start in range(0, len(pending), BATCH_WRITE_ROWS):
            await table.batch_write(pending[start : start + BATCH_WRITE_ROWS])

    async def ask(
        self,
        query: str,
        *,
        user: str | None = None,
        staff: bool = False,
        executor: Executor = EXECUTOR,
        **variables: Any,
    ) -> Result:
        """Runs a query as a user, as staff, or as nobody."""
        return await self._run(query, user, staff, executor, variables, writes=False)

    async def write(
        self, query: str, *, user: str | None = None, staff: bool = False, **variables: Any
    ) -> Result:
        """Runs a mutation as a user, as staff, or as nobody."""
        return await self._run(query, user, staff, EXECUTOR, variables, writes=True)

    async def _run(
        self,
        query: str,
        user: str | None,
        staff: bool,
        executor: Executor,
        variables: dict[str, Any],
        *,
        writes: bool,
    ) -> Result:
        operation = executor.prepare(query, None, variables)
        principal = Principal(user, self.tenant, staff, None)
        context = self.shop.operation(principal, "request-1", writes=writes)
        self.calls.clear()
        self.running += 1
        try:
            answer = await executor.run(operation, context)
        finally:
            self.running -= 1
        asked, self.asked = self.asked, []
        assert API.refused(asked, self.table_name, self.tenant) == []
        return Result(
            answer.data,
            told(answer.errors, "request-1"),
            context.table.meter.read_units,
            list(self.calls),
        )

    def _count(self, model: Any, params: Any, **_: Any) -> None:
        request = json.loads(params["body"])
        parts = request.get("RequestItems", {}).values() if model.name == "BatchGetItem" else ()
        keys = sum(len(part["Keys"]) for part in parts)
        self.calls.append(Call(model.name, request.get("IndexName"), keys))
        self.touched |= _written(model.name, request)
        if self.running:
            self.asked += requests_of(model.name, request)


def _written(operation: str, request: Mapping[str, Any]) -> set[Key]:
    """The keys of the rows that a request writes, or holds to a condition."""
    entries = list(request.get("TransactItems", ()))
    if operation == "BatchWriteItem":
        entries += itertools.chain(*request["RequestItems"].values())
    bodies = [body for entry in entries for body in entry.values()]
    rows = [body.get("Item") or body["Key"] for body in bodies]
    return {Key(row[PK]["S"], row[SK]["S"]) for row in rows}
