from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from datasources.items import Address
from streams.mail.language import (
    Language,
    Prices,
    english_address,
    english_time,
    japanese_address,
    japanese_time,
    language_of,
    name_of,
)
from tests.support.items import user

JAPANESE, ENGLISH = Language.JAPANESE, Language.ENGLISH


def address(country: str, recipient: str = "Jane Doe", **changes: Any) -> Address:
    values: dict[str, Any] = {"line1": "1 High St", "city": "Leeds", "postal_code": "LS1 1AA"}
    return Address(recipient=recipient, country_code=country, **{**values, **changes})


@pytest.mark.parametrize(
    ("first", "last", "where", "language"),
    [
        ("太郎", "田中", None, JAPANESE),
        ("Taro", "田中", None, JAPANESE),
        ("さくら", None, None, JAPANESE),
        ("サクラ", None, None, JAPANESE),
        (None, "ﾀﾅｶ", None, JAPANESE),
        ("一", "佐々木", None, JAPANESE),
        ("Jane", "Doe", None, ENGLISH),
        ("Łukasz", "Żółć", None, ENGLISH),
        ("민수", "김", None, ENGLISH),
        (None, None, None, ENGLISH),
        ("Jane", "Doe", address("JP"), JAPANESE),
        ("Jane", "Doe", address("GB"), ENGLISH),
        ("Jane", "Doe", address("US", "田中 太郎"), JAPANESE),
        ("太郎", "田中", address("US"), JAPANESE),
        ("小明", "王", address("CN"), ENGLISH),
        ("小明", "王", address("TW", "王小明"), ENGLISH),
        ("さくら", "王", address("CN"), JAPANESE),
    ],
)
def test_the_language_follows_the_address_and_the_letters_of_the_name(
    first: str | None, last: str | None, where: Address | None, language: Language
) -> None:
    assert language_of(user(1, first_name=first, last_name=last), where) is language


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        ("Jane", "Doe", "Jane Doe"),
        ("太郎", "田中", "田中 太郎"),
        ("さくら", None, "さくら"),
        (None, "Doe", "Doe"),
        (None, None, "user1"),
        ("", "", "user1"),
    ],
)
def test_names_are_in_the_order_of_their_letters(
    first: str | None, last: str | None, name: str
) -> None:
    assert name_of(user(1, first_name=first, last_name=last)) == name


@pytest.mark.parametrize(
    ("code", "scale", "minor", "english", "japanese"),
    [
        ("JPY", 0, 0, "¥0", "0円"),
        ("JPY", 0, 1_234_567, "¥1,234,567", "1,234,567円"),
        ("USD", 2, 1_250, "$12.50", "12.50ドル"),
        ("USD", 2, 5, "$0.05", "0.05ドル"),
        ("USD", 2, 0, "$0.00", "0.00ドル"),
        ("EUR", 2, 123_456_789, "€1,234,567.89", "1,234,567.89ユーロ"),
        ("KWD", 3, 1_500, "KWD 1.500", "1.500 KWD"),
        ("JPY", 0, 10**15, "¥1,000,000,000,000,000", "1,000,000,000,000,000円"),
        ("UYW", 4, 1, "UYW 0.0001", "0.0001 UYW"),
    ],
)
def test_prices_have_the_scale_of_the_currency_and_the_form_of_the_language(
    code: str, scale: int, minor: int, english: str, japanese: str
) -> None:
    prices = Prices(code, scale)
    assert (prices.english(minor), prices.japanese(minor)) == (english, japanese)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 1, 23, 5, 59, tzinfo=UTC),
        datetime(2026, 3, 2, 8, 5, 59, tzinfo=timezone(timedelta(hours=9))),
    ],
)
def test_times_are_in_utc_and_say_so(moment: datetime) -> None:
    assert english_time(moment) == "1 March 2026, 23:05 UTC"
    assert japanese_time(moment) == "2026年3月1日 23:05 (UTC)"


def test_an_address_is_written_as_its_country_does() -> None:
    tokyo = address("JP", "田中", line1="1-1", city="千代田区", region="東京都", line2="2号")
    leeds = address("GB", region="Yorkshire", line2="Flat 2")
    assert japanese_address(tokyo) == ["〒LS1 1AA", "東京都千代田区1-1", "2号", "田中 様"]
    assert english_address(tokyo) == ["田中", "1-1", "2号", "千代田区, 東京都 LS1 1AA", "JP"]
    lines = ["Jane Doe", "1 High St", "Flat 2", "Leeds, Yorkshire LS1 1AA", "GB"]
    assert english_address(leeds) == japanese_address(leeds) == lines
    assert english_address(address("GB"))[2] == "Leeds LS1 1AA"
