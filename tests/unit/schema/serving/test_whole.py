"""Requests told without a parser: never otherwise than the parser would."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.serving.whole import whole_request

HEAD = b"POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: 5\r\n\r\nquery"


class Parsed:
    """What the parser makes of some bytes: its messages, and what it says of them."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.begun = self.ended = 0
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parser.feed_data(data)
        self.method = self._parser.get_method()
        self.kept = self._parser.should_keep_alive()
        self.upgrades = self._parser.should_upgrade()

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1


def test_a_request_that_came_in_one_piece_is_told() -> None:
    found = whole_request(REQUEST)
    assert found == (b"POST", b"/graphql", ())


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"X-Request-ID: abc-1", b"abc-1"),
        (b"x-request-id:  abc \t", b"abc"),
        (b"X-REQUEST-ID: ", b""),
        (b"x-request-id:abc", b"abc"),
    ],
)
def test_its_id_is_told_as_it_is_given(line: bytes, value: bytes) -> None:
    found = whole_request(HEAD + line + b"\r\nContent-Length: 5\r\n\r\nquery")
    assert found is not None
    assert found.headers == ((b"x-request-id", value),)


@pytest.mark.parametrize("line", [b"Connection: keep-alive", b"connection: Keep-Alive"])
def test_who_says_that_the_connection_is_kept_says_nothing_new(line: bytes) -> None:
    assert whole_request(HEAD + line + b"\r\nContent-Length: 5\r\n\r\nquery")


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\r\n transfer-encoding: chunked",
        b"Content-Length: 5",
        b"Content-Length : 4",
        b"Connection: close",
        b"Connection: keep-alive, close",
        b"Connection: keep-alive\r\nConnection: close",
        b"Connection: upgrade\r\nUpgrade: websocket",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Origin: https://elsewhere.example",
        b"X: y\n\nPOST /graphql HTTP/1.1",  # to who takes a bare LF for an end, two requests
        b"X: y\nZ: y",
        b"X: y\r",
        b"X: y\rZ: y",
        b"X: y\r\n folded",
        b"X: \x00",
        b"X : y",
        b": y",
        b"y",
    ],
)
def test_what_may_mean_something_else_is_left_to_the_parser(line: bytes) -> None:
    assert whole_request(HEAD + line + b"\r\nContent-Length: 5\r\n\r\nquery") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        REQUEST[:-1],
        REQUEST + b"P",
        REQUEST + REQUEST,
        b"\r\n" + REQUEST,
        HEAD + b"\r\n",
        HEAD + b"Content-Length: +5\r\n\r\nquery",
        HEAD + b"Content-Length: 5, 5\r\n\r\nquery",
        HEAD + b"Content-Length: 0x5\r\n\r\nquery",
        HEAD + b"Content-Length:\r\n\r\n",
        HEAD + b"Content-Length: " + b"0" * 20 + b"5\r\n\r\nquery",
        REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        REQUEST.replace(b"POST", b"GET"),
        REQUEST.replace(b"POST /", b"POST http://"),
        REQUEST.replace(b" HTTP", b"?\nTransfer-Encoding: chunked HTTP"),
        REQUEST.replace(b" HTTP", b"?\r\nX: HTTP"),
        REQUEST.replace(b" HTTP", b"?a b HTTP"),
        REQUEST.replace(b" HTTP", b"?\xff HTTP"),
        HEAD + b"X: " + b"y" * 5_000 + b"\r\nContent-Length: 5\r\n\r\nquery",
    ],
)
def test_what_is_not_one_request_is_left_to_the_parser(data: bytes) -> None:
    assert whole_request(data) is None


PIECES = [
    b"POST /graphql HTTP/1.1",
    b"POST /graphql?a=b HTTP/1.1",
    b"GET / HTTP/1.1",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"Host: shop",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"content-length:5",
    b"Content-Length: 16",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Transfer-Encoding: chunked",
    b"x-request-id: a",
    b":",
    b"\x00",
    b"query",
]
LINES = [
    b"Host: shop",
    b"Content-Length: 5",
    b"Connection: keep-alive",
    b"x-request-id: a",
    b"Accept: */*",
    b"X-Odd: \xff",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
    | st.builds(
        lambda lines, body: b"POST /graphql HTTP/1.1\r\n" + b"\r\n".join([*lines, b"", body]),
        st.lists(st.sampled_from(LINES + PIECES), max_size=5),
        st.sampled_from([b"", b"query", b"q\r\n\r\n", b"query\r\n"]),
    )
)
def test_what_is_told_is_what_the_parser_says(data: bytes) -> None:
    found = whole_request(data)
    if found is None:
        return
    parsed = Parsed(data)
    assert (parsed.begun, parsed.ended) == (1, 1)
    assert (found.method, found.target) == (parsed.method, parsed.url)
    assert len(parsed.body) == len(data.partition(b"\r\n\r\n")[2])
    assert parsed.kept
    assert not parsed.upgrades
    given = [value for name, value in parsed.headers if name == b"x-request-id"]
    assert [value for _, value in found.headers] == given[:1]
