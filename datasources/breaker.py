"""A circuit breaker: while a store fails at nearly every call, callers are told so at once.

Without it each of them would wait for its time-outs, hold connections meanwhile, and add to the
load of what may be coming back ("Release It!", M. Nygard; "Circuit Breaker", M. Fowler).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import ParamSpec, TypeVar

from datasources.errors import Conflict, DeadlineExceeded, ServiceUnavailable, StoreError

P = ParamSpec("P")
T = TypeVar("T")

# What four answers weigh against a failure: the breaker opens where fewer than one call in five
# is answered. Of three attempts at one that fails less often, one is likely to succeed.
_ANSWER = 4
_SENTENCE = "The store cannot answer now; try again in a moment."

log = logging.getLogger(__name__)


class NotAsked(ServiceUnavailable):
    """Nothing was sent to the store, and nothing is to be gained by trying at once again."""


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"  # a probe is under way


class Breaker:
    """Watches the calls to one table, `name`, by a clock in seconds.

    It opens when failures have outweighed answers by `least` and for `lasting` seconds, so that
    connections which break together do not open it. While it is open one call is let through as
    a probe after a pause of `first` seconds, doubled up to `longest` with each that fails, and
    drawn by `uniform` from its upper half, for other processes pause as well. The first probe
    that is answered closes it. One that says nothing for `patience` seconds has failed.

    A failure is the store's own: no answer, or one that says it is out of order. Throttling,
    conflicts and refusals are answers.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
        *,
        least: int = 5,
        lasting: float = 1.0,
        first: float = 0.5,
        longest: float = 5.0,
        patience: float = 5.0,
        slow: float = 1.0,
    ) -> None:
        self.name = name
        self.opened = 0  # how often
        self.state = State.CLOSED
        self._clock = clock
        self._uniform = uniform
        self._least = least
        self._lasting = lasting
        self._first = first
        self._longest = longest
        self._patience = patience
        self._slow = slow
        self._weight = 0  # of failures over answers: a CUSUM, which forgets what went well
        self._since = 0.0  # when the weight was last nothing
        self._pause = first
        self._until = 0.0  # the next probe's time, while not closed
        self._turn = 0  # counts changes of state: what was admitted in another says nothing

    async def run(
        self, call: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """What the call returns. Raises NotAsked, at once, where it is not let through."""
        turn, began = self.admit(), self._clock()
        try:
            answer = await call(*arguments, **named)
        except Exception as error:
            self.settle(turn, self._judge(error, began))
            raise
        except BaseException:  # given up by who made it, which says nothing of the store
            self.settle(turn, None)
            raise
        self.settle(turn, True)
        return answer

    def admit(self) -> int:
        """Lets a call through: what `settle` is to be told of it. Raises NotAsked."""
        if self.state is State.CLOSED:
            return self._turn
        now = self._clock()
        if now < self._until:
            raise NotAsked(_SENTENCE)
        self._enter(State.HALF_OPEN, now + self._patience)
        return self._turn

    def settle(self, turn: int, answered: bool | None) -> None:
        """How a call ended that was let through; None: nobody knows."""
        if turn != self._turn:
            return
        if self.state is State.HALF_OPEN:
            self._settle_probe(answered)
        elif answered:
            if self._weight:
                self._weight = max(0, self._weight - _ANSWER)
        elif answered is False:
            self._fail()

    def _fail(self) -> None:
        now = self._clock()
        if not self._weight:
            self._since = now
        # Bounded, or a burst would be remembered long after the store has answered again.
        self._weight = min(2 * self._least, self._weight + 1)
        if self._weight >= self._least and now - self._since >= self._lasting:
            log.warning("table %s fails: calls to it are refused for now", self.name)
            self.opened += 1
            self._pause = self._first
            self._open(now)

    def _settle_probe(self, answered: bool | None) -> None:
        if answered:
            log.info("table %s answers again", self.name)
            self._weight = 0
            self._enter(State.CLOSED, 0.0)
        elif answered is None:
            self._enter(State.OPEN, self._clock())  # another may probe at once
        else:
            self._pause = min(self._longest, 2 * self._pause)
            self._open(self._clock())

    def _open(self, now: float) -> None:
        self._enter(State.OPEN, now + self._uniform(self._pause / 2, self._pause))

    def _enter(self, state: State, until: float) -> None:
        self.state = state
        self._until = until
        self._turn += 1

    def _judge(self, error: Exception, began: float) -> bool | None:
        if isinstance(error, NotAsked) or not isinstance(error, StoreError):
            return None
        if isinstance(error, DeadlineExceeded):
            # A caller with little time left proves nothing.
            return False if self._clock() - began >= self._slow else None
        return not isinstance(error, ServiceUnavailable) or isinstance(error, Conflict)
