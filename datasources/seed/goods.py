"""Products and their prices."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from datasources.ids import uuid7
from datasources.items import Product, ProductStatus
from datasources.seed import words
from datasources.seed.chance import DAY, YEAR, between, milliseconds, moment, source, weighted

OLDEST = 3 * YEAR
NEWEST = 7 * DAY
NEVER, FOR_EVER = 0, sys.maxsize
_DRAFTS = 0.04
_STARS = (1, 2, 3, 4, 5)
# How a product is received: the weights of 1 to 5 stars, and how often that is so. Together they
# make the J of most shops: many fives, fewer fours, and more ones than twos.
_MOODS: dict[tuple[float, ...], float] = {
    (4, 3, 9, 28, 56): 0.6,
    (9, 7, 17, 31, 36): 0.3,
    (33, 15, 18, 17, 17): 0.1,
}
# Of names that were drawn before, another is tried this often.
_NAME_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Good:
    """A product, but for its ratings, with what was so before.

    `sold_until` is in Unix milliseconds; until `repriced` it cost `earlier_price`.
    """

    product: Product
    made: int
    sold_until: int
    repriced: int
    earlier_price: int
    mood: tuple[float, ...]

    def is_sold_at(self, time: int) -> bool:
        return self.made <= time < self.sold_until

    def price_at(self, time: int) -> int:
        return self.earlier_price if time < self.repriced else self.product.price

    def rating(self, chance: Random) -> int:
        [stars] = chance.choices(_STARS, self.mood)
        return stars


def goods(seed: object, count: int, now: int, *, most_drafts: int) -> list[Good]:
    """`count` products, oldest first; the first has been for sale ever since the shop opened."""
    chance = source(seed, "goods")
    ages = sorted((between(chance, NEWEST, OLDEST - DAY) for _ in range(count)), reverse=True)
    ages[:1] = [OLDEST][:count]
    drafts = min(round(count * _DRAFTS), most_drafts)
    statuses = [ProductStatus.DRAFT] * drafts
    statuses += [_status(chance) for _ in range(count - 1 - drafts)]
    chance.shuffle(statuses)
    statuses[:0] = [ProductStatus.ACTIVE][:count]
    seen: set[str] = set()
    return [
        _good(chance, department, seen, now - age, now, status)
        for department, age, status in zip(_departments(chance), ages, statuses, strict=False)
    ]


def _departments(chance: Random) -> Iterator[words.Department]:
    """Without end: each has something, and then some have more."""
    every = words.departments()
    yield from every * 2
    while True:
        yield chance.choice(every)


def _status(chance: Random) -> ProductStatus:
    return weighted(chance, {ProductStatus.ACTIVE: 0.95, ProductStatus.ARCHIVED: 0.05})


def by_hand(product: Product) -> Good:
    """A product made by hand: sold ever since, at one price, and liked."""
    made = milliseconds(product.created_at)
    return Good(product, made, FOR_EVER, made, product.price, next(iter(_MOODS)))


def _good(
    chance: Random,
    department: words.Department,
    seen: set[str],
    made: int,
    now: int,
    status: ProductStatus,
) -> Good:
    kind, language, name = _new_name(chance, department, seen)
    price = whole_yen(_log_uniform(chance, kind.low, kind.high))
    product_id = uuid7(made, chance.getrandbits)
    edits, earlier = [], price
    if chance.random() < 0.15:
        edits.append(between(chance, made + DAY, now - DAY))
        earlier = whole_yen(price * chance.choice([0.8, 0.9, 1.15, 1.3]))
    repriced = edits[0] if edits else made
    sold_until = {ProductStatus.ACTIVE: FOR_EVER, ProductStatus.DRAFT: NEVER}.get(status)
    if sold_until is None:
        sold_until = between(chance, max(made + DAY, repriced, now - YEAR // 2), now - DAY)
        edits.append(sold_until)
    product = Product(
        id=product_id,
        name=name,
        description=_description(chance, department, kind, language),
        price=price,
        category=department.slug if chance.random() < 0.97 else None,
        status=status,
        inventory=0 if chance.random() < 0.1 else between(chance, 1, 400),
        image_url=(
            f"https://images.example.com/products/{product_id}.jpg"
            if chance.random() < 0.85
            else None
        ),
        version=1 + len(edits),
        created_at=moment(made),
        updated_at=moment(max([made, *edits])),
    )
    mood = weighted(chance, _MOODS)
    return Good(product, made, sold_until, repriced, earlier, mood)


def public(goods: Sequence[Good]) -> list[Good]:
    """Those that customers have ever seen."""
    return [good for good in goods if good.product.status is not ProductStatus.DRAFT]


def whole_yen(price: float) -> int:
    """The nearest price such as shops like to write: 380, 1,480, 12,800, 120,000."""
    for below, step, less in ((1_000, 100, 20), (10_000, 500, 20), (100_000, 1_000, 200)):
        if price < below:
            return max(1, round(price / step)) * step - less
    return round(price / 1_000) * 1_000


def _log_uniform(chance: Random, low: int, high: int) -> float:
    return math.exp(chance.uniform(math.log(low), math.log(high)))


def _new_name(
    chance: Random, department: words.Department, seen: set[str]
) -> tuple[words.Kind, words.Language, str]:
    for _ in range(_NAME_ATTEMPTS):
        kind = chance.choice(department.kinds)
        brand, variant = chance.choice(department.brands), chance.choice(department.variants)
        language: words.Language = weighted(chance, {"ja": 0.6, "en": 0.4})
        if language == "ja":
            name = f"{brand.ja} {kind.ja} {variant.ja}"
        else:
            name = f"{brand.en} {kind.en}, {variant.en}"
        if name not in seen:
            break
    seen.add(name)
    return kind, language, name


def _description(
    chance: Random, department: words.Department, kind: words.Kind, language: words.Language
) -> str | None:
    if chance.random() < 0.08:
        return None
    opening = chance.choice(department.descriptions[language])
    closing = chance.choice(department.closings[language])
    space = "" if language == "ja" else " "
    return opening.format(kind=getattr(kind, language)) + space + closing
