"""What the text of a setting may be: the kinds of value, each with its check.

A check raises ValueError, with what the value should be.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

# As browsers write one: RFC 6454, section 6.2.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@,]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Home:
    """The default of a folder that is the user's own, as the XDG specification has it."""

    variable: str
    fallback: str

    def __call__(self) -> Path:
        base = os.environ.get(self.variable)
        return (Path(base) if base else Path.home() / self.fallback) / "cartograph"

    def __str__(self) -> str:
        return f"~/{self.fallback}/cartograph"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _store(value: str) -> str:
    if value in {"embedded", "aws"}:
        return value
    url = urlsplit(value)
    if url.scheme in {"http", "https"} and url.hostname:
        if "@" in value:  # it is said at start, and AWS has other ways to sign in
            raise ValueError("should hold no name and no password")
        return value
    raise ValueError("should be embedded, aws or an http(s) URL")


def _without_names(value: str) -> str:
    # Errors quote the URL, and AWS has other ways to sign in.
    if "@" in urlsplit(value).netloc:
        raise ValueError("should hold no name and no password")
    return value


def _broker(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("should be a redis://, rediss:// or unix:// URL")
    return value


def _tenants(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in value):
        raise ValueError("should be names of 1 to 64 letters, digits, _ or -")
    return value


def _long_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if any(len(key.get_secret_value()) < 16 for key in value):
        raise ValueError("should be secrets of 16 characters or more each")
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    if all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in value):
        return tuple(origin.lower() for origin in value)
    # "null" is what any page in a sandboxed frame has.
    raise ValueError("should be origins, e.g. https://shop.example, or *")


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(each)) for each in value)
    except ValueError:
        raise ValueError("should be addresses and networks, e.g. 10.0.0.0/8") from None


Store = Annotated[str, AfterValidator(_store)]
Url = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_without_names)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_broker)]

# Comma-separated.
_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
_Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Tenants = Annotated[_Names, AfterValidator(_tenants)]
CursorKeys = Annotated[_Secrets, AfterValidator(_long_keys)]
Origins = Annotated[_Names, AfterValidator(_origins)]
Networks = Annotated[_Names, AfterValidator(_networks)]
