"""How much of a process's calls may be repetitions.

When a store fails for long, attempts repeated by everybody are a load of their own: three
attempts each are three times the calls, at the worst time. So what is repeated is paid for, as in
Finagle's RetryBudget and gRPC's retry throttling (gRFC A6).
"""

from __future__ import annotations

from collections.abc import Callable


class RetryBudget:
    """Each call earns a `share` of a repetition, which may be saved up to `most` of them.

    A quiet service may repeat as well: `reserve` of them are there from the start, and of what is
    missing to these one comes back every `refill` seconds by the `clock`.
    """

    __slots__ = ("_balance", "_clock", "_most", "_refill", "_reserve", "_seen", "_share", "refused")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        share: float = 0.1,
        most: float = 100.0,
        reserve: float = 10.0,
        refill: float = 10.0,
    ) -> None:
        self._clock = clock
        self._share = share
        self._most = most
        self._reserve = reserve
        self._refill = refill
        self._balance = reserve
        self._seen = clock()
        self.refused = 0  # repetitions that there was nothing left for

    def earn(self) -> None:
        """A call is made for the first time."""
        if self._balance < self._most:
            self._balance += self._share

    def spend(self) -> bool:
        """Whether a call may be repeated once."""
        now = self._clock()
        if self._balance < self._reserve:
            grown = self._balance + (now - self._seen) / self._refill
            self._balance = min(self._reserve, grown)
        self._seen = now
        # Tenths do not add up exactly.
        if self._balance < 1.0 - 1e-9:
            self.refused += 1
            return False
        self._balance -= 1.0
        return True
