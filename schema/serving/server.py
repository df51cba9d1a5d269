"""Serving the application: a socket that is bound before anything costly starts, and uvicorn."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from math import ceil
from types import FrameType
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from datasources.errors import ConfigurationError
from schema.serving.connections import LARGEST_HEAD, Door, HttpConnection
from schema.serving.handed import HandedConnections
from schema.serving.socket_connections import SocketConnection

ENDING = 29  # seconds in which the service ends; supervisors often kill after 30
GRACE = 3  # of these, for requests that came last
_UNSENT = 65_536  # bytes that the system takes for a client before there is room for them
_YOUNG = 50_000  # objects made before the collector looks at them
_CHUNKED = 8  # times its size a body may have in chunks of a byte each

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigurationError, naming the options, where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Or megabytes would wait there for a client that does not read, and nobody would notice.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    try:
        listener.bind((host, port))
        # At once: another could bind the port as long as nobody listens.
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); "
            "choose another, e.g. --port 9000."
        ) from None
    return listener


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether nobody but this machine can come."""
    return ip_address(listener.getsockname()[0]).is_loopback


async def serve_app(
    app: ASGIApp,
    listener: socket.socket | HandedConnections,
    *,
    request_id: Callable[[], str],
    stopping: Callable[[], None] = lambda: None,
    drain: Callable[[], Awaitable[None]] | None = None,
    largest_message: int = 65_536,
    largest_body: int = 102_400,
    trusted_proxies: Sequence[str] = (),
    door: Door | None = None,
    linger: float = 0.0,
) -> None:
    """Serves until SIGINT or SIGTERM, then ends what is running, within ENDING seconds, and
    returns; a second SIGINT ends at once.

    `stopping` is called first, `drain` ends the connections that would not end by themselves.
    After SIGTERM others may come for `linger` seconds yet: whoever sends them here is still to
    learn that it should not.
    `largest_message` is in bytes, of a websocket, and `largest_body` of a request. What
    `trusted_proxies`, addresses and networks, say in X-Forwarded-For and -Proto is believed.
    The `door` may answer a request as its head has come, `request_id` makes an ID for what is
    refused before it is one.
    """
    logging.getLogger(SocketConnection.__module__).setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        loop="none",
        http=cast(
            "type[asyncio.Protocol]",
            partial(HttpConnection, request_id=request_id, door=door),
        ),
        ws=SocketConnection,
        ws_max_size=largest_message,
        ws_ping_interval=None,  # the protocol has pings of its own
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",  # it tells of each start and end
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        h11_max_incomplete_event_size=LARGEST_HEAD + _CHUNKED * largest_body,
    )
    # uvicorn raises a signal again once it has stopped; what its caller holds closes first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    _spare_collector()
    _allow_connections()
    handed = listener if isinstance(listener, HandedConnections) else None
    sockets = [] if isinstance(listener, HandedConnections) else [listener]
    await _Server(config, stopping, drain, handed, linger).serve(sockets=sockets)


def _spare_collector() -> None:
    """Takes what was made to start out of every later collection, and has these come when there
    is enough to find: one answer makes some thousand objects, of which few are cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def _allow_connections() -> None:
    """As many files as the system lets the process have: a connection is one, and many systems
    begin at 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # "unlimited" is more than some systems take
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """uvicorn's server, which ends in good order."""

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: Callable[[], None],
        drain: Callable[[], Awaitable[None]] | None,
        handed: HandedConnections | None,
        linger: float,
    ) -> None:
        super().__init__(config)
        self._linger = linger
        self._stopping = stopping
        self._drain = drain
        self._handed = handed
        self._loop = asyncio.get_running_loop()
        self._forced = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if sig == signal.SIGINT:
            self._linger = 0.0
        if self.force_exit:
            self._loop.call_soon_threadsafe(self._forced.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._handed:
            # What uvicorn does with its servers, to close them, is known of these too.
            self.servers.append(cast("asyncio.Server", self._handed))
            self._handed.start(self._protocol)

    def _protocol(self) -> asyncio.Protocol:
        connect = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return connect(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        end = self._loop.time() + ENDING
        self._stopping()
        if self._linger:
            await self._until_forced(asyncio.sleep(self._linger), self._linger)
        for server in self.servers:
            server.close()
        if self._drain:
            await self._until_forced(self._drain(), end - GRACE - self._loop.time())
        # Before the tasks of who does not read would be cancelled, and logged as failed.
        dropping = self._loop.call_at(0 if self.force_exit else end - 1, self._drop_all)
        self.config.timeout_graceful_shutdown = ceil(end - self._loop.time())
        await super().shutdown(sockets)
        dropping.cancel()

    async def _until_forced(self, work: Awaitable[None], most: float) -> None:
        forced = asyncio.ensure_future(self._forced.wait())
        working = asyncio.ensure_future(work)
        await asyncio.wait({working, forced}, timeout=most, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, forced):
            task.cancel()
        for result in await asyncio.gather(working, forced, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("connections did not end in good order", exc_info=result)

    def _drop_all(self) -> None:
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
