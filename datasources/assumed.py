"""Credentials of a role that is assumed for a while, and again before that is over.

botocore has some that renew themselves (`RefreshableCredentials`): they have a request wait for the
renewal, count on credentials no more in their last ten minutes, and log a traceback for each
request while a renewal fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiobotocore.credentials import AioCredentials
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError

_EARLY = 900.0  # seconds before their end, from which they are renewed while they are used
_LAST = 60.0  # seconds before their end, from which they are used no more
_PAUSE = 5.0  # seconds after an attempt that failed
_PATIENCE = 2.0  # seconds that a call waits for an attempt

log = logging.getLogger(__name__)


class RoleClient(Protocol):
    """What is used of the STS API."""

    async def assume_role(self, **parameters: Any) -> dict[str, Any]: ...


class RoleUnavailableError(BotoCoreError):
    """There are no credentials for a call, so that nothing was sent."""

    fmt = "{why}"


@dataclass(frozen=True, slots=True)
class Assumed:
    """What AssumeRole gives, and when that ends, in seconds since the epoch."""

    credentials: ReadOnlyCredentials = field(repr=False)
    ends: float


class AssumedCredentials(AioCredentials):  # type: ignore[misc]
    """For clients of aiobotocore. `name` is told in the log; `clock` gives seconds since the epoch.

    The first call that needs them waits for them; they are renewed beside the calls, by one attempt
    at a time whoever asks, with a pause after one that failed.
    """

    def __init__(
        self, name: str, assume: Callable[[], Awaitable[Assumed]], clock: Callable[[], float]
    ) -> None:
        super().__init__("", "", method="assume-role")
        self._name = name
        self._assume = assume
        self._clock = clock
        self._now: Assumed | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._failure = ""
        self._again = 0.0  # the time of the next attempt after one that failed

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Raises RoleUnavailableError, at once or after `_PATIENCE`."""
        return await self.get(_PATIENCE)

    async def get(self, patience: float | None = None) -> ReadOnlyCredentials:
        """The same; without patience an attempt is waited for as long as it takes."""
        left = self._now.ends - self._clock() if self._now else 0.0
        if left < _EARLY:
            self._renew()
        if left < _LAST and self._renewal:
            await asyncio.wait([self._renewal], timeout=patience)  # it goes on for others
        if self._now is None or self._now.ends <= self._clock():
            raise RoleUnavailableError(why=self._failure or "It takes long to assume the role")
        return self._now.credentials

    async def load_credentials(self) -> AssumedCredentials:
        """What a session asks its chain of credentials for: this is one of one link."""
        return self

    def close(self) -> None:
        if self._renewal:
            self._renewal.cancel()

    def _renew(self) -> None:
        if self._renewal is None and self._clock() >= self._again:
            self._renewal = asyncio.create_task(self._attempt())

    async def _attempt(self) -> None:
        try:
            self._now = await self._assume()
        except Exception as error:  # also answers that are none
            self._failure = str(error)
            self._again = self._clock() + _PAUSE
            log.warning("no new credentials for %s: %s", self._name, error)
        finally:
            self._renewal = None
