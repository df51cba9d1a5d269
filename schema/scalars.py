"""Scalars of the contract: exact decimals and UTC timestamps, both as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from datasources.keys import timestamp

_DECIMAL = re.compile(r"[0-9]{1,32}(\.[0-9]{1,32})?", re.ASCII)
# RFC 3339, section 5.6; an offset is required, a space may stand for the T.
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-5][0-9])",
    re.ASCII,
)


def _parse_decimal(value: object) -> Decimal:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise GraphQLError('A Decimal is digits with an optional fraction, as text: "12.50".')


def _parse_date_time(value: object) -> datetime:
    if isinstance(value, str) and _DATE_TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(_microseconds(value.upper())).astimezone(UTC)
        except (ValueError, OverflowError):  # beyond the calendar once in UTC
            pass
    raise GraphQLError('A DateTime is an RFC 3339 time with an offset: "2026-01-31T09:00:00Z".')


def _microseconds(text: str) -> str:
    """Python reads six digits of a second; RFC 3339 allows more."""
    return re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text)


def _format_decimal(value: Decimal) -> str:
    return format(value, "f")


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description="An exact decimal as text, never a float, with exactly the digits of its "
        'currency: "1200.00", or "80000" in JPY.',
        serialize=_format_decimal,
        parse_value=_parse_decimal,
        specified_by_url=None,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An RFC 3339 timestamp. Given with any offset, answered in UTC with "
        "milliseconds and a Z.",
        serialize=timestamp,
        parse_value=_parse_date_time,
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
    ),
}
