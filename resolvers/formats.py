"""The formats of what clients write: a type a format, each checking and normalising itself."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated
from urllib.parse import urlsplit

import pycountry
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field

from datasources.errors import BadUserInput
from datasources.ids import SLUG_LENGTH, is_slug, is_subject
from datasources.keys import fold_email
from resolvers import global_ids

MOST_UNITS = 999
MOST_STOCK = 1_000_000_000
LONGEST_EMAIL = 254

# Japanese phone numbers are written with hyphens, others with spaces, points or brackets.
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{2,30}[0-9]", re.ASCII)


def _composed(value: object) -> object:
    """NFC, so that what looks alike is alike; without surrounding white space."""
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def _one_line(text: str) -> str:
    if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text):
        raise ValueError("should have no control characters")
    return text


def _lines(text: str) -> str:
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in text if c not in "\n\t"):
        raise ValueError("should have no control characters but line breaks and tabs")
    return text


@dataclass(frozen=True, slots=True)
class _Length:
    """Characters that a text may have."""

    least: int
    most: int

    def __call__(self, text: str) -> str:
        if not self.least <= len(text) <= self.most:
            wanted = f"{self.least} to {self.most}" if self.least else f"at most {self.most}"
            raise ValueError(f"should be {wanted} characters, not {len(text)}")
        return text


def _email(text: str) -> str:
    # Also as it is folded, for it is a key then, and a ligature may come to eighteen characters.
    if max(len(text), len(fold_email(text))) > LONGEST_EMAIL:
        raise ValueError(f"should be at most {LONGEST_EMAIL} characters")
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("should be an email address") from None
    return found.normalized


def _username(text: str) -> str:
    if not all(c.isalpha() or c.isdigit() or c in "_.-" for c in text):
        raise ValueError("should be letters, digits, _, . and - only")
    return text


def _https(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme == "https" and parts.hostname and " " not in text
    except ValueError:
        good = False
    if not good:
        raise ValueError("should be an https URL")
    return text


def _phone(text: str) -> str:
    if not _PHONE.fullmatch(text):
        raise ValueError("should be a phone number, such as +81-3-1234-5678")
    return text


def _slug(text: str) -> str:
    if not is_slug(text):
        raise ValueError(
            "should be lower-case letters and digits in groups joined by single hyphens, "
            f"at most {SLUG_LENGTH} characters"
        )
    return text


def _country(text: str) -> str:
    if text not in _countries():
        raise ValueError("should be a country of ISO 3166-1 alpha-2, such as JP")
    return text


@lru_cache(1)
def _countries() -> frozenset[str]:
    return frozenset(country.alpha_2 for country in pycountry.countries)


def _subject(text: str) -> str:
    if not is_subject(text):
        raise ValueError("should be 1 to 128 printable characters")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should be printable characters only")
    return text


Line = Annotated[str, BeforeValidator(_composed), AfterValidator(_one_line)]
Lines = Annotated[str, BeforeValidator(_composed), AfterValidator(_lines)]
PersonName = Annotated[Line, AfterValidator(_Length(1, 100))]
ItemName = Annotated[Line, AfterValidator(_Length(1, 200))]
PostalCode = Annotated[Line, AfterValidator(_Length(1, 20))]
Title = Annotated[Line, AfterValidator(_Length(0, 120))]
LongText = Annotated[Lines, AfterValidator(_Length(0, 5_000))]
Note = Annotated[Lines, AfterValidator(_Length(0, 500))]
Email = Annotated[str, BeforeValidator(_composed), AfterValidator(_email)]
Username = Annotated[Line, AfterValidator(_Length(3, 30)), AfterValidator(_username)]
HttpsUrl = Annotated[Line, AfterValidator(_Length(0, 2_048)), AfterValidator(_https)]
Phone = Annotated[Line, AfterValidator(_Length(0, 40)), AfterValidator(_phone)]
Slug = Annotated[str, AfterValidator(_slug)]
Country = Annotated[str, AfterValidator(_country)]
Subject = Annotated[str, AfterValidator(_subject)]
IdempotencyKey = Annotated[str, AfterValidator(_Length(8, 128)), AfterValidator(_printable)]
Rating = Annotated[int, Field(ge=1, le=5)]
Quantity = Annotated[int, Field(ge=1, le=MOST_UNITS)]
Stock = Annotated[int, Field(ge=0, le=MOST_STOCK)]
StockChange = Annotated[int, Field(ge=-MOST_STOCK, le=MOST_STOCK)]


def _parts(kind: str, value: object) -> object:
    """The parts of the global ID of one kind of object."""
    try:
        return global_ids.expect("id", str(value), kind)
    except BadUserInput as error:
        raise ValueError(error.message.removeprefix("id: ")) from None


UserId = Annotated[tuple[str, ...], BeforeValidator(partial(_parts, "User"))]
CategoryId = Annotated[tuple[str, ...], BeforeValidator(partial(_parts, "Category"))]
ProductId = Annotated[tuple[str, ...], BeforeValidator(partial(_parts, "Product"))]
OrderId = Annotated[tuple[str, ...], BeforeValidator(partial(_parts, "Order"))]
ReviewId = Annotated[tuple[str, ...], BeforeValidator(partial(_parts, "Review"))]
