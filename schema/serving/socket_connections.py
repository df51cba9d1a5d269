"""Connections that speak websocket: uvicorn's, bounded, and pushed past the task that waits."""

from __future__ import annotations

import logging
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from schema.running import AT_ONCE
from schema.serving import transports
from schema.serving.transports import Impatient

_FRAGMENTS = 1_000  # of one message

# uvicorn tells of each socket at INFO, and websockets of each frame, tokens and all, at DEBUG.
log = logging.getLogger(__name__)


class SocketConnection(Impatient, WebSocketsSansIOProtocol):
    """A connection that speaks websocket."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.close_timeout = transports.CLOSING
        self.logger = self.conn.logger = log

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # the application is about to be asked
            self.scope["extensions"][AT_ONCE] = {"write": self.write}

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # Each of them knows this connection, or itself: a socket lives so long that the collector
        # would come to it late, and what it held is much.
        if scope := getattr(self, "scope", None):  # or the handshake was none
            scope["extensions"].pop(AT_ONCE, None)
        self.conn.parser.close()

    def start_keepalive(self) -> None:
        """The socket is accepted. What was said for that is not kept for as long as it lives."""
        super().start_keepalive()
        self.request.headers.clear()
        self.response.headers.clear()
        cast("list[object]", self.scope["headers"]).clear()

    def write(self, text: str) -> bool:
        """Sends a message at once, if the socket is open and what was sent has been taken."""
        if self.close_sent or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(_frame(text))
        return True

    def handle_cont(self, event: Frame) -> None:
        # The size of a message is bounded, but a thousand empty fragments have none.
        if len(self.frames) >= _FRAGMENTS:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
        elif not self.close_sent:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                # It goes on as bytes, which the application refuses: uvicorn would log a
                # traceback.
                self.curr_msg_data_type = "bytes"
        super().send_receive_event_to_app()

    def data_received(self, data: bytes) -> None:
        # After a violation nothing is read any more, but taken: see below.
        if self.conn.parser_exc is None:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Tells the client of its violation before the connection ends. Closed at once, with
        data still unread, it would be reset, and the close frame lost."""
        sent = self.conn.close_sent
        if sent is None:  # the socket was not yet accepted
            self.transport.close()
        if sent is None or self.close_sent:
            return
        self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": sent.code, "reason": sent.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(transports.CLOSING, self.transport.close)


def _frame(text: str) -> bytes:
    """A whole message in one frame, as a server sends it: RFC 6455, section 5.2. websockets makes
    it as well, in four times the time."""
    data = text.encode()
    size = len(data)
    if size < 126:
        return b"\x81%c%b" % (size, data)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), data)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), data)
