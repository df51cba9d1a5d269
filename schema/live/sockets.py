"""Where websockets arrive: who may open one, how many there are, and how all of them end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from schema.guards.callers import Caller, address_of
from schema.guards.origins import is_allowed
from schema.guards.seats import NoSeat, Seats
from schema.live import messages
from schema.live.messages import CloseCode
from schema.live.websocket import Behind, Socket
from schema.running import AT_ONCE, spread_out


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEndpoint(Behind):
    """`/graphql` over a websocket. `uniform` gives a random number between two."""

    allowed_origins: Collection[str]
    seats: Seats = field(default_factory=Seats)
    uniform: Callable[[float, float], float] = random.uniform
    sockets: set[Socket] = field(default_factory=set, init=False)
    draining: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.handle(WebSocket(scope, receive, send))

    async def handle(self, websocket: WebSocket) -> None:
        if not is_allowed(websocket.headers, self.allowed_origins):
            await websocket.close()  # before it is accepted: HTTP 403
            return
        speaks = messages.SUBPROTOCOL in websocket.scope["subprotocols"]
        await websocket.accept(messages.SUBPROTOCOL if speaks else None)
        # A server that knows no such thing has every message sent.
        can = websocket.scope.get("extensions", {}).get(AT_ONCE, {})
        address = address_of(websocket.scope)
        socket = Socket(self, websocket, can.get("write", lambda _: False), address)
        if not speaks:
            await socket.close(CloseCode.SUBPROTOCOL, f"Speak {messages.SUBPROTOCOL} here")
        elif self.draining.is_set():
            await socket.restart()
        else:
            await self._serve(socket, address)

    async def _serve(self, socket: Socket, address: Caller) -> None:
        try:
            socket.seat = self.seats.take(address)
        except NoSeat as full:
            await socket.close(CloseCode.TRY_AGAIN_LATER, full.message)
            return
        self.sockets.add(socket)
        try:
            await socket.serve()
        finally:
            self.sockets.discard(socket)
            socket.seat.leave()

    async def drain(self, spread: float = 20.0) -> None:
        """Ends all sockets, over up to so many seconds, and takes no others."""
        self.draining.set()
        await spread_out([socket.restart for socket in self.sockets], spread, self.uniform)
