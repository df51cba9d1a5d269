"""Nudges: who has written tells who reads the stream, which then does not wait out its pause.

They carry nothing and may be lost: without them changes come a second later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streams.patience import Patience

_SECONDS_TO_SEND = 2.0  # after which it would be of no use

log = logging.getLogger("cartograph.streams")


class Nudges:
    """Of one table, over Redis publish and subscribe."""

    def __init__(self, redis: Redis, table: str, patience: Patience) -> None:
        self._redis = redis
        self._channel = f"cartograph:{table}:nudges"
        self._patience = patience
        self._sending: asyncio.Task[None] | None = None

    def send(self) -> None:
        """At once and without waiting; one at a time, since one wakes the reader for all."""
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS_TO_SEND):
                await self._redis.publish(self._channel, b"")
        except (RedisError, OSError) as error:
            log.debug("nudge not sent: %s", type(error).__name__)

    async def run(self, nudged: Callable[[], None]) -> None:
        """Calls for each nudge, until cancelled."""
        attempt = 0
        while True:
            try:
                async with self._redis.pubsub() as subscribed:
                    await subscribed.subscribe(self._channel)
                    while True:
                        heard = await subscribed.get_message(
                            ignore_subscribe_messages=True, timeout=60
                        )
                        attempt = 0
                        if heard is not None:
                            nudged()
            except (RedisError, OSError) as error:
                attempt += 1
                log.debug("nudges not heard: %s", type(error).__name__)
                await self._patience.pause(attempt)
