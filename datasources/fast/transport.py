"""Requests over pooled connections, within the limits that aioboto3 set for its own.

What goes wrong on the way is raised as the botocore errors that an aioboto3 client raises, so
that callers need to know one family.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import aiohttp
from botocore.exceptions import (
    ChecksumError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import create_urllib3_context, get_cert_path
from yarl import URL

from datasources.pool import Places

# A compressed answer costs more than it saves on a short way, and its CRC32 is another.
_AS_IT_IS = {"Accept-Encoding": "identity"}

# The first that fits counts.
_FAILURES = (
    (aiohttp.ConnectionTimeoutError, ConnectTimeoutError),
    (TimeoutError, ReadTimeoutError),
    (aiohttp.ClientSSLError, SSLError),
    (aiohttp.ServerDisconnectedError, ConnectionClosedError),
    (aiohttp.ClientPayloadError, ConnectionClosedError),
    (aiohttp.ClientConnectionError, EndpointConnectionError),
    (OSError, EndpointConnectionError),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How an HTTP client is to connect: seconds, connections at most, and whom it trusts.

    `patience` is how long a request waits until a connection is free. `verify`: True for the
    certificates botocore comes with, False for no check, or the path of a bundle of certificates.
    """

    connect_timeout: float
    read_timeout: float
    connections: int
    keepalive: float
    verify: bool | str = True
    patience: float = 1.0


class Answer(NamedTuple):
    """An answer of any status, read to its end."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Transport:
    """Connects when first used, and again when used after it was closed, as an aioboto3 client
    does: a function's container keeps its clients longer than the block that opened them."""

    limits: Limits
    tls: ssl.SSLContext | bool
    _session: aiohttp.ClientSession | None = None
    _places: Places = field(init=False)

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises BotoCoreError where no whole answer came: one whose CRC32 is not the one that
        DynamoDB says is not whole."""
        session = self._connected()
        try:
            async with (
                self._places,
                session.post(
                    url, headers={**headers, **_AS_IT_IS}, data=body, allow_redirects=False
                ) as response,
            ):
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            for kind, raised in _FAILURES:
                if isinstance(error, kind):
                    raise raised(endpoint_url=str(url), error=error) from error
            raise HTTPClientError(error=error) from error
        _check(answer)
        return answer

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = _open_session(self.limits, self.tls)
            self._places = Places(self.limits.connections, self.limits.patience)
        return self._session


@lru_cache(maxsize=16)
def address(url: str) -> URL:
    """A URL taken apart once; it is already encoded."""
    return URL(url, encoded=True)


@asynccontextmanager
async def open_transport(limits: Limits, *, secure: bool) -> AsyncIterator[Transport]:
    """Connections, closed at the end of the block; `secure`: over TLS."""
    transport = Transport(limits, _tls(limits.verify) if secure else False)
    try:
        yield transport
    finally:
        await transport.close()


def _open_session(limits: Limits, tls: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=limits.connections, keepalive_timeout=limits.keepalive, ssl=tls
        ),
        timeout=aiohttp.ClientTimeout(
            sock_connect=limits.connect_timeout, sock_read=limits.read_timeout
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def _tls(verify: bool | str) -> ssl.SSLContext | bool:
    """The TLS context that botocore makes for the same setting."""
    if not verify:
        return False
    context: ssl.SSLContext = create_urllib3_context()
    context.load_verify_locations(get_cert_path(True) if verify is True else verify)
    return context


def _check(answer: Answer) -> None:
    expected = answer.headers.get("x-amz-crc32")
    if expected is not None and expected != (actual := str(zlib.crc32(answer.body))):
        raise ChecksumError(
            checksum_type="crc32", expected_checksum=expected, actual_checksum=actual
        )
