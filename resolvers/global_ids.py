"""Global IDs: opaque to clients, and the whole key of an object but for its tenant.

The base64url text of `Type:part:part`, e.g. `Order:<user ID>:<order ID>`. Only the spelling that
`encode` gives is an ID, so an object has one ID and no other.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import NamedTuple

from datasources.errors import BadUserInput
from datasources.ids import is_slug, is_subject, is_uuid
from datasources.items import Category, Item, Order, Product, Review, User

_LONGEST = 1_024

# The check of each part, in the order of the parts.
_PARTS: dict[str, tuple[Callable[[str], bool], ...]] = {
    "User": (is_subject,),
    "Category": (is_slug,),
    "Product": (is_uuid,),
    "Order": (is_subject, is_uuid),
    "Review": (is_uuid, is_uuid),
}


class GlobalId(NamedTuple):
    kind: str
    parts: tuple[str, ...]


def encode(kind: str, *parts: str) -> str:
    return _coded(":".join((kind, *map(_escape, parts))))


def _coded(text: str) -> str:
    coded = b2a_base64(text.encode(), newline=False).decode().rstrip("=")
    return coded.replace("+", "-").replace("/", "_")


def _decoded(text: str) -> str | None:
    """None for what `_coded` does not give."""
    if len(text) > _LONGEST or not text.isascii():
        return None
    standard = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        plain = a2b_base64(standard).decode()
    except ValueError:
        return None
    return plain if _coded(plain) == text else None


def of(item: Item) -> str:
    """The global ID of an item that has one."""
    match item:
        case Product():  # a UUID, in which there is nothing to escape
            return _coded(f"Product:{item.id}")
        case User():
            return encode("User", item.id)
        case Category():
            return encode("Category", item.slug)
        case Order():
            return encode("Order", item.user_id, item.id)
        case Review():
            return _coded(f"Review:{item.product_id}:{item.id}")
        case _:
            raise TypeError(f"{type(item).__name__} has no global ID")


def decode(argument: str, text: str) -> GlobalId:
    """BadUserInput, naming the argument, for what is no ID of this service."""
    found = _parse(text)
    if found is None:
        raise BadUserInput(argument, "not an ID; use one that this API has given.")
    return found


def expect(argument: str, text: str, kind: str) -> tuple[str, ...]:
    """The parts of the ID of one kind; BadUserInput for another kind and for what is no ID."""
    found = decode(argument, text)
    if found.kind != kind:
        raise BadUserInput(argument, "the ID of an object of another kind than is wanted here.")
    return found.parts


def subject(text: str) -> str:
    """The raw ID of a user whose raw or global ID is given."""
    found = _parse(text)
    return found.parts[0] if found and found.kind == "User" else text


def _parse(text: str) -> GlobalId | None:
    plain = _decoded(text)
    if plain is None:
        return None
    kind, *rest = plain.split(":")
    parts = tuple(map(_unescape, rest)) if "%" in plain else tuple(rest)
    checks = _PARTS.get(kind)
    if checks is None or len(checks) != len(parts):
        return None
    for check, part in zip(checks, parts, strict=True):
        if not check(part):
            return None
    if "%" in plain and list(map(_escape, parts)) != rest:
        return None
    return GlobalId(kind, parts)


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A") if "%" in part or ":" in part else part


def _unescape(part: str) -> str:
    return part.replace("%3A", ":").replace("%25", "%")
