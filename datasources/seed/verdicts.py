"""Reviews: who thought what of which product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from datasources.ids import uuid7
from datasources.items import Review
from datasources.seed import words
from datasources.seed.chance import DAY, between, moment, source, source_of
from datasources.seed.goods import Good
from datasources.seed.people import Customer
from datasources.seed.sales import Sale, popularity

# When each customer first had each product delivered: by product ID, then by user ID.
Deliveries = Mapping[str, Mapping[str, int]]

_FROM_BUYERS = 0.75  # of a product's reviews, as far as there are so many buyers
_LATEST = 30 * DAY  # buyers write within a month
_EDITED = 0.04
_UNTITLED, _UNCOMMENTED = 0.15, 0.12


@dataclass(frozen=True, slots=True)
class Verdict:
    """A review before it is written out."""

    id: str
    customer: Customer
    good: Good
    stars: int
    at: int
    edited: int
    verified: bool

    def review(self) -> Review:
        """The review; its words come from its ID."""
        chance = source_of(self.id)
        said = words.opinions().stars[self.stars, self.customer.language]
        space = "" if self.customer.language == "ja" else " "
        sentences = chance.sample(said.sentences, chance.randint(1, 3))
        return Review(
            id=self.id,
            product_id=self.good.product.id,
            user_id=self.customer.user.id,
            rating=self.stars,
            title=None if chance.random() < _UNTITLED else chance.choice(said.titles),
            comment=None if chance.random() < _UNCOMMENTED else space.join(sentences),
            verified_purchase=self.verified,
            created_at=moment(self.at),
            updated_at=moment(self.edited),
        )


def deliveries(sales: Sequence[Sale]) -> dict[str, dict[str, int]]:
    """Who has had what delivered, and when first."""
    first: dict[str, dict[str, int]] = {}
    for sale in sales:
        if sale.delivered is None:
            continue
        for good, _ in sale.lines:
            buyers = first.setdefault(good.product.id, {})
            user = sale.customer.user.id
            buyers[user] = min(sale.delivered, buyers.get(user, sale.delivered))
    return first


def verdicts(
    seed: object,
    count: int,
    customers: Sequence[Customer],
    goods: Sequence[Good],
    delivered: Deliveries,
) -> list[Verdict]:
    """`count` reviews of `goods`, no two by one customer of one product.

    `count` may not be above the number of customers times that of goods.
    """
    if not count:
        return []
    chance = source(seed, "verdicts")
    by_id = {customer.user.id: customer for customer in customers}
    made: list[Verdict] = []
    for good, share in _shares(chance, goods, len(customers), count):
        had = delivered.get(good.product.id, {})
        made += (
            _verdict(chance, by_id[user_id], good, had.get(user_id))
            for user_id in _authors(chance, customers, had, share)
        )
    return made


def _shares(chance: Random, goods: Sequence[Good], room: int, count: int) -> list[tuple[Good, int]]:
    """How many of `count` reviews each product gets: the popular more, none above `room`."""
    ranked = list(goods)
    chance.shuffle(ranked)
    weights = [popularity(rank) for rank in range(len(ranked))]
    drawn = Counter(chance.choices(range(len(ranked)), weights, k=count))
    shares = [min(room, drawn[rank]) for rank in range(len(ranked))]
    left = count - sum(shares)
    for rank, share in enumerate(shares):
        more = min(room - share, left)
        shares[rank] += more
        left -= more
    return list(zip(ranked, shares, strict=True))


def _authors(
    chance: Random, customers: Sequence[Customer], had: Mapping[str, int], count: int
) -> list[str]:
    """User IDs, `count` different ones, most of them of buyers where there are some."""
    buyers = chance.sample(list(had), min(len(had), round(count * _FROM_BUYERS)))
    chosen = set(buyers)
    anybody = (customer.user.id for customer in chance.sample(customers, count))
    others = [user_id for user_id in anybody if user_id not in chosen]
    return buyers + others[: count - len(buyers)]


def _verdict(chance: Random, customer: Customer, good: Good, had: int | None) -> Verdict:
    earliest = max(customer.since, good.made)
    if had is not None and had < customer.until:
        at = between(chance, had, min(had + _LATEST, customer.until))
    else:
        at = between(chance, earliest, customer.until)
    edited = between(chance, at, customer.until) if chance.random() < _EDITED else at
    return Verdict(
        uuid7(at, chance.getrandbits),
        customer,
        good,
        good.rating(chance),
        at,
        edited,
        had is not None,
    )
