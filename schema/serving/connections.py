"""The connections of the server: uvicorn's, with an end to waiting for their clients.

uvicorn waits for as long as it takes until a client has read what it was sent, also when the
connection is being closed. Here one that takes nothing for UNREAD seconds is dropped. It waits as
long for a request that does not come, or comes a byte at a time, and keeps whatever comes. Here
one has ARRIVAL seconds to arrive, and a bounded size.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from schema.headers import JSON, answering, error_body, request_id_of
from schema.running import AT_ONCE

if TYPE_CHECKING:
    # Both know `transport` and `loop`; what they do with the rest is their own affair.
    class _Protocol(asyncio.Protocol):
        transport: Transport
        loop: asyncio.AbstractEventLoop
else:
    _Protocol = object

# Takes method, target and headers of a request; the whole response, or None to let it in.
TurnAway = Callable[[bytes, bytes, list[tuple[bytes, bytes]]], bytes | None]

UNREAD = 10.0  # seconds that what was sent may wait until the client takes some of it
CLOSING = 5.0  # seconds that a connection being closed is given for what is left to send
ARRIVAL = 10.0  # seconds from the first byte of a request, or the connection's start, to the last
LARGEST_HEAD = 65_536  # bytes of a request up to its body: a GET has its document there
_HEADERS = 100  # of one request
_PIPELINED = 32  # requests that wait for the answer to one before them
_FRAGMENTS = 1_000  # of one message

# uvicorn tells of each socket at INFO, and websockets of each frame, tokens and all, at DEBUG.
log = logging.getLogger(__name__)

# uvicorn tells of each request that is none, too.
_http_log = logging.getLogger(f"{__name__}.http")
_http_log.setLevel(logging.ERROR)


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


class _Impatient(_Protocol):
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


class HttpConnection(_Impatient, HttpToolsProtocol):
    """A connection that speaks HTTP, until it may be upgraded to a websocket. The most bytes of a
    request are those that uvicorn's configuration has for another parser. `turn_away` may answer
    a request as its head has come; nothing else is made of it then. `request_id` makes an ID for
    what is refused here and brings none."""

    _arriving: TimerHandle | None = None  # while there is something to come
    _arrived = 0  # bytes, of the request that has not ended
    _fault = HTTPStatus.BAD_REQUEST
    _refused = False
    _answer: bytes | None = None  # of a request that is turned away, while it is arriving
    _turned_away = False  # the last request, and nothing has come since

    def __init__(
        self,
        *arguments: Any,
        request_id: Callable[[], str],
        turn_away: TurnAway | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.logger = _http_log
        self._request_id = request_id
        self._turn_away = turn_away
        self._largest = self.config.h11_max_incomplete_event_size or LARGEST_HEAD

    def connection_made(self, transport: BaseTransport) -> None:
        closing = ClosingTransport(cast("Transport", transport), self.loop)
        super().connection_made(cast("Transport", closing))
        self._arriving = self.loop.call_later(ARRIVAL, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_arriving()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._turned_away = False
        super().data_received(data)
        if self._turned_away:
            self._stop_arriving()
            return
        cycle = self.cycle
        if cycle and cycle.scope is self.scope and not (cycle.more_body or cycle.response_complete):
            if self._arriving:
                self._stop_arriving()
        elif not self._refused and self.transport.get_protocol() is self:
            self._await_more(len(data))

    def on_headers_complete(self) -> None:
        too_much = len(self.headers) > _HEADERS or len(self.url) >= LARGEST_HEAD
        if too_much or len(self.pipeline) >= _PIPELINED:
            self._fault = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise OverflowError  # which the parser passes on as an error of its own
        if self._turn_away and self._is_in_turn():
            self._answer = self._turn_away(self.parser.get_method(), self.url, self.headers)
            if self._answer is not None:
                return
        super().on_headers_complete()
        if self.cycle and self.cycle.scope is self.scope:
            # What comes behind a body would be taken for its head, RFC 9110, section 6.5.1.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        if self._answer is None:
            super().on_body(body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._turned_away = False

    def on_message_complete(self) -> None:
        if self._answer is None:
            super().on_message_complete()
            return
        self.transport.write(self._answer)
        self._answer, self._turned_away = None, True
        if not self.parser.should_keep_alive():
            self.transport.close()
        self.on_response_complete()

    def _is_in_turn(self) -> bool:
        """Whether a request could be answered at once: none is before it, and it asks for no
        more than an answer."""
        is_next = self.cycle is None or self.cycle.response_complete
        return is_next and not self.expect_100_continue and not self.parser.should_upgrade()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._arriving:  # nothing was read meanwhile
            self._arriving.cancel()
            self._arriving = self.loop.call_later(ARRIVAL, self._give_up)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._fault)

    def handle_websocket_upgrade(self) -> None:
        self._stop_arriving()
        super().handle_websocket_upgrade()

    def _await_more(self, size: int) -> None:
        """What came does not end a request. It may begin none, too, or come behind an answer."""
        self._arrived += size
        in_head = self.cycle is None or self.cycle.scope is not self.scope
        most = LARGEST_HEAD if in_head else self._largest
        if self._arrived > most or len(self.headers or ()) > _HEADERS:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._arriving is None:
            self._arriving = self.loop.call_later(ARRIVAL, self._give_up)

    def _stop_arriving(self) -> None:
        self._arrived = 0
        if self._arriving:
            self._arriving.cancel()
            self._arriving = None

    def _give_up(self) -> None:
        if self._is_answering():
            self._arriving = self.loop.call_later(ARRIVAL, self._give_up)
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _is_answering(self) -> bool:
        """Whether there is an answer to come to a request before the one that is arriving."""
        cycle = self.cycle
        is_own = cycle and cycle.scope is self.scope and cycle.more_body
        return bool(self.pipeline or (cycle and not cycle.response_complete and not is_own))

    def _refuse(self, status: HTTPStatus) -> None:
        """Reads no more, and says why: as the last thing, where there are answers to come, the
        connection's end."""
        self._stop_arriving()
        self._refused = True
        cycle = self.cycle
        headers: Iterable[tuple[bytes, bytes]] = self.headers or ()
        if cycle and not cycle.response_complete:
            if cycle.scope is self.scope and cycle.more_body:
                headers = cycle.scope["headers"]
                cycle.disconnected = True
                cycle.message_event.set()
            else:
                cycle.keep_alive = False
                return
            if self.pipeline or cycle.response_started:
                self.transport.close()
                return
        content = error_body("BAD_USER_INPUT", f"{status.phrase}.")
        given = dict(headers).get(b"x-request-id", b"").decode("latin-1")
        request_id = request_id_of(given, self._request_id)
        head = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
        head += [b"%b: %b" % header for header in answering(JSON)]
        head += [b"x-request-id: %b" % request_id.encode(), b"content-length: %d" % len(content)]
        head += [b"connection: close", b"", content]
        self.transport.write(b"\r\n".join(head))
        # Closed at once, with data still unread, it would be reset, and the answer lost.
        self.transport.write_eof()
        self.loop.call_later(CLOSING, self.transport.close)


class SocketConnection(_Impatient, WebSocketsSansIOProtocol):
    """A connection that speaks websocket."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.close_timeout = CLOSING
        self.logger = self.conn.logger = log

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # the application is about to be asked
            self.scope["extensions"][AT_ONCE] = {"write": self.write}

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
        self.close_timer = self.loop.call_later(CLOSING, self.transport.close)


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
