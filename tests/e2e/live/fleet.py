"""A processor and two instances that serve, with a Redis between them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.live.peers import Peer, connected
from tests.e2e.live.shelves import Shelf
from tests.e2e.support import Service, processing, serving, until
from tests.support.broker import Broker, broker


@dataclass
class Fleet:
    """The processor may be killed, and `replace` starts another."""

    shelf: Shelf
    settings: dict[str, str]
    broker: Broker
    services: tuple[Service, Service]
    processor: subprocess.Popen[str]
    _stack: ExitStack

    @property
    def staff(self) -> str:
        return self.services[0].signed("staff", staff=True)

    @asynccontextmanager
    async def peers(self) -> AsyncIterator[tuple[Peer, Peer]]:
        """One of each instance."""
        one, other = self.services
        async with (
            connected(one.url, self.staff) as here,
            connected(other.url, self.staff) as there,
        ):
            yield here, there

    def replace(self) -> None:
        self.processor = self._stack.enter_context(processing(self.settings))

    async def until_ready(self, status: int = 200) -> None:
        """Returns once both instances answer so."""
        for service in self.services:
            await asyncio.to_thread(until, lambda: service.get("/readyz").status_code == status)  # noqa: B023


@contextmanager
def fleet(shelf: Shelf, folder: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        redis = stack.enter_context(broker(folder / "redis"))
        settings = shelf.settings(folder, REDIS_URL=redis.url)
        processor = stack.enter_context(processing(settings))
        one = stack.enter_context(serving(settings))
        other = stack.enter_context(serving(settings))
        yield Fleet(shelf, settings, redis, (one, other), processor, stack)
