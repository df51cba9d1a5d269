"""How many connections may stay open: in all, of one principal, and from one address.

Each process counts its own. Until it is known who has connected, and for those who are anonymous,
a connection is its address's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from schema.guards.callers import Caller


@dataclass(frozen=True, slots=True)
class SeatLimits:
    all: int = 10_000
    principal: int = 10
    address: int = 2_000


class NoSeat(Exception):
    """There is no room; `for_all`: for nobody, whoever it may be. In words for the client."""

    def __init__(self, message: str, *, for_all: bool) -> None:
        super().__init__(message)
        self.message = message
        self.for_all = for_all


@dataclass(slots=True)
class Seats:
    """Those of one process. How often there was none to be had is counted: for anybody, and for
    one caller."""

    limits: SeatLimits = field(default_factory=SeatLimits)
    taken: int = field(default=0, init=False)
    refused: int = field(default=0, init=False, compare=False)
    refused_to_one: int = field(default=0, init=False, compare=False)
    _of: Counter[Caller] = field(default_factory=Counter, init=False)

    def take(self, caller: Caller) -> Seat:
        """A seat, to be left by whoever took it. Raises NoSeat."""
        if self.taken >= self.limits.all:
            self.refused += 1
            raise NoSeat("Too many connections are open here: try again later", for_all=True)
        self.count(caller)
        self.taken += 1
        return Seat(self, caller)

    def count(self, caller: Caller) -> None:
        """For a seat: raises NoSeat where the caller has as many as it may."""
        tenant, _ = caller
        if self._of[caller] >= (self.limits.principal if tenant else self.limits.address):
            self.refused_to_one += 1
            whose = "by this caller" if tenant else "from this address"
            raise NoSeat(f"Too many connections are open {whose}: close some", for_all=False)
        self._of[caller] += 1

    def discount(self, caller: Caller) -> None:
        self._of[caller] -= 1
        if not self._of[caller]:
            del self._of[caller]


class Seat:
    """One connection's."""

    __slots__ = ("_caller", "_seats")

    def __init__(self, seats: Seats, caller: Caller) -> None:
        self._seats: Seats | None = seats
        self._caller = caller

    def belong_to(self, caller: Caller) -> None:
        """Raises NoSeat where that caller has as many as it may."""
        if self._seats and caller != self._caller:
            self._seats.count(caller)
            self._seats.discount(self._caller)
            self._caller = caller

    def leave(self) -> None:
        """Once or more."""
        if self._seats:
            self._seats.discount(self._caller)
            self._seats.taken -= 1
            self._seats = None
