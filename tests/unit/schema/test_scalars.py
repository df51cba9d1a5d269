"""Scalars of the contract, in and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from schema.scalars import SCALARS


def parsed(kind: type, value: object) -> Any:
    parse = SCALARS[kind].parse_value
    assert parse
    return parse(value)


def shown(value: object) -> Any:
    serialize = SCALARS[type(value)].serialize
    assert serialize
    return serialize(value)


# --- Decimal --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", "0"), ("80000", "80000"), ("12.50", "12.50"), ("0.10", "0.10"), (12, "12"), (0, "0")],
)
def test_a_decimal_is_read_exactly(value: object, expected: str) -> None:
    assert str(parsed(Decimal, value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "-1", "+1", "1e3", "1E3", ".5", "1.", "1.2.3", "1,000", "0x10", "1_000",
        " 1", "1\n", "NaN", "Infinity", "٣", "１２", "1\0", "9" * 33, "0." + "9" * 33, "9" * 5_000,  # noqa: RUF001
        -1, 12.5, 1.0, float("nan"), True, False, None, [], ["1"], {}, 10**40,
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_decimal_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="Decimal"):
        parsed(Decimal, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("120000"), "120000"),
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+5"), "100000"),
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("0.00"), "0.00"),
    ],
)
def test_a_decimal_is_written_without_an_exponent(value: Decimal, expected: str) -> None:
    assert shown(value) == expected


@given(st.decimals(min_value=0, max_value=10**12, places=3))
def test_a_decimal_survives_the_way_out_and_in(value: Decimal) -> None:
    assert parsed(Decimal, shown(value)) == value


# --- DateTime -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00.000Z"),
        ("2026-01-31t09:00:00z", "2026-01-31T09:00:00.000Z"),
        ("2026-01-31 09:00:00Z", "2026-01-31T09:00:00.000Z"),
        ("2026-01-31T09:00:00+09:00", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T09:00:00-00:00", "2026-01-31T09:00:00.000Z"),
        ("2026-01-31T09:00:00+05:45", "2026-01-31T03:15:00.000Z"),
        ("2026-01-31T09:00:00-23:59", "2026-02-01T08:59:00.000Z"),
        ("2026-01-31T00:00:00+14:00", "2026-01-30T10:00:00.000Z"),
        ("2026-01-31T09:00:00.5Z", "2026-01-31T09:00:00.500Z"),
        ("2026-01-31T09:00:00.123999Z", "2026-01-31T09:00:00.123Z"),
        ("2026-01-31T09:00:00.123456789Z", "2026-01-31T09:00:00.123Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
    ],
)
def test_a_time_is_read_with_any_offset_and_written_in_utc(text: str, expected: str) -> None:
    assert shown(parsed(datetime, text)) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", "now", "2026-01-31", "2026-01-31T09:00:00", "2026-01-31T09:00Z", "20260131T090000Z",
        "2026-01-31T09:00:00+0900", "2026-01-31T09:00:00+09", "2026-01-31T09:00:00 +09:00",
        "2026-01-31T09:00:00+24:00", "2026-01-31T09:00:00+99:00", "2026-01-31T09:00:00.Z",
        "2026-01-31T09:00:00,5Z", "2026-01-31T09:00:00.1234567890Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2025-02-29T00:00:00Z", "2026-01-32T00:00:00Z",
        "2026-01-31T24:00:00Z", "2026-01-31T09:60:00Z", "2026-06-30T23:59:60Z",
        "0000-01-01T00:00:00Z", "+2026-01-31T09:00:00Z", "2026-01-31T09:00:00Z\n",
        "２026-01-31T09:00:00Z", "2026-01-31T09:00:00Z" + "0" * 5_000,  # noqa: RUF001
        1_769_850_000, 1.5, True, None, [], {},
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="DateTime"):
        parsed(datetime, value)


@pytest.mark.parametrize("text", ["2026-01-31T09:00:00+14:60", "2026-01-31T09:00:00+00:99"])
def test_an_offset_has_at_most_59_minutes(text: str) -> None:
    with pytest.raises(GraphQLError, match="DateTime"):
        parsed(datetime, text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_is_beyond_the_calendar_in_utc_is_refused(text: str) -> None:
    with pytest.raises(GraphQLError, match="DateTime"):
        parsed(datetime, text)


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_a_time_survives_the_way_out_and_in_to_the_millisecond(
    moment: datetime, minutes: int
) -> None:
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    back = parsed(datetime, shown(moment))

    assert back == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert shown(back).endswith("Z")
    assert back.astimezone(UTC).isoformat(timespec="milliseconds")[:23] == shown(back)[:23]
