"""A shop over rows in memory, good and bad, and the judge: an operation by its plan and by
graphql-core come to the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, partial
from typing import Any, cast

import orjson
import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    OperationDefinitionNode,
    execute,
    get_operation_ast,
    get_variable_values,
    parse,
    validate,
)
from graphql.execution.values import VariableValues
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from datasources.cursor import CursorCodec
from datasources.items import Address, Item, OrderLine, ProductStatus, Row, User, UserStatus
from datasources.keys import Keys
from resolvers import global_ids
from resolvers.changes import Seen
from resolvers.context import Context, Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.build import build_schema
from schema.errors import told
from schema.execution import MutationExecutor, MutationPlan, NotPlanned, Planner, Unfit
from streams.journal import MemoryJournal
from tests.support.items import NOW, category, order, product, review, user
from tests.support.memory import MemoryClient
from tests.support.shop import CURSOR_KEY, rows_of

KEYS = Keys("acme", 2)
ANYONE = Principal(None, "acme", False, None)
CUSTOMER = Principal("user-0", "acme", False, None)
STAFF = Principal("user-1", "acme", True, None)

SCHEMA = build_schema()

PRODUCTS = [
    product(0, description="All there is", image_url="https://example.com/0.png"),
    product(1, histogram=(1, 0, 2, 0, 4), inventory=0),
    product(2, category=None),
    product(3, category="gone"),
    product(4, status=ProductStatus.DRAFT),
    product(5, category="books", inventory=2**31, status=ProductStatus.ARCHIVED),  # no Int
    product(6, category="books", status=ProductStatus.ARCHIVED),
    product(7, category="books", name='Quotes " and \u2028 breaks\n'),
]
USERS = [
    user(0, first_name="Ada", status=UserStatus.ACTIVE),
    user(1, email=None, phone_number=None),
    user(2, status=UserStatus.SUSPENDED),
    User(id="user-3", username="erased", status=UserStatus.DELETED, created_at=NOW, updated_at=NOW),
]
REVIEWS = [
    review(n, PRODUCTS[n % 3].id, f"user-{n % 4}", comment=None if n % 2 else "Good")
    for n in range(9)
]
_LINES = tuple(
    OrderLine(product_id=each.id, product_name=each.name, quantity=n + 1, unit_price=700 + n)
    for n, each in enumerate([*PRODUCTS, product(99)])  # the last is gone
)
ORDERS = [
    order(0, lines=_LINES[:3]),
    order(1, lines=(*_LINES[3:5], _LINES[-1])),
    order(
        2,
        "user-2",
        shipping_address=Address(
            recipient="A", line1="B", city="C", postal_code="D", country_code="JP"
        ),
    ),
]
ITEMS: list[Item] = [
    *PRODUCTS,
    *USERS,
    *REVIEWS,
    *ORDERS,
    category("electronics", description="Things", product_count=3),
    category("books"),
]


def _torn(row: Row) -> Row:
    """A row that cannot be read: whoever needs it comes upon an error."""
    return {name: value for name, value in row.items() if name not in {"rating", "name"}}


@cache
def store() -> MemoryClient:
    client = MemoryClient()
    client.put(row for item in ITEMS for row in rows_of(KEYS, item))
    torn = rows_of(KEYS, product(50, category="torn"))[0]
    client.put([_torn(torn), *rows_of(KEYS, category("torn"))])
    return client


def ids() -> dict[str, list[str]]:
    """By kind: of all there is, of what is gone, and of a row that is torn."""
    found: dict[str, list[str]] = {}
    for item in [*ITEMS, product(99), product(50)]:
        found.setdefault(type(item).__name__, []).append(global_ids.of(item))
    return found


@cache
def shop() -> Shop:
    journal = MemoryJournal(lambda: NOW)
    return Shop(
        journal=journal,
        client=store().as_client(),
        table="shop",
        shards=2,
        currency=Currency("JPY", 0),
        cursors=CursorCodec([CURSOR_KEY]),
        deadline=600,
        read_budget=100,
        now=lambda: NOW,
    )


def context(principal: Principal) -> Context:
    return shop().operation(principal, "request-1", writes=False)


class Judge:
    """Runs operations both ways; `ended` counts how the plans did."""

    def __init__(self, schema: strawberry.Schema = SCHEMA) -> None:
        self._schema = schema
        self._planner = Planner(schema)
        self.ended: Counter[str] = Counter()

    async def agree(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        principal: Principal = CUSTOMER,
        event: Seen | None = None,
        *,
        valid: bool = False,
    ) -> bytes:
        """The answer by plan, which is graphql-core's, byte for byte. To validate takes longer
        than the rest together: what is known to be `valid` is not."""
        document = parse(query)
        assert valid or validate(self._schema._schema, document) == []
        refer = partial(referred, self._schema, document, variables or {}, event)
        expected = await refer(context(principal))
        how, answer = await self._by_plan(document, variables, refer, context(principal), event)
        self.ended[how] += 1
        # A second run finds its loaders filled: what fails does so in another order then, and
        # of several errors that null the same object others can be the first.
        assert orjson.dumps(answer.data) == orjson.dumps(expected.data), query
        assert nulled(answer) == nulled(expected), query
        if how == "planned":
            assert shown(answer) == shown(expected), query
        elif not expected.errors:
            self.ended["needless"] += 1
        elif shown(answer) == shown(expected):
            self.ended["same errors"] += 1
        return orjson.dumps([expected.data, shown(expected)])

    async def _by_plan(
        self,
        document: DocumentNode,
        variables: Mapping[str, Any] | None,
        refer: Callable[..., Awaitable[ExecutionResult]],
        own: Context,
        event: Seen | None,
    ) -> tuple[str, ExecutionResult]:
        definition, values = operation_of(document, variables, self._schema)
        try:
            plan = self._planner.plan(document, definition, values)
            if isinstance(plan, MutationPlan):
                unfit: list[str] = []
                gave_up = partial(unfit.append, "Unfit")
                answer = await refer(own, MutationExecutor, plan=plan, unfit=gave_up)
                return (unfit[0] if unfit else "planned"), answer
            return "planned", ExecutionResult(await plan.execute(event, own, values), None)
        except (NotPlanned, Unfit) as error:
            return type(error).__name__, await refer(own)


def operation_of(
    document: DocumentNode,
    variables: Mapping[str, Any] | None = None,
    schema: strawberry.Schema = SCHEMA,
) -> tuple[OperationDefinitionNode, VariableValues]:
    definition = get_operation_ast(document)
    assert definition is not None
    declared = definition.variable_definitions or ()
    values = get_variable_values(schema._schema, declared, dict(variables or {}))
    assert not isinstance(values, list)
    return definition, values


async def referred(
    schema: strawberry.Schema,
    document: DocumentNode,
    variables: Mapping[str, Any],
    root_value: object,
    own: object,
    executor: type[StrawberryGraphQLCoreExecutionContext] = StrawberryGraphQLCoreExecutionContext,
    **options: Any,
) -> ExecutionResult:
    """What the reference executor answers."""
    result = execute(
        schema._schema,
        document,
        root_value,
        context_value=own,
        variable_values=dict(variables),
        executor_class=executor,
        operation_extensions=None,
        **options,
    )
    return await result if isinstance(result, Awaitable) else result


def shown(answer: ExecutionResult) -> list[dict[str, Any]]:
    return told(answer.errors or [], "r")


def nulled(answer: ExecutionResult) -> set[tuple[str | int, ...]]:
    """Where the errors of an answer have left a null."""
    found = set()
    for error in answer.errors or []:
        value, place = cast("Any", answer.data), 0
        path = error.path or []
        while value is not None:
            value = value[path[place]]
            place += 1
        found.add(tuple(path[:place]))
    return found
