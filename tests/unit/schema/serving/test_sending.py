"""Answers in one piece: the bytes that uvicorn would have sent in two, and never where it sends
something else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from schema.headers import JSON, Answer, stamp
from schema.serving.sending import Sending
from tests.support.sockets import World
from tests.unit.schema.serving.test_server import OTHER, on_uvloop, served

Headers = Sequence[tuple[bytes, bytes]]


class Wire:
    """What a transport was given."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Asked:
    """A request, and what became of it."""

    def __init__(self, method: str = "POST", *, keep_alive: bool = True, log: bool = False) -> None:
        self.wire = Wire()
        self.ended = 0
        self.cycle = RequestResponseCycle(
            scope=cast(
                "Any", {"method": method, "headers": [], "path": "/", "http_version": "1.1"}
            ),
            transport=cast("asyncio.Transport", self.wire),
            flow=FlowControl(cast("asyncio.Transport", self.wire)),
            logger=logging.getLogger(__name__),
            access_logger=logging.getLogger(__name__),
            access_log=log,
            default_headers=[(b"date", b"today")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self._end,
        )
        self.sending = Sending(self.cycle)

    def _end(self) -> None:
        self.ended += 1

    @property
    def sent(self) -> bytes:
        return b"".join(self.wire.written)


async def by_messages(asked: Asked, status: int, headers: Headers, body: bytes) -> None:
    start = {"type": "http.response.start", "status": status, "headers": headers}
    await asked.sending(start)
    await asked.sending({"type": "http.response.body", "body": body})


def sized(body: bytes) -> Headers:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]


@given(st.binary(max_size=100), st.sampled_from([200, 400, 429, 503]), st.booleans())
def test_it_sends_what_messages_would_have_sent(body: bytes, status: int, keep: bool) -> None:
    async def compare() -> None:
        one, other = Asked(keep_alive=keep), Asked(keep_alive=keep)

        assert one.sending.whole(status, sized(body), body)
        await by_messages(other, status, sized(body), body)

        assert one.sent == other.sent
        assert len(one.wire.written) == 1
        assert one.wire.closed is other.wire.closed is not keep
        assert one.ended == other.ended == 1
        assert one.cycle.response_complete
        assert one.cycle.message_event.is_set()

    asyncio.run(compare())


async def test_an_answer_without_a_body_goes_by_messages() -> None:
    asked = Asked("HEAD")

    assert not asked.sending.whole(200, sized(b"{}"), b"{}")
    assert asked.sent == b""


async def test_where_accesses_are_logged_uvicorn_logs_them() -> None:
    assert not Asked(log=True).sending.whole(200, sized(b"{}"), b"{}")


@pytest.mark.parametrize("bad", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
async def test_a_header_that_would_be_two_is_not_sent(bad: bytes) -> None:
    asked = Asked()
    headers = [*sized(b"{}"), (b"x-said", bad)]

    assert not asked.sending.whole(200, headers, b"{}")
    assert asked.sent == b""
    with pytest.raises(RuntimeError, match="Invalid HTTP header value"):
        await by_messages(asked, 200, headers, b"{}")


async def test_to_a_client_that_has_gone_nothing_is_sent() -> None:
    asked = Asked()
    asked.cycle.disconnected = True

    assert not asked.sending.whole(200, sized(b"{}"), b"{}")
    await by_messages(asked, 200, sized(b"{}"), b"{}")
    assert asked.sent == b""


async def test_a_client_that_reads_nothing_is_waited_for() -> None:
    asked = Asked()
    asked.cycle.flow.pause_writing()

    assert not asked.sending.whole(200, sized(b"{}"), b"{}")
    waiting = asyncio.ensure_future(by_messages(asked, 200, sized(b"{}"), b"{}"))
    await asyncio.sleep(0)
    assert asked.sent == b""
    asked.cycle.flow.resume_writing()
    await waiting
    assert asked.sent.endswith(b"\r\n\r\n{}")


async def test_there_is_one_answer_to_a_request() -> None:
    asked = Asked()

    assert asked.sending.whole(200, sized(b"{}"), b"{}")
    before = asked.sent
    assert not asked.sending.whole(200, sized(b"{}"), b"{}")
    assert asked.sent == before


async def test_an_answer_is_sent_in_one_piece_where_that_can_be() -> None:
    asked = Asked()
    answer = Answer(b"{}", 429, JSON, {"retry-after": "3"})
    stamp(answer, {"scheme": "http"}, "abc")

    await answer({"type": "http"}, cast("Any", None), asked.sending)

    (sent,) = asked.wire.written
    head, body = sent.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\ndate: today\r\ncontent-type: ")
    assert head.endswith(b"\r\ncontent-length: 2\r\nretry-after: 3\r\nx-request-id: abc")
    assert body == b"{}"


@on_uvloop
async def test_what_an_application_around_it_adds_to_an_answer_is_there() -> None:
    async with served(World()) as server, httpx.AsyncClient() as client:
        asked = {"query": "{ hello }"}
        answer = await client.post(server.url, json=asked, headers={"origin": OTHER})
        plain = await client.post(server.url, json=asked)

    assert answer.headers["access-control-allow-origin"] == OTHER
    assert "access-control-allow-origin" not in plain.headers
    assert answer.json() == plain.json()
