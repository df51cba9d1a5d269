"""What connections of either protocol have in common: an end to waiting for their clients.

uvicorn waits for as long as it takes until a client has read what it was sent, also when the
connection is being closed. Here one that takes nothing for UNREAD seconds is dropped.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle, Transport
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Both know `transport` and `loop`; what they do with the rest is their own affair.
    class _Protocol(asyncio.Protocol):
        transport: Transport
        loop: asyncio.AbstractEventLoop
else:
    _Protocol = object

UNREAD = 10.0  # seconds that what was sent may wait until the client takes some of it
CLOSING = 5.0  # seconds that a connection being closed is given for what is left to send


class ClosingTransport:
    """A transport that, once told to close, does so in CLOSING seconds."""

    __slots__ = ("_loop", "_transport", "is_closing", "write")

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(CLOSING, self._transport.abort)


class Impatient(_Protocol):
    """Drops a client that leaves unread what was sent, and more than the transport may hold."""

    _unread: TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None
