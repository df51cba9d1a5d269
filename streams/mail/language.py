"""The language of a mail, and how it writes names, amounts and times."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from datasources.items import Address, User


class Language(StrEnum):
    """ISO 639-1, as HTML's `lang` has it."""

    ENGLISH = "en"
    JAPANESE = "ja"


# Hiragana and katakana, those of half width too, are Japanese and nothing else.
_KANA = re.compile(r"[\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9d]")
_HAN = re.compile(r"[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# ISO 3166: where names are written in Han letters, but not in Japanese.
_CHINESE_NAMES = frozenset("CN HK MO SG TW".split())


def language_of(user: User, address: Address | None = None) -> Language:
    """Japanese for an address in Japan and for a name in Japanese letters; else English.

    A name of Han letters alone is taken for a Japanese one, unless the address is where it will
    rather be Chinese. A user has no language of their own to go by.
    """
    names = [user.first_name, user.last_name, address.recipient if address else None]
    written = "".join(name for name in names if name)
    country = address.country_code if address else None
    if country == "JP" or _KANA.search(written):
        return Language.JAPANESE
    if _HAN.search(written) and country not in _CHINESE_NAMES:
        return Language.JAPANESE
    return Language.ENGLISH


def name_of(user: User) -> str:
    """What a mail calls somebody: family name first where it is written in Japanese letters;
    the username where there is no name."""
    names = [user.first_name, user.last_name]
    if any(_KANA.search(name) or _HAN.search(name) for name in names if name):
        names.reverse()
    return " ".join(name for name in names if name) or user.username


@dataclass(frozen=True, slots=True)
class Prices:
    """The store's currency (ISO 4217); `scale` is the number of its digits after the point."""

    code: str
    scale: int

    def english(self, minor: int) -> str:
        """`¥1,200`, `$12.50`, `CHF 12.50`."""
        return _ENGLISH_PRICES.get(self.code, f"{self.code} {{}}").format(self._digits(minor))

    def japanese(self, minor: int) -> str:
        """`1,200円`, `12.50ドル`, `12.50 CHF`."""
        return _JAPANESE_PRICES.get(self.code, f"{{}} {self.code}").format(self._digits(minor))

    def _digits(self, minor: int) -> str:
        return f"{Decimal(minor).scaleb(-self.scale):,f}"


_ENGLISH_PRICES = {"JPY": "¥{}", "USD": "${}", "EUR": "€{}", "GBP": "£{}"}
_JAPANESE_PRICES = {"JPY": "{}円", "USD": "{}ドル", "EUR": "{}ユーロ", "GBP": "{}ポンド"}

# Not strftime's, which are those of the machine's locale.
_MONTHS = (
    "January February March April May June July August September October November December"
).split()


def english_time(moment: datetime) -> str:
    """`20 November 2026, 12:05 UTC`."""
    at = moment.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def japanese_time(moment: datetime) -> str:
    """`2026年11月20日 12:05 (UTC)`."""
    at = moment.astimezone(UTC)
    return f"{at.year}年{at.month}月{at.day}日 {at:%H:%M} (UTC)"


def english_address(address: Address) -> list[str]:
    """The lines of an address, the recipient first."""
    region = f", {address.region}" if address.region else ""
    return [
        address.recipient,
        address.line1,
        *([address.line2] if address.line2 else []),
        f"{address.city}{region} {address.postal_code}",
        address.country_code,
    ]


def japanese_address(address: Address) -> list[str]:
    """One in Japan goes from the postal code to the recipient; another as its country writes it."""
    if address.country_code != "JP":
        return english_address(address)
    return [
        f"〒{address.postal_code}",
        f"{address.region or ''}{address.city}{address.line1}",
        *([address.line2] if address.line2 else []),
        f"{address.recipient} 様",
    ]


def forms(language: Language, prices: Prices) -> Mapping[str, Callable[[Any], object]]:
    """The filters of a template: `price` of minor units, `time` of a datetime, `lines` of an
    address."""
    if language is Language.JAPANESE:
        return {"price": prices.japanese, "time": japanese_time, "lines": japanese_address}
    return {"price": prices.english, "time": english_time, "lines": english_address}
