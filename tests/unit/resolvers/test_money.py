"""Money: exact both ways, in currencies of any scale."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.errors import BadUserInput
from resolvers.money import DIGITS, Currency

JPY, USD, KWD = Currency("JPY", 0), Currency("USD", 2), Currency("KWD", 3)
currencies = st.sampled_from([JPY, USD, KWD])


@pytest.mark.parametrize(
    ("currency", "minor", "text"),
    [
        (JPY, 120_000, "120000"),
        (JPY, 0, "0"),
        (USD, 1_250, "12.50"),
        (USD, 5, "0.05"),
        (USD, 0, "0.00"),
        (KWD, 1, "0.001"),
        (KWD, 12_500, "12.500"),
        (USD, 10**14, "1000000000000.00"),
    ],
)
def test_an_amount_has_exactly_the_digits_of_its_currency(
    currency: Currency, minor: int, text: str
) -> None:
    assert format(currency.amount(minor), "f") == text


@given(currencies, st.integers(0, 10**DIGITS - 1))
def test_an_amount_comes_back_as_it_was(currency: Currency, minor: int) -> None:
    assert currency.minor("price", currency.amount(minor)) == minor


@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [
        (JPY, "80000", 80_000),
        (USD, "12.5", 1_250),
        (USD, "12", 1_200),
        (KWD, "0.001", 1),
        (JPY, "999999999999", 10**12 - 1),
        (USD, "999999999999", 10**14 - 100),
        (USD, "9999999999.99", 10**12 - 1),
        (USD, "000000000000000001", 100),
    ],
)
def test_an_amount_may_be_written_shorter(currency: Currency, text: str, minor: int) -> None:
    assert currency.minor("price", Decimal(text)) == minor


@pytest.mark.parametrize(
    ("currency", "text"),
    [
        (JPY, "0.5"),
        (JPY, "80000.0"),
        (USD, "1.000"),
        (USD, "0.001"),
        (KWD, "0.0001"),
        (JPY, "1." + "0" * 40 + "1"),
    ],
)
def test_more_digits_than_the_currency_has_are_refused(currency: Currency, text: str) -> None:
    with pytest.raises(BadUserInput, match=r"^price\.min: ") as refused:
        currency.minor("price.min", Decimal(text))
    assert refused.value.details == {"argument": "price.min"}


@pytest.mark.parametrize(
    ("currency", "text"),
    [
        (JPY, "1000000000000"),
        (USD, "1000000000000"),
        (USD, "12345678901.23"),
        (JPY, "9" * 32),
        (KWD, "9" * 32),
    ],
)
def test_more_than_twelve_digits_are_refused(currency: Currency, text: str) -> None:
    with pytest.raises(BadUserInput, match="12 digits at most"):
        currency.minor("price", Decimal(text))
