"""Rows as Python values, and back: the type descriptors of the DynamoDB wire format.

Numbers are integers here: the shop has no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import (
        AttributeValueTypeDef,
        UniversalAttributeValueTypeDef,
    )


def encode(value: object) -> UniversalAttributeValueTypeDef:
    """The attribute value of a str, bool, int, None, list or mapping."""
    match value:
        case str():
            return {"S": str(value)}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": {name: encode(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [encode(inner) for inner in value]}
        case _:
            raise TypeError(f"no attribute value for {type(value).__name__}")


def encode_row(row: Mapping[str, object]) -> dict[str, UniversalAttributeValueTypeDef]:
    return {name: encode(value) for name, value in row.items()}


def row_size(row: Mapping[str, object]) -> int:
    """The bytes that DynamoDB counts for a row, names included, as "DynamoDB item sizes and
    formats" in the Developer Guide has it; of numbers and nesting it says "approximately"."""
    return sum(len(name.encode()) + _size(value) for name, value in row.items())


def is_larger(row: Mapping[str, object], size: int) -> bool:
    """Whether a row has more bytes. Each part of it has at least half as many in JSON, which is
    sooner made than they are counted."""
    return 2 * len(orjson.dumps(row)) > size and row_size(row) > size


def _size(value: object) -> int:
    match value:
        case str():
            return len(value.encode())
        case bool() | None:
            return 1
        case int():
            return (len(str(value)) + 1) // 2 + 1
        case Mapping():
            return 3 + len(value) + row_size(value)
        case list() | tuple():
            return 3 + sum(1 + _size(inner) for inner in value)
        case _:
            raise TypeError(f"no attribute value for {type(value).__name__}")


def decode(value: AttributeValueTypeDef) -> Any:
    """The Python value of an attribute value; sets come back as lists."""
    [(kind, inner)] = value.items()
    match kind:
        case "S" | "BOOL":
            return inner
        case "N":
            return int(inner)  # type: ignore[call-overload]
        case "NULL":
            return None
        case "M":
            return {name: decode(entry) for name, entry in inner.items()}  # type: ignore[attr-defined]
        case "L":
            return [decode(entry) for entry in inner]  # type: ignore[attr-defined]
        case "SS":
            return list(inner)  # type: ignore[call-overload]
        case "NS":
            return [int(entry) for entry in inner]  # type: ignore[attr-defined]
        case _:
            raise TypeError(f"no Python value for an attribute of type {kind}")


def decode_row(row: Mapping[str, AttributeValueTypeDef]) -> dict[str, Any]:
    return {name: decode(value) for name, value in row.items()}
