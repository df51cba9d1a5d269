"""Places for requests under way: who finds none free waits for one, and not for ever.

A pool of connections has them too, but says of a wait that took too long what it says of a
server that cannot be connected to. The one is a want of ours, the other a fault of the server.
"""

from __future__ import annotations

import asyncio

from botocore.exceptions import BotoCoreError


class PoolTimeoutError(BotoCoreError):
    """No connection became free in time: more is asked for at once than is answered."""

    fmt = "No connection became free within {seconds} s"


class Places:
    """`size` at a time; who comes first gets one first. `patience` is in seconds."""

    __slots__ = ("_free", "_patience")

    def __init__(self, size: int, patience: float) -> None:
        self._free = asyncio.Semaphore(size)
        self._patience = patience

    async def take(self) -> None:
        """A place that is to be given back. Raises PoolTimeoutError."""
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise PoolTimeoutError(seconds=self._patience) from None

    def give_back(self) -> None:
        self._free.release()

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
