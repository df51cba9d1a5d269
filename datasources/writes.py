"""The actions of a transaction: what each does to one row, and under which condition.

Expressions are constants with placeholders (`#name`, `:value`); what fills them never becomes
part of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from datasources.attributes import encode_row
from datasources.items import Row
from datasources.keys import PK, SK, Key

Names = Mapping[str, str]
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of the row, or the whole transaction is cancelled."""

    expression: str
    names: Names = field(default_factory=dict)
    values: Values = field(default_factory=dict)


ABSENT = Condition("attribute_not_exists(#pk)", {"#pk": PK})
PRESENT = Condition("attribute_exists(#pk)", {"#pk": PK})


def same_version(version: int) -> Condition:
    """That nobody has written the row since this version of it was read."""
    return Condition("#version = :read", {"#version": "version"}, {":read": version})


@dataclass(frozen=True, slots=True)
class Put:
    """Writes a whole row in place of what is there, in another `table` where one is named."""

    row: Row
    condition: Condition | None = None
    table: str | None = None

    @property
    def key(self) -> Key:
        return Key(self.row[PK], self.row[SK])


@dataclass(frozen=True, slots=True)
class Update:
    """Changes attributes of a row; makes the row where there is none, unless conditioned."""

    key: Key
    expression: str
    names: Names
    values: Values = field(default_factory=dict)
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    key: Key
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Changes nothing, but holds the transaction to a condition on a row."""

    key: Key
    condition: Condition


Action: TypeAlias = Put | Update | Delete | Check


def encode_action(action: Action, table: str) -> dict[str, Any]:
    """An entry of TransactItems. A condition that fails gives the row it failed on."""
    condition = action.condition
    names: dict[str, str] = dict(condition.names) if condition else {}
    values: dict[str, object] = dict(condition.values) if condition else {}
    body: dict[str, Any] = {"TableName": table}
    if condition:
        body["ConditionExpression"] = condition.expression
        body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if isinstance(action, Put):
        body["TableName"] = action.table or table
        body["Item"] = encode_row(action.row)
    else:
        body["Key"] = encode_row({PK: action.key.pk, SK: action.key.sk})
    if isinstance(action, Update):
        body["UpdateExpression"] = action.expression
        names.update(action.names)
        values.update(action.values)
    if names:
        body["ExpressionAttributeNames"] = names
    if values:
        body["ExpressionAttributeValues"] = encode_row(values)
    kind = "ConditionCheck" if isinstance(action, Check) else type(action).__name__
    return {kind: body}
