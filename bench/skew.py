"""How much a shop can sell before one partition key has all that it can take.

`python -m bench.skew` prints the tables of docs/scaling.md and draws docs/skew.svg. Who buys what
is drawn by Zipf's law: the product of rank r is bought in proportion to r to the power of -s. The
keys are those of `datasources/keys.py`, shards and all, of products and orders with IDs as they are
made; what is counted is expected writes, so nothing is measured and nothing varies but the IDs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from datasources.ids import uuid7
from datasources.keys import GSI1, GSI2, GSI3, Keys, partition_attribute, timestamp

FIGURE = Path(__file__).parents[1] / "docs" / "skew.svg"
WRITES = 1_000  # units a second of one partition key
READS = 3_000
SHARDS = (1, 2, 4, 8, 16)
EXPONENTS = (0.0, 0.6, 0.8, 1.0, 1.2)
PRODUCTS, USERS, CATEGORIES = 2_000, 10_000, 12
DRAWS = 10  # shops, each with IDs of its own
LINES = 3  # of an order
_NOW = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)

# What an order takes, by `bench/UNITS.md`: of a line, the product's row (in a transaction) and its
# entries in two indexes; of the order's row, with an address and three lines, two a write.
ROW, ENTRY, ORDER = 2, 1, 2


@dataclass(frozen=True, slots=True)
class Shop:
    """`products` and `users` are IDs, those that buy and are bought most first; products go to
    the categories in turn."""

    products: Sequence[str]
    users: Sequence[str]
    orders: Sequence[str]

    @classmethod
    def drawn(cls, seed: int) -> Shop:
        bits = Random(seed).getrandbits  # noqa: S311 no secret

        def ids(count: int) -> list[str]:
            first = int(_NOW.timestamp() * 1_000)
            return [uuid7(first + 977 * number, bits) for number in range(count)]

        return cls(ids(PRODUCTS), ids(USERS), ids(USERS))


def zipf(count: int, exponent: float) -> list[float]:
    """Shares of a whole, the largest first."""
    weights = [rank**-exponent for rank in range(1, count + 1)]
    whole = sum(weights)
    return [weight / whole for weight in weights]


@dataclass(frozen=True, slots=True)
class Places:
    """The partition keys of a shop's rows: of each product its own, its category's, and the shard
    of all products; of each customer; of each order by status and by month."""

    products: Sequence[tuple[str, str, str]]
    users: Sequence[str]
    orders: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, shop: Shop, keys: Keys) -> Places:
        products, made = [], timestamp(_NOW)
        for number, one in enumerate(shop.products):
            slug = f"category-{number % CATEGORIES}"
            indexes = keys.product_indexes(one, slug, "ACTIVE", made, 1_000)
            category, every = (indexes[partition_attribute(each)] for each in (GSI1, GSI2))
            products.append((keys.product(one).pk, category, every))
        orders = []
        for one in shop.orders:
            indexes = keys.order_indexes(one, one, "PENDING", made)
            orders.append((indexes[partition_attribute(GSI2)], indexes[partition_attribute(GSI3)]))
        return cls(products, [keys.user(one).pk for one in shop.users], orders)


def loads(places: Places, exponent: float) -> dict[str, dict[str, float]]:
    """Write units of an order by list, and in each by partition key."""
    found = defaultdict[str, dict[str, float]](lambda: defaultdict(float))
    shares = zipf(len(places.products), exponent)
    for (own, category, every), share in zip(places.products, shares, strict=True):
        found["a product's row"][own] += share * LINES * ROW
        # The price has not changed, and so nothing in the index by price.
        found["its category"][category] += share * LINES * ENTRY
        found["all products"][every] += share * LINES * ENTRY
    for status, month in places.orders:
        # Into the list of those that are pending, and out of it once it is paid.
        found["orders by status"][status] += ORDER * 2 / len(places.orders)
        found["orders by month"][month] += ENTRY / len(places.orders)
    for own, share in zip(places.users, zipf(len(places.users), exponent), strict=True):
        found["a customer's rows"][own] += share * ORDER * ROW
    return found


def most(load: Mapping[str, float], limit: float = WRITES) -> float:
    """Orders a second at which the key that has most of them has all that it can take."""
    return limit / max(load.values())


Ceilings = Mapping[float, Mapping[int, Mapping[str, float]]]


def ceilings(exponents: Sequence[float], shards: Sequence[int], draws: int = DRAWS) -> Ceilings:
    """Orders a second, by exponent, shards and list: the mean over several shops."""
    found: dict[float, dict[int, dict[str, float]]] = {
        s: {n: defaultdict(float) for n in shards} for s in exponents
    }
    for seed in range(draws):
        shop = Shop.drawn(seed)
        for number in shards:
            places = Places.of(shop, Keys("t", number))
            for exponent in exponents:
                for name, load in loads(places, exponent).items():
                    found[exponent][number][name] += most(load) / draws
    return found


def tables(found: Ceilings) -> Iterator[str]:
    yield "Orders a second of three lines each, until a partition key has 1,000 write units:\n"
    for exponent, by_shards in found.items():
        yield f"s = {exponent:g}; the best seller is {zipf(PRODUCTS, exponent)[0]:.2%} of sales\n"
        names = list(next(iter(by_shards.values())))
        yield f"| shards | {' | '.join(names)} |"
        yield f"|---:|{'---:|' * len(names)}"
        for shards, by_list in by_shards.items():
            yield f"| {shards} | {' | '.join(f'{by_list[name]:,.0f}' for name in names)} |"
        yield ""


# --- the figure ---------------------------------------------------------------------------------

_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 640, 40, 270
_HIGHEST = 16  # shards' worth
_STROKES = {0.0: "#3f7a3f", 0.6: "#3f7a3f", 0.8: "#51677d", 1.0: "#c98a5a", 1.2: "#a4452c"}
_STYLE = """\
  <style>
    .grid { stroke: #d5dde6; }
    .label { fill: #51677d; font-size: 12px; }
    .name { font-weight: 600; fill: #1d2b3a; font-size: 13px; }
    .what { fill: #4a5b6c; font-size: 11.5px; }
    .line { fill: none; stroke-width: 2.5; }
    .ideal { stroke: #94a3b8; stroke-dasharray: 2 4; fill: none; }
  </style>"""


def figure(lines: Mapping[float, Mapping[int, float]]) -> str:
    """`lines`: by exponent and shards, how many shards' worth of writes the list of all products
    takes."""
    drawn = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 330" '
        'font-family="system-ui, sans-serif" font-size="14">',
        _STYLE,
        '  <rect width="900" height="330" fill="#ffffff"/>',
        *_axes(),
        f'  <path class="ideal" d="M{_x(1)} {_y(1)}L{_x(16)} {_y(16)}"/>'
        f'<text x="{_x(10) - 8}" y="{_y(11)}" text-anchor="end" class="label">'
        "if the same were asked of each</text>",
    ]
    for number, (exponent, points) in enumerate(lines.items()):
        stroke, y = _STROKES[exponent], 72 + 46 * number
        path = " L".join(f"{_x(shards)} {_y(value)}" for shards, value in points.items())
        dash = ' stroke-dasharray="6 4"' if exponent == 0 else ""
        drawn.append(f'  <path class="line" stroke="{stroke}"{dash} d="M{path}"/>')
        drawn += [
            f'  <circle fill="{stroke}" cx="{_x(shards)}" cy="{_y(value)}" r="3.5"/>'
            for shards, value in points.items()
        ]
        best = f"the best seller is {zipf(PRODUCTS, exponent)[0]:.0%} of sales"
        said = best if exponent else "all products sell alike"
        drawn.append(
            f'  <path class="line" stroke="{stroke}"{dash} d="M666 {y}h28"/>'
            f'<text x="702" y="{y + 5}" class="name">s = {exponent:g}</text>'
            f'<text x="702" y="{y + 21}" class="what">{said}</text>'
        )
    return "\n".join([*drawn, "</svg>\n"])


def _axes() -> Iterator[str]:
    for worth in range(0, _HIGHEST + 1, 4):
        y = _y(worth)
        yield (
            f'  <path class="grid" d="M{_LEFT} {y}H{_RIGHT}"/><text x="{_LEFT - 8}" '
            f'y="{y + 4:.1f}" text-anchor="end" class="label">{worth * WRITES:,}</text>'
        )
    for shards in SHARDS:
        yield (
            f'  <text x="{_x(shards)}" y="290" text-anchor="middle" class="label">{shards}</text>'
        )
    middle = (_LEFT + _RIGHT) / 2
    yield f'  <text x="{middle}" y="314" text-anchor="middle" class="label">shards</text>'
    yield (
        f'  <text x="{_LEFT}" y="22" class="label">lines sold a second, until a shard of the list '
        "of all products has 1,000 write units</text>"
    )


def _x(shards: float) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * (shards - 1) / (SHARDS[-1] - 1), 1)


def _y(worth: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * worth / _HIGHEST, 1)


def main() -> None:
    found = ceilings(EXPONENTS, SHARDS)
    for line in tables(found):
        print(line)
    lines = {
        s: {shards: one["all products"] * LINES / WRITES for shards, one in by_shards.items()}
        for s, by_shards in found.items()
    }
    FIGURE.write_text(figure(lines), encoding="utf-8")
    print(f"drew {FIGURE}")


if __name__ == "__main__":
    main()
