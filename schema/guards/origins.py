"""Which pages may open a websocket here."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers


def is_allowed(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether a page of this origin may connect: browsers let any page open a websocket, and
    name the page's origin. Programs that are no browsers need not name one."""
    origin = headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return True
    try:
        own = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(own) and own.lower() == headers.get("host", "").lower()
