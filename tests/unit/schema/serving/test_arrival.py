"""Requests that come slowly, in pieces, too large, or are none: what the server makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, cast

import orjson
import pytest

from schema.serving import connections
from schema.serving.server import _CHUNKED
from tests.support.sockets import SLOW, TICKS, World, within
from tests.unit.schema.serving.test_server import (
    HANDSHAKE,
    REQUEST_ID,
    SHORT,
    Served,
    on_uvloop,
    served,
)
from tests.unit.schema.serving.test_server import post as events_of

MANY = 1_000_000  # bytes, more than any request here may have
HEAD = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ARRIVAL", SHORT)


def post(query: str = "{ hello }") -> bytes:
    body = orjson.dumps({"query": query})
    return HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request_id: str | None = None  # of the last answer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await within(self.writer.drain())

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """The status and the body of the next answer."""
        head = await within(self.reader.readuntil(b"\r\n\r\n"))
        response = HTTPResponse(cast("Any", Given(head)))
        response.begin()
        self.request_id = response.headers["x-request-id"]
        body = await within(self.reader.readexactly(response.length or 0))
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["x-content-type-options"] == "nosniff"
        return response.status, orjson.loads(body)

    async def refusal(self) -> int:
        """The status of an answer that is an error with a code, and the last."""
        status, body = await self.answer()
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["message"]
        await self.end()
        return status

    async def end(self) -> None:
        """The connection is closed, and nothing more was said."""
        assert await within(self.reader.read()) == b""


@dataclass
class Given:
    head: bytes

    def makefile(self, _mode: str) -> BytesIO:
        return BytesIO(self.head)


@asynccontextmanager
async def connected(server: Served) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def lives(server: Served) -> bool:
    async with connected(server) as client:
        await client.send(post())
        status, body = await client.answer()
        return (status, body["data"]) == (200, {"hello": "hello you"})


# --- slowly ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n\r\n",
        b"POST /gra",
        HEAD,
        HEAD + b"content-length: 100\r\n\r\n",
        HEAD + b'content-length: 100\r\n\r\n{"query": ',
        HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\na: b\r\n",
    ],
)
@on_uvloop
async def test_a_request_that_does_not_arrive_is_not_waited_for(
    world: World, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(world) as server:
        async with connected(server) as client:
            await client.send(sent)
            assert await client.refusal() == 408
            assert client.request_id == REQUEST_ID
        assert await lives(server)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.usefixtures("_hurried")
@on_uvloop
async def test_a_byte_at_a_time_is_no_way_to_hold_a_connection(world: World) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(HEAD + b"a: ")

        async def drip() -> None:
            while True:
                await client.send(b"x")
                await asyncio.sleep(SHORT / 20)

        dripping = asyncio.create_task(drip())
        status, _ = await client.answer()
        dripping.cancel()
        assert status == 408


@pytest.mark.usefixtures("_hurried")
@on_uvloop
async def test_what_comes_between_requests_does_not_hold_a_connection(world: World) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(post())
        assert (await client.answer())[0] == 200
        await client.send(b"\r\n")
        assert await client.refusal() == 408


@pytest.mark.usefixtures("_hurried")
@on_uvloop
async def test_who_has_sent_all_is_waited_for_however_long_the_answer_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(post(SLOW), post()[:-5])
        await within(world.store.started.acquire())
        await asyncio.sleep(3 * SHORT)
        monkeypatch.setattr(connections, "ARRIVAL", 60)
        world.store.gate.set()
        assert (await client.answer())[1]["data"] == {"slow": "at last"}
        await client.send(post()[-5:])
        assert (await client.answer())[1]["data"] == {"hello": "hello you"}


@pytest.mark.usefixtures("_hurried")
@on_uvloop
async def test_streams_and_sockets_stay_open(world: World) -> None:
    async with served(world) as server, connected(server) as stream, connected(server) as socket:
        await stream.send(events_of(TICKS))
        results = await world.source.next()
        await socket.send(HANDSHAKE)
        await within(socket.reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(3 * SHORT)
        results.put(1)
        assert b'{"ticks":1}' in await within(stream.reader.readuntil(b"}\n\n"))
        await socket.send(b"\x89\x80\0\0\0\0")  # a ping
        assert await within(socket.reader.readexactly(2)) == b"\x8a\x00"


# --- too much -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"GET /" + b"x" * 1_000] + [b"x" * 1_000] * 100, id="a long URL"),
        pytest.param([b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n"], id="a long URL at once"),
        pytest.param([HEAD] + [b"a: " + b"x" * 1_000 + b"\r\n"] * 100, id="long headers"),
        pytest.param([HEAD + b"a: b\r\n" * 200 + b"\r\n"], id="many headers"),
        pytest.param([HEAD + b"a: b\r\n" * 200], id="many headers and no end"),
        pytest.param(
            [HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n"] + [b"a: b\r\n" * 20] * 20,
            id="many trailers",
        ),
        pytest.param(
            [HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\na: "] + [b"x" * 10_000] * 100,
            id="a long trailer",
        ),
        pytest.param(
            [HEAD + b"transfer-encoding: chunked\r\n\r\n1;a="] + [b"x" * 10_000] * 100,
            id="a long chunk extension",
        ),
    ],
)
@on_uvloop
async def test_what_has_no_end_is_refused(world: World, parts: list[bytes]) -> None:
    async with served(world) as server:
        async with connected(server) as client:
            sending = asyncio.create_task(client.send(*parts))
            assert await client.refusal() == 431
            assert client.request_id == REQUEST_ID
            sending.cancel()
        assert await lives(server)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET http:// HTTP/1.1\r\nx-request-id: theirs\r\n\r\n",
        HEAD + b"x-request-id: theirs\r\na: b\x00c\r\n\r\n",
        HEAD + b"X-Request-Id: theirs\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    ],
)
@on_uvloop
async def test_a_refusal_has_the_id_that_the_request_brought(world: World, sent: bytes) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(sent)
        assert await client.refusal() == 400
        assert client.request_id == "theirs"


@pytest.mark.parametrize("chunk", [1, 7, 1_000, 100_000])
@on_uvloop
async def test_a_body_is_held_to_its_size_in_chunks_of_any_size(world: World, chunk: int) -> None:
    def chunked(size: int) -> bytes:
        body = orjson.dumps({"query": "{ hello }"}).ljust(size)
        chunks = [body[start : start + chunk] for start in range(0, size, chunk)]
        return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"

    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    async with served(world) as server, connected(server) as client:
        await client.send(head + chunked(102_400))
        assert (await client.answer())[0] == 200
        await client.send(head + chunked(102_401))
        assert (await client.answer())[0] == 413
        await client.send(post())
        assert (await client.answer())[0] == 200


@on_uvloop
async def test_a_body_that_is_refused_is_not_taken_for_ever(world: World) -> None:
    chunk = b"186a0\r\n" + b" " * 100_000 + b"\r\n"
    async with served(world) as server, connected(server) as client:
        await client.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        sending = asyncio.create_task(client.send(*[chunk] * (MANY // 100_000 * _CHUNKED)))
        assert (await client.answer())[0] == 413
        assert await client.refusal() == 431
        sending.cancel()


# --- pipelines, and what is no request ------------------------------------------------------


@on_uvloop
async def test_requests_behind_one_another_are_answered_in_order(world: World) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(post(SLOW) + b"".join(post(f"{{ a{n}: hello }}") for n in range(20)))
        world.store.gate.set()
        assert (await client.answer())[1]["data"] == {"slow": "at last"}
        for number in range(20):
            assert (await client.answer())[1]["data"] == {f"a{number}": "hello you"}


@on_uvloop
async def test_there_is_an_end_to_requests_behind_one_another(world: World) -> None:
    async with served(world) as server:
        async with connected(server) as client:
            await client.send(post(SLOW) + post() * 1_000)
            world.store.gate.set()
            answers = (await within(client.reader.read())).split(b"HTTP/1.1 ")[1:]
            assert len(answers) == 1 + connections._PIPELINED
            assert all(answer.startswith(b"200 ") for answer in answers)
        assert await lives(server)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
        b"\x00" * 100,
        b"FOO /graphql HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /graphql HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        HEAD + b"content-length: x\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nx\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"a: b\x00c\r\n\r\n",
    ],
)
@on_uvloop
async def test_what_is_no_request_gets_400_with_a_code(
    world: World, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(world) as server:
        async with connected(server) as client:
            await client.send(sent)
            assert await client.refusal() == 400
        assert await lives(server)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


@on_uvloop
async def test_a_body_longer_than_it_says_is_no_second_answer_to_the_first(world: World) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(post() + b"{}")
        assert (await client.answer())[1]["data"] == {"hello": "hello you"}
        await client.end()


@on_uvloop
async def test_who_speaks_http_1_0_is_answered_and_that_is_all(world: World) -> None:
    async with served(world) as server, connected(server) as client:
        await client.send(post().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await client.answer())[1]["data"] == {"hello": "hello you"}
        await client.end()


@on_uvloop
async def test_who_asks_whether_to_go_on_is_told_before_the_body_is_sent(world: World) -> None:
    head, _, body = post().partition(b"\r\n\r\n")
    async with served(world) as server, connected(server) as client:
        await client.send(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert (
            await within(client.reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
        )
        await client.send(body)
        assert (await client.answer())[0] == 200


@on_uvloop
async def test_what_comes_behind_a_body_is_no_header(world: World) -> None:
    body = post().partition(b"\r\n\r\n")[2]
    sent = HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)
    async with served(world) as server, connected(server) as client:
        world.door = asyncio.Event()
        await client.send(sent + b"authorization: Bearer x\r\n\r\n")
        world.door.set()
        assert (await client.answer())[0] == 200
    assert world.authenticated[-1] == (None, None)
