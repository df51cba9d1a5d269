"""PartiQL statements that read, run page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datasources.calls import units_of
from datasources.errors import ConfigurationError
from datasources.operating.partiql import Select
from datasources.operating.refusals import explained

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import (
        ExecuteStatementInputTypeDef,
        KeySchemaElementTypeDef,
    )

_UNREAD = "Nothing was read"
_PAGES_A_REPORT = 20


@dataclass
class Answer:
    """Rows in DynamoDB's JSON; `is_all`: there are no more."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    units: float = 0.0
    requests: int = 0
    is_all: bool = False


async def keys_of(client: DynamoDBClient, select: Select) -> tuple[str, ...]:
    """The key attributes of what is selected from, the partition key first; ConfigurationError
    for a table or an index that is not there."""
    with explained(_UNREAD):
        try:
            table = (await client.describe_table(TableName=select.table))["Table"]
        except client.exceptions.ResourceNotFoundException:
            raise ConfigurationError(
                f"{_UNREAD}: the store has no table {select.table}; check the statement, "
                "CARTOGRAPH_STORE and CARTOGRAPH_REGION."
            ) from None
    if select.index is None:
        return _names(table["KeySchema"])
    indexes = [*table.get("GlobalSecondaryIndexes", []), *table.get("LocalSecondaryIndexes", [])]
    for index in indexes:
        if index.get("IndexName") == select.index:
            return _names(index.get("KeySchema", []))
    raise ConfigurationError(f"{_UNREAD}: table {select.table} has no index {select.index}.")


def _names(schema: Sequence[KeySchemaElementTypeDef]) -> tuple[str, ...]:
    ordered = sorted(schema, key=lambda key: key["KeyType"])  # HASH sorts before RANGE
    return tuple(key["AttributeName"] for key in ordered)


def check_lookup(select: Select, keys: Sequence[str]) -> None:
    """ConfigurationError for a statement that DynamoDB may read the whole table for, or the
    whole index: one whose condition does not hold the partition key to a value or a list."""
    if keys[0] not in select.held:
        what = f"index {select.index}" if select.index else f"table {select.table}"
        raise ConfigurationError(
            f"The statement may read all of {what}: its condition should have {keys[0]} = a value, "
            f"or {keys[0]} IN a list, and no more of {keys[0]}; --allow-scan runs it nonetheless."
        )


async def run(
    client: DynamoDBClient,
    select: Select,
    keys: Sequence[str],
    parameters: Sequence[Mapping[str, Any]],
    *,
    most: int,
    report: Callable[[str], None],
) -> Answer:
    """Up to `most` rows, from as many pages as they take."""
    answer = Answer()
    # Behind a filter few of the rows that are read may be left: then pages are as they come.
    is_exact = select.names <= set(keys)
    request: ExecuteStatementInputTypeDef = {
        "Statement": select.text,
        "ReturnConsumedCapacity": "TOTAL",
    }
    if parameters:
        request["Parameters"] = list(parameters)
    while len(answer.rows) < most and not answer.is_all:
        if is_exact:
            request["Limit"] = most - len(answer.rows)
        with explained(_UNREAD):
            page = await client.execute_statement(**request)
        answer.requests += 1
        answer.units += units_of(page)
        answer.rows += page.get("Items", [])
        if token := page.get("NextToken"):
            request["NextToken"] = token
        answer.is_all = not token
        if not answer.is_all and answer.requests % _PAGES_A_REPORT == 0:
            report(f"{answer.requests} requests, {answer.units:g} units so far")
    answer.is_all &= len(answer.rows) <= most
    del answer.rows[most:]
    return answer
