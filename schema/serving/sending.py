"""Answers that are there as a whole, sent in one piece.

ASGI has an answer come in two messages at least; uvicorn looks through all headers of the first
for what they may say of the second, and writes each by itself. For a small query that is much of
what it costs (docs/speed.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class Sending:
    """The `send` of one request as ASGI has it, which can do more: whoever gets it from another
    application around it gets that one's `send`, and this is passed over."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def __call__(self, message: Message) -> Awaitable[None]:
        return self._cycle.send(message)  # type: ignore[arg-type]

    def whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Sends an answer, of which `headers` say the length, and says so; False: it has to go by
        messages, and nothing of it was sent."""
        cycle = self._cycle
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
            return False
        if cycle.access_log or cycle.scope["method"] == "HEAD":
            return False
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            return False  # uvicorn says what is wrong with it
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join((STATUS_LINE[status], head, b"\r\n", body)))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True
