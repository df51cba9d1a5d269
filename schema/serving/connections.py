"""The connections of the server: uvicorn's, with an end to waiting for their clients.

uvicorn waits for as long as it takes for a request that does not come, or comes a byte at a time,
and keeps whatever comes. Here one has ARRIVAL seconds to arrive, and a bounded size. While there
is no place for it, it is answered as it comes off the wire.
"""

from __future__ import annotations

import logging
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from schema.headers import JSON, answering, error_body, request_id_of
from schema.serving import transports
from schema.serving.sending import Sending
from schema.serving.transports import ClosingTransport, Impatient
from schema.serving.whole import whole_request

ARRIVAL = 10.0  # seconds from the first byte of a request, or the connection's start, to the last
LARGEST_HEAD = 65_536  # bytes of a request up to its body: a GET has its document there
_HEADERS = 100  # of one request
_PIPELINED = 32  # requests that wait for the answer to one before them

# uvicorn tells of each request that is none, too.
_http_log = logging.getLogger(f"{__name__}.http")
_http_log.setLevel(logging.ERROR)


class Door(Protocol):
    """Who may answer requests before anything is made of them."""

    def is_shut(self) -> bool:
        """Whether most are, for now."""

    def turn_away(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        """The whole response; None lets the request in."""


class HttpConnection(Impatient, HttpToolsProtocol):
    """A connection that speaks HTTP, until it may be upgraded to a websocket. The most bytes of a
    request are those that uvicorn's configuration has for another parser. The `door` may answer
    a request as its head has come; nothing else is made of it then. `request_id` makes an ID for
    what is refused here and brings none."""

    # All that a dismissal looks at, uvicorn's own too, lies together: of a thousand connections
    # none is in the processor's cache when it is asked, and that was a quarter of a refusal.
    __slots__ = (
        "_arriving",
        "_between",
        "_dismissed",
        "_door",
        "_refused",
        "cycle",
        "loop",
        "server_state",
        "timeout_keep_alive",
        "timeout_keep_alive_task",
        "transport",
    )

    _arrived = 0  # bytes, of the request that has not ended
    _fault = HTTPStatus.BAD_REQUEST
    _answer: bytes | None = None  # of a request that is turned away, while it is arriving
    _turned_away = False  # the last request, and nothing has come since

    def __init__(
        self,
        *arguments: Any,
        request_id: Callable[[], str],
        door: Door | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.logger = _http_log
        self._request_id = request_id
        self._door = door
        self._refused = False
        self._between = True  # two requests: nothing of the next has come
        self._dismissed = 0.0  # when the last request was answered without being parsed
        self._arriving: TimerHandle | None = None  # while there is something to come
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
        # Written out, for past capacity this is most of what is done.
        door = self._door
        if door and self._between and self.cycle is None and door.is_shut():
            whole = whole_request(data)
            answer = whole and door.turn_away(*whole)
            if answer:
                self._dismiss(answer)
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
        if self._door and self._is_in_turn():
            self._answer = self._door.turn_away(self.parser.get_method(), self.url, self.headers)
            if self._answer is not None:
                return
        super().on_headers_complete()
        if self.cycle and self.cycle.scope is self.scope:
            # What comes behind a body would be taken for its head, RFC 9110, section 6.5.1.
            self.headers = []

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        def answer(scope: Scope, receive: Receive, _: Send) -> Awaitable[None]:
            return cast("ASGIApp", app)(scope, receive, Sending(cycle))

        super()._start_asgi_task(cycle, cast("Any", answer))

    def on_body(self, body: bytes) -> None:
        if self._answer is None:
            super().on_body(body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._turned_away = self._between = False

    def on_message_complete(self) -> None:
        self._between = True
        if self._answer is None:
            super().on_message_complete()
            return
        self.transport.write(self._answer)
        self._answer, self._turned_away = None, True
        if not self.parser.should_keep_alive():
            self.transport.close()
        self.on_response_complete()

    def _dismiss(self, answer: bytes) -> None:
        """Answers a request that came by itself, and in one piece."""
        self.transport.write(answer)
        self.server_state.total_requests += 1
        self._dismissed = self.loop.time()
        if self._arriving:
            self._stop_arriving()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._listen_if_heard()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_next() and not self.transport.is_closing():
            self.flow.resume_reading()

    def _listen_if_heard(self) -> None:
        """Or whoever asks on and reads nothing would have all the answers kept here: those that
        are made at once wait for nobody."""
        if self.flow.write_paused and self._is_next() and not self.transport.is_closing():
            self.flow.pause_reading()

    def timeout_keep_alive_handler(self) -> None:
        # Not begun anew for each request that is dismissed, which would cost as much as its answer.
        left = self._dismissed + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep_alive(left)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _is_next(self) -> bool:
        """Whether all requests before have been answered."""
        return self.cycle is None or self.cycle.response_complete

    def _is_in_turn(self) -> bool:
        """Whether a request could be answered at once: none is before it, and it asks for no
        more than an answer."""
        return self._is_next() and not self.expect_100_continue and not self.parser.should_upgrade()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        cycle = self.cycle
        if cycle and cycle.response_complete and not cycle.more_body:
            self.cycle = cast("Any", None)  # with all that was asked
        self._listen_if_heard()
        if self._arriving:  # nothing was read meanwhile
            self._arriving.cancel()
            self._arriving = self.loop.call_later(ARRIVAL, self._give_up)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._fault)

    def handle_websocket_upgrade(self) -> None:
        self._stop_arriving()
        super().handle_websocket_upgrade()
        # It knows this connection as this knows it, and nobody tells of the end any more.
        self.parser = cast("Any", None)

    def _await_more(self, size: int) -> None:
        """What came does not end a request. It may begin none, too, or come behind an answer."""
        self._arrived += size
        is_passed_over = self._answer is not None
        in_head = not is_passed_over and (self.cycle is None or self.cycle.scope is not self.scope)
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
        self.loop.call_later(transports.CLOSING, self.transport.close)
