"""IDs in order of time: UUIDv7 (RFC 9562, section 5.7), and the text forms that are IDs at all."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_LENGTH = 64
SUBJECT_LENGTH = 128


def uuid7(milliseconds: int, random_bits: Callable[[int], int] = secrets.randbits) -> str:
    """A UUIDv7 of a Unix time in milliseconds."""
    value = (milliseconds << 80) | (7 << 76) | (random_bits(12) << 64) | (2 << 62)
    return str(uuid.UUID(int=value | random_bits(62)))


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def is_slug(text: str) -> bool:
    """Lower-case letters and digits in groups joined by single hyphens, at most 64."""
    return len(text) <= SLUG_LENGTH and _SLUG.fullmatch(text) is not None


def is_subject(text: str) -> bool:
    """A user's ID: any printable text of 1 to 128 characters."""
    return 0 < len(text) <= SUBJECT_LENGTH and text.isprintable()
