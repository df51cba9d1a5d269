"""The sink where no other is set: mails and events stay in memory, for who develops to look at."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from streams.sinks import Event, Mail

KEPT = 200

log = logging.getLogger("cartograph.outbox")


@dataclass(frozen=True, slots=True)
class Entry:
    """What would have gone out, and when."""

    at: datetime
    sent: Mail | Event


class Outbox:
    """Takes mails and events, the last 200 of each. Its log lines tell nothing personal."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._mails: deque[Entry] = deque(maxlen=KEPT)
        self._events: deque[Entry] = deque(maxlen=KEPT)

    async def send(self, mail: Mail) -> None:
        self._mails.append(Entry(self._now(), mail))
        log.info("mail %s, tenant %s, eventID %s", mail.kind, mail.tenant, mail.event_id)

    async def publish(self, event: Event) -> None:
        self._events.append(Entry(self._now(), event))
        log.info("event %s, tenant %s, eventID %s", event.type, event.tenant, event.event_id)

    @property
    def mails(self) -> Sequence[Entry]:
        """Newest first."""
        return list(reversed(self._mails))

    @property
    def events(self) -> Sequence[Entry]:
        """Newest first."""
        return list(reversed(self._events))
