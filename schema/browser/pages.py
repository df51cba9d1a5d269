"""What the pages for browsers have in common: headers, and whom what is secret may be shown."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

HARDENING: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_THIS_MACHINE: Final = frozenset(("localhost", "127.0.0.1", "::1"))


def is_of_this_machine(request: Request) -> bool:
    """Whether the request is to a name of this machine: another page's script could reach it
    under a name of its own (DNS rebinding)."""
    return request.url.hostname in _THIS_MACHINE
