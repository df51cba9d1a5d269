"""How many operations run at once, and what becomes of those that come beyond.

A process that takes up whatever comes does, at some load, nothing in time any more: all share the
one processor, and each is late. So there are places. Their number follows what the event loop can
bear, by additive increase and multiplicative decrease, the rule of TCP and of Netflix's
concurrency-limits: fewer while the loop lags, more while all are taken and it does not. Who finds
none free waits in turn; who could not be served in time is refused at once, for an answer of 503
must cost next to nothing where two of three get it ("Fail at Scale", B. Maurer, ACM Queue 13/8).

Those who wait get their places together, when half are free. A dozen that take each of their
steps one after the other find in the processor's caches what that step needs; let in one by one
they would each be at another step, and cost more (docs/holding.md).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from schema.headers import JSON, answering, error_body, request_id_of

CODE = "SERVICE_UNAVAILABLE"
MESSAGE = "More is asked of this service than it can answer now; try again in a moment."
RETRY_AFTER = "1"  # seconds

_TICK = 0.05  # seconds from one look at the loop to the next
# Seconds, and looks at least, of which the best counts, as in CoDel (RFC 8289): a loop that was
# late once had something long to do, or its processor had; one that has too much to do is late
# each time.
_INTERVAL, _LOOKS = 0.2, 2
_STEEPEST = 0.5  # what is left of the places at least, from one look to the next
_IN_TIME = 0.5  # of those who could be served in time, for rates change
_RISE = 0.1  # of the places, and one at least
_SMOOTH = 0.25  # what a look counts for in the rate
_CLOCK = 0.001  # seconds that a timer may be early by
_IN_USE = 0.5  # of the places: with fewer taken, their number changes nothing
# Of the places, gathered for those who wait, and for so many seconds at most.
_GATHERED, GATHERED_IN = 0.5, 0.01


@dataclass(frozen=True, slots=True)
class Places:
    """Between `least` and `most`, `first` to begin with; `lag` is how many seconds the event loop
    may be late time after time, `patience` how many somebody waits for a place."""

    first: int = 128
    least: int = 16
    most: int = 1_024
    lag: float = 0.0015
    patience: float = 0.1


class _Waiting(NamedTuple):
    """For a place, which comes as true, until a time of the event loop's."""

    place: asyncio.Future[bool]
    until: float


class Admission:
    """The places of a process. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float], places: Places | None = None) -> None:
        self._places = places or Places()
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._most_running = 0  # since the last look at the loop
        self._done = 0  # likewise
        self._lags: deque[float] = deque()
        # Of operations that are done, a second, while all places are taken.
        self._rate: float | None = None
        self._may_wait = self._places.first
        self._let_in = 0  # since the loop last had its turn: they are yet to enter
        self.limit = float(self._places.first)
        self.running = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def is_full(self) -> bool:
        """Whether who comes now is refused at once."""
        return self._let_in >= self._room()

    def let_in(self) -> bool:
        """Whether a request that has come may go on; before long it is to `enter`, or to fail."""
        if self.is_full():
            self.refused += 1
            return False
        # What comes off the wire together is not there yet, and would all be let in.
        if not self._let_in:
            asyncio.get_running_loop().call_soon(self._forget)
        self._let_in += 1
        return True

    async def enter(self) -> bool:
        """Whether there is a place, now or soon; who has one has to `leave`."""
        if self.running < self.limit and not self._waiting:
            self._take()
            return True
        if self._room() > 0 and await self._wait():
            return True
        self.refused += 1
        return False

    def leave(self) -> None:
        self.running -= 1
        self._done += 1
        if not self._waiting:
            return
        if self.running <= (1 - _GATHERED) * self.limit:
            self._hand_on()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHERED_IN, self._hand_on)

    async def watch(self) -> None:
        """Looks after the loop, until cancelled."""
        while True:
            due = self._clock() + _TICK
            await asyncio.sleep(_TICK)
            await asyncio.sleep(0)  # all that is to be done has its turn
            self.observe(self._clock() - due)

    def observe(self, lag: float) -> None:
        """The loop was so many seconds late."""
        places = self._places
        least = self._sustained(lag)
        all_taken = self._most_running >= self.limit
        if least > places.lag:
            # Or it lags for other reasons, and fewer places would help nobody.
            if self._most_running >= _IN_USE * self.limit:
                taken = min(self.limit, self._most_running)
                self.limit = max(places.least, taken * max(_STEEPEST, places.lag / least))
        elif all_taken or self.limit < places.first:
            self.limit = min(places.most, self.limit + max(1.0, _RISE * self.limit))
        if all_taken:
            rate = self._done / (_TICK + max(0.0, lag))
            before = rate if self._rate is None else self._rate
            self._rate = before + _SMOOTH * (rate - before)
            # As many as will have had their turn, and not many that wait for nothing.
            self._may_wait = max(1, int(_IN_TIME * places.patience * self._rate))
        else:
            self._rate = None  # what was done is what was asked, and says nothing of what could be
            self._may_wait = int(self.limit)
        self._most_running, self._done = self.running, 0
        self._hand_on()

    def _sustained(self, lag: float) -> float:
        """The least that the loop has been late by, of late."""
        lags = self._lags
        lags.append(lag)
        # Each look was as long after the one before as the loop was late.
        spanned = sum(_TICK + one for one in lags)
        while len(lags) > _LOOKS and spanned - (_TICK + lags[0]) >= _INTERVAL:
            spanned -= _TICK + lags.popleft()
        return min(lags) if spanned >= _INTERVAL and len(lags) >= _LOOKS else 0.0

    def _room(self) -> float:
        """For so many more, with those who may wait."""
        return self.limit + self._may_wait - self.running - len(self._waiting)

    def _forget(self) -> None:
        self._let_in = 0

    def _take(self) -> None:
        self.running += 1
        self._most_running = max(self._most_running, self.running)

    async def _wait(self) -> bool:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        waits = _Waiting(place, loop.time() + self._places.patience)
        self._waiting.append(waits)
        if self._timer is None:
            self._timer = loop.call_at(waits.until, self._give_up)
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):  # passed over already
                    self._waiting.remove(waits)
            elif place.result():  # it came together with the cancellation
                self.leave()
            raise

    def _give_up(self) -> None:
        """Refuses those who have waited long enough. One timer serves all: they wait in the order
        of coming, and most of them have long got a place when it is due."""
        loop, waiting = asyncio.get_running_loop(), self._waiting
        now = loop.time() + _CLOCK
        while waiting and waiting[0].until <= now:
            place = waiting.popleft().place
            if not place.done():
                place.set_result(False)
        self._timer = loop.call_at(waiting[0].until, self._give_up) if waiting else None

    def _hand_on(self) -> None:
        if self._gathering:
            self._gathering.cancel()
            self._gathering = None
        while self._waiting and self.running < self.limit:
            place = self._waiting.popleft().place
            if not place.done():
                self._take()
                place.set_result(True)


_METHODS = {b"GET", b"POST"}
_BODY = error_body(CODE, MESSAGE, retryable=True)
_HEAD = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        *(b"%b: %b" % header for header in answering(JSON)),
        b"content-length: %d" % len(_BODY),
        b"retry-after: %b" % RETRY_AFTER.encode(),
        b"x-request-id: ",
    )
)


@dataclass(frozen=True, slots=True)
class Door:
    """Answers requests to `path` as they come off the wire, while there is no place for them:
    for less than a tenth of what a small query costs.

    Those of other origins go on, to be refused with the headers that let them read why.
    """

    admission: Admission
    path: bytes
    request_id: Callable[[], str]

    def is_shut(self) -> bool:
        """Whether all who come now are turned away."""
        return self.admission.is_full()

    def turn_away(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        """The whole response to a request whose headers have come; None: it may come in.

        `headers` have their names in lower case.
        """
        is_path = target == self.path or target.partition(b"?")[0] == self.path
        if not is_path or method not in _METHODS:
            return None
        if self.admission.let_in():
            return None
        given = ""
        for name, value in headers:
            if name == b"origin":
                return None
            if name == b"x-request-id":
                given = value.decode("latin-1")
        request_id = request_id_of(given, self.request_id) if given else self.request_id()
        return b"%b%b\r\n\r\n%b" % (_HEAD, request_id.encode(), _BODY)
