"""The store's one currency: between decimal amounts and integers of minor units."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from datasources.errors import BadUserInput

DIGITS = 12


@dataclass(frozen=True, slots=True)
class Currency:
    """`scale` is the number of digits after the point (ISO 4217)."""

    code: str
    scale: int

    def amount(self, minor: int) -> Decimal:
        """Exact, and with exactly the currency's scale: 120000 or 12.50."""
        return Decimal(minor).scaleb(-self.scale) if self.scale else Decimal(minor)

    def minor(self, argument: str, amount: Decimal) -> int:
        """BadUserInput for more digits than the currency has, and for more than 12 in all."""
        scaled = amount.scaleb(self.scale)
        exponent = amount.as_tuple().exponent
        if not isinstance(exponent, int) or -exponent > self.scale:
            raise BadUserInput(
                argument, f"{self.code} has {self.scale} digits after the point at most."
            )
        if len(amount.as_tuple().digits) > DIGITS or scaled >= 10 ** (DIGITS + self.scale):
            raise BadUserInput(argument, f"an amount has {DIGITS} digits at most.")
        return int(scaled)
