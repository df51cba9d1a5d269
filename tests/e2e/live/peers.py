"""A client of graphql-transport-ws that does what a test says, and no more than that."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = "graphql-transport-ws"
PATIENCE = 60.0  # seconds; the machine may be busy
LITTLE = 4_096  # bytes that the system takes for who does not read

T = TypeVar("T")


class Ended(Exception):
    """A subscription came to its end with these errors, or with none."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.codes = [error["extensions"]["code"] for error in errors]


@dataclass
class Peer:
    connection: ClientConnection

    async def say(self, message: object) -> None:
        """An object goes as JSON, text and bytes as they are."""
        as_it_is = isinstance(message, str | bytes)
        await self.connection.send(message if as_it_is else json.dumps(message))  # type: ignore[arg-type]

    async def hear(self) -> dict[str, Any]:
        """The next message but for pings, which are answered."""
        while True:
            message: dict[str, Any] = json.loads(await within(self.connection.recv()))
            if message["type"] != "ping":
                return message
            await self.say({"type": "pong"})

    async def end(self) -> int | None:
        """The code that the service closes with, whatever it says before."""
        with suppress(ConnectionClosed):
            while True:
                await self.hear()
        return self.connection.close_code

    async def initialise(self, token: str | None = None) -> None:
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await self.say({"type": "connection_init", "payload": payload})
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, query: str, name: str = "events", **variables: Any) -> None:
        payload = {"query": query, "variables": variables}
        await self.say({"type": "subscribe", "id": name, "payload": payload})

    async def event(self, name: str = "events") -> dict[str, Any]:
        """The next event of a subscription that has one root field. Raises Ended."""
        message = await self.hear()
        assert message["id"] == name, message
        if message["type"] != "next":
            raise Ended(message.get("payload", []))
        assert "errors" not in message["payload"], message
        (change,) = message["payload"]["data"].values()
        assert isinstance(change, dict)
        return change

    async def events(self, count: int, name: str = "events") -> list[dict[str, Any]]:
        return [await self.event(name) for _ in range(count)]

    async def outcome(self, name: str = "events") -> list[str]:
        """The codes of the errors that a subscription ends with, whatever it tells before."""
        try:
            while True:
                await self.event(name)
        except Ended as end:
            return end.codes

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a query or mutation, on a socket that nothing else runs on."""
        await self.subscribe(query, "ask", **variables)
        answer = await self.hear()
        assert answer["type"] == "next", answer
        assert "errors" not in answer["payload"], answer
        assert (await self.hear())["type"] == "complete"
        data: dict[str, Any] = answer["payload"]["data"]
        return data

    async def ping(self) -> None:
        await self.say({"type": "ping"})
        assert await self.hear() == {"type": "pong"}

    def stop_reading(self) -> None:
        self.connection.transport.pause_reading()

    def cut(self) -> None:
        """The connection is gone, and nobody was told."""
        self.connection.transport.abort()


@asynccontextmanager
async def connected(
    url: str, token: str | None = None, *, initialised: bool = True, **options: Any
) -> AsyncIterator[Peer]:
    """A socket to the service at a URL, cut off afterwards."""
    settings: dict[str, Any] = {
        "subprotocols": [Subprotocol(PROTOCOL)],
        "compression": None,
        "ping_interval": None,
        "max_size": None,
        "proxy": None,
        "open_timeout": PATIENCE,
    }
    address = f"ws{url.removeprefix('http')}/graphql"
    connection = await connect(address, **(settings | options))
    peer = Peer(connection)
    try:
        if initialised:
            await peer.initialise(token)
        yield peer
    finally:
        peer.cut()


def narrow(url: str) -> socket.socket:
    """A connection of which the system keeps little, as long as nobody reads it."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
    address = httpx.URL(url)
    assert address.port
    found.connect((address.host, address.port))
    found.setblocking(False)
    return found


async def within(work: Awaitable[T], patience: float = PATIENCE) -> T:
    return await asyncio.wait_for(work, patience)
