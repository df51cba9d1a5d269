"""What a request says, as JSON or in its URL, where nothing is said twice.

Of two values under one name parsers take the first or the last: what stands between a client and
this service may have checked the other one (RFC 8259, section 4, and RFC 7493, section 2.3).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import orjson

# The names that a request gives values under, as they stand in JSON.
_NAMES = (b'"query"', b'"operationName"', b'"variables"', b'"extensions"', b'"documentId"')


class NotReadable(Exception):
    """It cannot be read, or in two ways; the message says what it should be."""


def read_json(text: bytes | str) -> object:
    """What a text in UTF-8 holds. Raises NotReadable."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NotReadable("should be JSON, in UTF-8.") from None
    if isinstance(text, bytes) and _may_repeat(text):
        _read_again(text)
    return value


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a URL. Raises NotReadable."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise NotReadable("each name should be given once.")
        found[name] = value
    return found


def _may_repeat(text: bytes) -> bool:
    # A name can be written with escapes, too.
    return b"\\u" in text or any(text.count(name) > 1 for name in _NAMES)


def _read_again(text: bytes) -> None:
    """By a slower parser, which tells of each name."""
    try:
        json.loads(text, object_pairs_hook=_each_once, parse_int=str, parse_float=str)
    except (RecursionError, ValueError):
        raise NotReadable("should be JSON, in UTF-8, and nested less deeply.") from None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise NotReadable("each name should be given once.")
    return value
