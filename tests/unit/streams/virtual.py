"""Time that passes only while nothing can be done."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class Standstill(Exception):
    """Everybody waits, and for nothing."""


class VirtualSelector(selectors.SelectSelector):
    """Waits no time: the clock is put forward instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Standstill
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing can be done."""

    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now
