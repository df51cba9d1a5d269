"""The tables of `infra/template.yaml`: creates what is missing, checks what is there.

Whatever parameters the template is deployed with, the tables made from here are those of its
defaults. Nothing that exists is altered but for what leaves every row as it is: expiry and
point-in-time recovery are switched on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError

from datasources.client import CLIENT_ERRORS, as_store_error
from datasources.errors import ConfigurationError
from datasources.operating.templates import evaluate, load_template

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.literals import (
        KeyTypeType,
        ProjectionTypeType,
        ScalarAttributeTypeType,
        StreamViewTypeType,
    )
    from types_aiobotocore_dynamodb.type_defs import (
        CreateTableInputTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
        TableDescriptionTypeDef,
        WaiterConfigTypeDef,
    )

# Values of the template's parameters that stand in for its defaults.
PARAMETERS: dict[str, Any] = {}
SECONDS_TO_ACTIVE = 300
SECONDS_TO_RECOVERY = 60
# What a store says that has no such call: DynamoDB Local, a plain HTTP 501, other emulators.
NO_SUCH_CALL = frozenset("UnknownOperationException 501 NotImplemented InvalidAction".split())

Keys: TypeAlias = "tuple[tuple[str, ScalarAttributeTypeType], ...]"
"""(attribute, type) of the partition key and the sort key."""


@dataclass(frozen=True)
class Index:
    """A global secondary index; `projection` is ALL or KEYS_ONLY."""

    name: str
    keys: Keys
    projection: ProjectionTypeType


@dataclass(frozen=True)
class TableDefinition:
    """What a table must be. `stream` is the view type, None without a stream."""

    name: str
    keys: Keys
    indexes: tuple[Index, ...] = ()
    stream: StreamViewTypeType | None = None
    ttl: str | None = None
    recovery: bool = False
    encrypted: bool = False
    protected: bool = False


async def provision(client: DynamoDBClient, table: str, template: Path) -> list[str]:
    """Creates the main table, named `table`, and `table`-system where they are missing.

    Returns a line for each thing done, none when all was there. Raises ConfigurationError for
    a table that differs from the template, or a store that does not answer; StoreError for
    what the store refuses, e.g. a permission.
    """
    done = []
    for definition in read_template(template, table):
        found = await _describe(client, definition.name)
        try:
            if found is None:
                await _create(client, definition)
                done.append(f"created table {definition.name}")
            else:
                _compare(found, definition)
            await _until_active(client, definition.name)
            done += await _expiry(client, definition)
            done += await _recovery(client, definition)
        except CLIENT_ERRORS as error:
            raise as_store_error(error) from None
    return done


async def check(client: DynamoDBClient, table: str, template: Path) -> None:
    """Raises ConfigurationError unless both tables are there, as the template has them."""
    for definition in read_template(template, table):
        found = await _describe(client, definition.name)
        if found is None:
            raise ConfigurationError(
                f"CARTOGRAPH_TABLE: table {definition.name} is not in the store; "
                "`cartograph table` creates it."
            )
        _compare(found, definition)


# --- the template ------------------------------------------------------------------------


def read_template(template: Path, table: str) -> tuple[TableDefinition, TableDefinition]:
    """The main table, named `table`, and the system table, named `table`-system."""
    document = load_template(template)
    declared = document.get("Parameters", {}).items()
    defaults = {name: one["Default"] for name, one in declared if "Default" in one}
    scope = {**document, "Parameters": defaults | PARAMETERS}

    def definition(resource: str, name: str) -> TableDefinition:
        return _defined(name, evaluate(document["Resources"][resource]["Properties"], scope))

    return definition("MainTable", table), definition("SystemTable", f"{table}-system")


def _defined(name: str, properties: dict[str, Any]) -> TableDefinition:
    own = properties["Replicas"][0]  # of a global table, its first Region's
    ttl = properties.get("TimeToLiveSpecification", {})
    recovery = own.get("PointInTimeRecoverySpecification", {})
    return replace(
        _shape(name, properties),
        ttl=ttl.get("AttributeName") if ttl.get("Enabled") else None,
        recovery=bool(recovery.get("PointInTimeRecoveryEnabled")),
        encrypted=bool(properties.get("SSESpecification", {}).get("SSEEnabled")),
        protected=bool(own.get("DeletionProtectionEnabled")),
    )


def _shape(name: str, properties: dict[str, Any]) -> TableDefinition:
    """Keys, indexes and stream, which template and DescribeTable write the same way."""
    types = {a["AttributeName"]: a["AttributeType"] for a in properties["AttributeDefinitions"]}

    def keys(schema: list[dict[str, str]]) -> Keys:
        names = [k["AttributeName"] for k in sorted(schema, key=lambda key: key["KeyType"])]
        return tuple((name, types[name]) for name in names)  # HASH sorts before RANGE

    indexes = [
        Index(index["IndexName"], keys(index["KeySchema"]), index["Projection"]["ProjectionType"])
        for index in properties.get("GlobalSecondaryIndexes") or ()
    ]
    stream = properties.get("StreamSpecification") or {}
    return TableDefinition(
        name=name,
        keys=keys(properties["KeySchema"]),
        indexes=tuple(sorted(indexes, key=lambda index: index.name)),
        stream=stream.get("StreamViewType") if stream.get("StreamEnabled", True) else None,
    )


# --- the store ---------------------------------------------------------------------------


async def _describe(client: DynamoDBClient, name: str) -> TableDescriptionTypeDef | None:
    """The first word with the store: what goes wrong here is most often a wrong setting."""
    try:
        return (await client.describe_table(TableName=name))["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None
    except ClientError as error:
        reason = as_store_error(error).message
    except (BotoCoreError, OSError) as error:
        reason = str(error) or type(error).__name__
    except KeyError:
        reason = "it does not answer as DynamoDB does"
    reason = shorten(reason, 200)  # in one line, also where a web page came back
    raise ConfigurationError(
        f"CARTOGRAPH_STORE: the store at {client.meta.endpoint_url} cannot be used ({reason}); "
        "should be embedded, aws or the URL of a DynamoDB-compatible endpoint."
    )


def _compare(found: TableDescriptionTypeDef, wanted: TableDefinition) -> None:
    """Raises ConfigurationError with the first thing in which the table differs."""
    actual = _shape(wanted.name, dict(found))
    have, want = {i.name: i for i in actual.indexes}, {i.name: i for i in wanted.indexes}
    differences = [("keys", _text(actual.keys), _text(wanted.keys))]
    differences += [
        (f"index {name}", _text(have.get(name)), _text(want.get(name)))
        for name in sorted(have.keys() | want.keys())
    ]
    differences.append(("stream", actual.stream or "none", wanted.stream or "none"))
    for what, is_now, should_be in differences:
        if is_now != should_be:
            raise _differs(wanted, what, is_now, should_be)


def _differs(table: TableDefinition, what: str, is_now: str, should_be: str) -> ConfigurationError:
    return ConfigurationError(
        f"CARTOGRAPH_TABLE: table {table.name} differs in its {what}: "
        f"is {is_now}, should be {should_be}; it is left as it is."
    )


def _text(value: Keys | Index | None) -> str:
    match value:
        case None:
            return "none"
        case Index():
            return f"{_text(value.keys)} {value.projection}"
        case _:
            return "/".join(f"{name} ({kind})" for name, kind in value)


async def _create(client: DynamoDBClient, definition: TableDefinition) -> None:
    every_key = [*definition.keys, *(key for index in definition.indexes for key in index.keys)]
    request: CreateTableInputTypeDef = {
        "TableName": definition.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in dict(every_key).items()
        ],
        "KeySchema": _key_schema(definition.keys),
        "DeletionProtectionEnabled": definition.protected,
    }
    if definition.indexes:
        request["GlobalSecondaryIndexes"] = [_index(each) for each in definition.indexes]
    if definition.stream:
        request["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": definition.stream,
        }
    if definition.encrypted:
        request["SSESpecification"] = {"Enabled": True}
    # In use: another process is creating it at this moment.
    with suppress(client.exceptions.ResourceInUseException):
        await client.create_table(**request)


def _index(index: Index) -> GlobalSecondaryIndexTypeDef:
    return {
        "IndexName": index.name,
        "KeySchema": _key_schema(index.keys),
        "Projection": {"ProjectionType": index.projection},
    }


def _key_schema(keys: Keys) -> list[KeySchemaElementTypeDef]:
    roles: tuple[KeyTypeType, KeyTypeType] = ("HASH", "RANGE")
    named = zip(keys, roles, strict=False)  # a table may have no sort key
    return [{"AttributeName": name, "KeyType": role} for (name, _), role in named]


async def _until_active(client: DynamoDBClient, name: str) -> None:
    waiting: WaiterConfigTypeDef = {"Delay": 1, "MaxAttempts": SECONDS_TO_ACTIVE}
    await client.get_waiter("table_exists").wait(TableName=name, WaiterConfig=waiting)


async def _expiry(client: DynamoDBClient, definition: TableDefinition) -> list[str]:
    if definition.ttl is None:
        return []
    answer = await client.describe_time_to_live(TableName=definition.name)
    now = answer["TimeToLiveDescription"]
    if now.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        attribute = now.get("AttributeName", "")
        if attribute != definition.ttl:
            raise _differs(definition, "expiry attribute", attribute, definition.ttl)
        return []
    await client.update_time_to_live(
        TableName=definition.name,
        TimeToLiveSpecification={"AttributeName": definition.ttl, "Enabled": True},
    )
    return [f"switched on expiry by {definition.ttl} in {definition.name}"]


async def _recovery(client: DynamoDBClient, definition: TableDefinition) -> list[str]:
    if not definition.recovery:
        return []
    try:
        answer = await client.describe_continuous_backups(TableName=definition.name)
        backups = answer["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
            return []
        await _recover(client, definition.name)
    except ClientError as error:
        if error.response["Error"].get("Code") not in NO_SUCH_CALL:
            raise
        return []
    return [f"switched on point-in-time recovery of {definition.name}"]


async def _recover(client: DynamoDBClient, name: str) -> None:
    """A young table's backups are not available for some seconds; asks until they are."""
    for attempts_left in reversed(range(SECONDS_TO_RECOVERY)):
        try:
            await client.update_continuous_backups(
                TableName=name,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
        except client.exceptions.ContinuousBackupsUnavailableException:
            if not attempts_left:
                raise
            await asyncio.sleep(1)
        else:
            return
