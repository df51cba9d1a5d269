"""The connections of fast calls against a server of this test's own: what can go wrong there."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from datasources.client import Endpoint, open_client
from datasources.errors import ServiceUnavailable
from datasources.fast.connections import address
from datasources.fast.transport import Limits, open_transport
from datasources.keys import Key
from datasources.table import ATTEMPTS, Table

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LIMITS = Limits(connect_timeout=5, read_timeout=5, connections=2, keepalive=5)


def answer(body: bytes = b"{}", status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def request(reader: asyncio.StreamReader) -> bytes:
    """The head of the next request; its body, which is `{}`, is read as well."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return head


def giving(sent: bytes) -> Behaviour:
    """Answers every request alike, and ends the connection after the first."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(sent)

    return behave


@asynccontextmanager
async def server(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()


async def post(port: int, limits: Limits = LIMITS, *, secure: bool = False) -> bytes:
    async with open_transport(limits, secure=secure) as transport:
        scheme = "https" if secure else "http"
        found = await transport.post(address(f"{scheme}://127.0.0.1:{port}/"), {}, b"{}")
        return found.body


async def test_an_answer_comes_whole_with_its_status_and_headers() -> None:
    sent = answer(b'{"a":1}', "400 Bad Request", "X-Amzn-RequestId: r-1\r\n")
    async with server(giving(sent)) as port, open_transport(LIMITS, secure=False) as transport:
        found = await transport.post(address(f"http://127.0.0.1:{port}/"), {}, b"{}")
    assert (found.status_code, found.body) == (400, b'{"a":1}')
    assert found.headers["x-amzn-requestid"] == "r-1"


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    sent = answer(status="307 Temporary Redirect", headers="Location: http://127.0.0.1:1/\r\n")
    async with server(giving(sent)) as port:
        assert await post(port) == b"{}"


@pytest.mark.parametrize("expected", ["right", "wrong"])
async def test_an_answer_whose_checksum_is_wrong_is_none(expected: str) -> None:
    checksum = zlib.crc32(b"{}" if expected == "right" else b"{ }")
    async with server(giving(answer(headers=f"x-amz-crc32: {checksum}\r\n"))) as port:
        if expected == "right":
            assert await post(port) == b"{}"
        else:
            with pytest.raises(ChecksumError):
                await post(port)


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\n", answer(b"{}" * 9)[:-1]], ids=["nothing", "head", "body"]
)
async def test_an_answer_that_breaks_off_is_a_closed_connection(sent: bytes) -> None:
    async with server(giving(sent)) as port:
        with pytest.raises(ConnectionClosedError):
            await post(port)


async def test_what_is_no_http_is_an_error_of_the_same_family() -> None:
    async with server(giving(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as port:
        with pytest.raises(BotoCoreError):
            await post(port)


async def test_a_store_that_is_silent_is_given_up_after_the_time_to_read() -> None:
    async def behave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await request(reader)
        await asyncio.Event().wait()

    async with server(behave) as port:
        with pytest.raises(ReadTimeoutError):
            await post(port, Limits(5, 0.05, 2, 5))


async def test_a_store_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(EndpointConnectionError):
            await post(taken.getsockname()[1])


async def test_connections_are_kept_and_no_more_of_them_than_the_limit() -> None:
    connections, waiting, most = 0, 0, 0
    go = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, waiting, most
        connections += 1
        while True:
            await request(reader)
            waiting += 1
            most = max(most, waiting)
            if waiting == LIMITS.connections:
                go.set()
            await go.wait()
            waiting -= 1
            writer.write(answer())

    async with server(behave) as port, open_transport(LIMITS, secure=False) as transport:
        where = address(f"http://127.0.0.1:{port}/")
        found = await asyncio.gather(*(transport.post(where, {}, b"{}") for _ in range(9)))
    assert [one.body for one in found] == [b"{}"] * 9
    assert connections == most == LIMITS.connections


async def test_connections_end_with_the_block_and_a_later_call_connects_again() -> None:
    ended = asyncio.Queue[None]()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer())
        assert await reader.read() == b""
        ended.put_nowait(None)

    async with server(behave) as port:
        where = address(f"http://127.0.0.1:{port}/")
        async with open_transport(LIMITS, secure=False) as transport:
            await transport.post(where, {}, b"{}")
            assert ended.empty()
        await ended.get()
        assert (await transport.post(where, {}, b"{}")).body == b"{}"
        transport.close()
        await ended.get()


async def test_no_compressed_answer_is_asked_for() -> None:
    heads = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await request(reader))
        writer.write(answer())

    async with server(behave) as port:
        await post(port)
    assert b"accept-encoding: identity\r\n" in heads[0].lower()


async def test_an_answer_that_comes_slowly_is_waited_for_as_long_as_it_comes() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for byte in answer():
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async with server(behave) as port:
        assert await post(port, Limits(5, 0.5, 2, 5)) == b"{}"


async def test_an_answer_may_come_in_parts_and_after_another_that_is_none_yet() -> None:
    parts = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    async with server(giving(b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + parts)) as port:
        assert await post(port) == b"{}"


@pytest.mark.parametrize(
    ("sent", "keepalive"),
    [
        (answer(headers="Connection: close\r\n"), 5),
        (answer() + b"and more", 5),
        (answer() + answer(b"[]"), 5),
        (answer(), -1),
    ],
    ids=["told to close", "said more", "answered twice", "idle for too long"],
)
async def test_a_connection_is_not_used_again_that_was(sent: bytes, keepalive: float) -> None:
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await request(reader)
            writer.write(sent)

    limits = Limits(5, 5, 2, keepalive)
    async with server(behave) as port, open_transport(limits, secure=False) as transport:
        where = address(f"http://127.0.0.1:{port}/")
        for _ in range(3):
            assert (await transport.post(where, {}, b"{}")).body == b"{}"
    assert connections == 3


async def test_the_answer_to_a_call_that_was_given_up_is_not_that_to_the_next() -> None:
    asked, go = asyncio.Event(), asyncio.Event()
    calls = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        while True:
            await request(reader)
            calls += 1
            mine = calls
            asked.set()
            await go.wait()
            writer.write(answer(str(mine).encode()))

    async with server(behave) as port, open_transport(LIMITS, secure=False) as transport:
        where = address(f"http://127.0.0.1:{port}/")
        first = asyncio.create_task(transport.post(where, {}, b"{}"))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert (await transport.post(where, {}, b"{}")).body == b"2"


async def test_a_store_that_takes_no_connection_is_given_up_after_the_time_to_connect() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(ConnectTimeoutError):
            await post(port, Limits(0.05, 5, 2, 5))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")])
    now = datetime.datetime.now(datetime.UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "store.pem"
    encoding = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(made.public_bytes(encoding) + key.private_bytes(encoding, form, plain))
    return path


def presenting(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with server(giving(answer()), presenting(certificate)) as port:
        with pytest.raises(SSLError):
            await post(port, secure=True)


async def test_a_bundle_named_to_the_sdk_is_trusted_by_fast_calls_too(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    heads = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(answer(b'{"Item":{"a":{"S":"b"}}}'))

    async with server(behave, presenting(certificate)) as port:
        endpoint = Endpoint("eu-west-1", f"https://127.0.0.1:{port}", local=True)
        async with open_client(endpoint) as client:
            found = await client.get_item(TableName="shop", Key={"a": {"S": "b"}})
    assert found["Item"] == {"a": {"S": "b"}}
    assert b"x-amz-target: dynamodb_20120810.getitem" in heads[0].lower()


@pytest.mark.parametrize("fast", [True, False])
async def test_a_connection_that_breaks_is_tried_again_by_the_table_alone(fast: bool) -> None:
    calls = 0

    async def behave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal calls
        await reader.readuntil(b"\r\n\r\n")
        calls += 1

    async with server(behave) as port:
        endpoint = Endpoint("eu-west-1", f"http://127.0.0.1:{port}", local=True, fast=fast)
        async with open_client(endpoint) as client:
            deadline = asyncio.get_running_loop().time() + 20
            table = Table(client, "shop", deadline, jitter=lambda *_: 0)
            with pytest.raises(ServiceUnavailable):
                await table.batch_get([Key("a", "b")])
    assert calls == table.meter.requests == ATTEMPTS
