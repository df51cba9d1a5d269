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

from botocore.exceptions import (
    ChecksumError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import create_urllib3_context, get_cert_path

from datasources.fast.connections import (
    Address,
    Answer,
    BrokenAnswerError,
    Connection,
    Connections,
    post,
)
from datasources.pool import Places

# A compressed answer costs more than it saves on a short way, and its CRC32 is another.
_AS_IT_IS = {"Accept-Encoding": "identity"}


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


@dataclass(slots=True)
class Transport:
    """Connects when first used, and again when used after it was closed, as an aioboto3 client
    does: a function's container keeps its clients longer than the block that opened them."""

    limits: Limits
    tls: ssl.SSLContext | None
    _connections: Connections | None = None
    _places: Places = field(init=False)

    async def post(self, where: Address, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises BotoCoreError where no whole answer came: one whose CRC32 is not the one that
        DynamoDB says is not whole."""
        connections = self._connections or self._open()
        async with self._places:
            connection = await _connect(connections, where)
            try:
                answer = await connection.exchange(post(where, {**headers, **_AS_IT_IS}, body))
            except TimeoutError as error:
                raise ReadTimeoutError(endpoint_url=where.authority, error=error) from error
            except BrokenAnswerError as error:
                raise ConnectionClosedError(endpoint_url=where.authority, error=error) from error
            finally:
                connections.give_back(where, connection)
        _check(answer)
        return answer

    def close(self) -> None:
        if self._connections:
            self._connections.close()
            self._connections = None

    def _open(self) -> Connections:
        limits = self.limits
        self._places = Places(limits.connections, limits.patience)
        self._connections = Connections(
            self.tls, limits.connect_timeout, limits.read_timeout, limits.keepalive
        )
        return self._connections


@asynccontextmanager
async def open_transport(limits: Limits, *, secure: bool) -> AsyncIterator[Transport]:
    """Connections, closed at the end of the block; `secure`: over TLS."""
    transport = Transport(limits, _tls(limits.verify) if secure else None)
    try:
        yield transport
    finally:
        transport.close()


async def _connect(connections: Connections, where: Address) -> Connection:
    try:
        return await connections.take(where)
    except TimeoutError as error:
        raise ConnectTimeoutError(endpoint_url=where.authority, error=error) from error
    except ssl.SSLError as error:
        raise SSLError(endpoint_url=where.authority, error=error) from error
    except OSError as error:
        raise EndpointConnectionError(endpoint_url=where.authority, error=error) from error


def _tls(verify: bool | str) -> ssl.SSLContext:
    """The TLS context that botocore makes for the same setting."""
    context: ssl.SSLContext = create_urllib3_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_verify_locations(get_cert_path(True) if verify is True else verify)
    return context


def _check(answer: Answer) -> None:
    expected = answer.headers.get("x-amz-crc32")
    if expected is not None and expected != (actual := str(zlib.crc32(answer.body))):
        raise ChecksumError(
            checksum_type="crc32", expected_checksum=expected, actual_checksum=actual
        )
