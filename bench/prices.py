"""What DynamoDB's units cost, and what a shop's requests come to in a month.

All prices stand in `TOKYO`, once. They leave out what is not had by the unit: storage, backups,
reads of the stream, traffic, and the machines that serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HOURS = 730  # of a month
SECONDS = HOURS * 3_600
RATES = (10, 1_000, 50_000)  # requests of clients a second, over a month on average
TARGET = (
    0.7  # of what is provisioned, where Application Auto Scaling holds it (infra/template.yaml)
)


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars. `write` and `read`: a request unit on demand; `write_hour` and `read_hour`: a
    provisioned unit for an hour; `replicated`: a write unit in each further Region."""

    region: str
    as_of: str
    source: str
    write: float
    read: float
    write_hour: float
    read_hour: float
    replicated: float

    def on_demand(self, load: Load) -> float:
        """A month of it."""
        return (load.writes * self.write + load.reads * self.read) * SECONDS

    def provisioned(self, load: Load, use: float) -> float:
        """A month of what has to be provisioned, where a share `use` of it is used on average."""
        return (load.writes * self.write_hour + load.reads * self.read_hour) * HOURS / use

    def million(self, load: Load) -> float:
        """A million requests on demand, each of so many units."""
        return (load.writes * self.write + load.reads * self.read) * 1e6

    def break_even(self, load: Load) -> float:
        """The share of what is provisioned that has to be used on average, or on demand is
        cheaper; the same at any rate."""
        return self.provisioned(load, 1.0) / self.on_demand(load)


TOKYO = Prices(
    region="ap-northeast-1",
    as_of="September 2026",
    source="AWS's price list, usage types APN1-WriteRequestUnits and APN1-ReadRequestUnits, as "
    "public projects quote it; of provisioned units as of 2025, not looked up again",
    write=0.715e-6,
    read=0.1425e-6,
    write_hour=0.000742,
    read_hour=0.0001484,
    replicated=0.715e-6,
)


@dataclass(frozen=True, slots=True)
class Load:
    """Units a request, or a second."""

    reads: float
    writes: float

    def __add__(self, other: Load) -> Load:
        return Load(self.reads + other.reads, self.writes + other.writes)

    def __mul__(self, times: float) -> Load:
        return Load(self.reads * times, self.writes * times)


# Of a hundred requests to a shop, by the titles of `bench.asked`. Made up; change them for yours.
MIX: Mapping[str, float] = {
    "product, its category and 10 reviews": 40,
    "products of a category, 20 newest": 20,
    "products of a category, 20 in a range of price": 5,
    "products of all categories, 20 newest": 8,
    "categories, 20": 8,
    "viewer, 10 orders with their lines": 6,
    "viewer": 6,
    "orders of a month, 20 newest": 1,
    "placeOrder, 3 lines": 2,
    "advanceOrder to PAID": 1,
    "advanceOrder to SHIPPED": 1,
    "advanceOrder to DELIVERED": 1,
    "addReview": 0.5,
    "adjustInventory": 0.5,
}


def mixed(loads: Mapping[str, Load], mix: Mapping[str, float] = MIX) -> Load:
    """Units of the average request."""
    total = sum(mix.values())
    found = Load(0, 0)
    for title, share in mix.items():
        found += loads[title] * (share / total)
    return found


def months(prices: Prices, request: Load, rates: Sequence[float] = RATES) -> list[list[str]]:
    """Rows of a table: requests a second, units a second, and a month on demand, provisioned as
    well as auto scaling can, provisioned for a peak of three times the average."""
    rows = []
    for rate in rates:
        load = request * rate
        rows.append(
            [
                f"{rate:,}",
                f"{load.reads:,.0f}",
                f"{load.writes:,.0f}",
                dollars(prices.on_demand(load)),
                dollars(prices.provisioned(load, TARGET)),
                dollars(prices.provisioned(load, TARGET / 3)),
            ]
        )
    return rows


def dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"
