"""Connections that another process has accepted, for several that serve."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

READY, LEAVING = b"+", b"-"  # what is said over the link to whoever accepts them

Protocols = Callable[[], asyncio.Protocol]


class HandedConnections:
    """Stands where a server is that accepts connections itself.

    They come over a link from the process that does, each with a byte of its own (unix(7),
    SCM_RIGHTS). A byte from here says that they may come, another that they may no more. The
    link's end is that process's end, and so SIGTERM here.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._closed = False
        self._opening: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._protocols: Protocols

    def start(self, protocols: Protocols) -> None:
        self._loop, self._protocols = asyncio.get_running_loop(), protocols
        self._link.setblocking(False)
        self._loop.add_reader(self._link, self._take)
        self._link.send(READY)

    def close(self) -> None:
        """Connections that were not taken yet are closed, and those that come yet."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._link.send(LEAVING)

    async def wait_closed(self) -> None:
        if self._opening:
            await asyncio.wait(self._opening)

    def _take(self) -> None:
        connection = self._receive()
        if connection is None:
            return
        if self._closed:
            connection.close()
            return
        connection.setblocking(False)
        opening = self._loop.create_task(self._open(connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocols, connection)
        except OSError:  # the client is gone again
            connection.close()

    def _receive(self) -> socket.socket | None:
        try:
            said, descriptors, _, _ = socket.recv_fds(self._link, 1, 1)
        except OSError:  # there is none, or the other process ended in the middle
            said, descriptors = b"+", []
        if not said:
            self._loop.remove_reader(self._link)
            os.kill(os.getpid(), signal.SIGTERM)
        return socket.socket(fileno=descriptors[0]) if descriptors else None
