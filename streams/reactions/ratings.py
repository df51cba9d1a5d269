"""A product's histogram counts its reviews by their stars."""

from __future__ import annotations

from datasources.items import Review
from datasources.writes import PRESENT, Update
from streams.changes import Change

NAME = "ratings"
_STARS = 5
# All five at once, so that one expression serves every change. An edit counter or a time of
# change is not touched: a review is no edit of the product.
_COUNT = "SET " + ", ".join(f"#h[{i}] = #h[{i}] + :by{i}" for i in range(_STARS))


def effects(change: Change) -> list[Update]:
    """One less for the review as it was, one more for what it is."""
    if change.loaded:
        return []
    counts: dict[str, list[int]] = {}
    for review, by in ((change.old, -1), (change.new, 1)):
        if isinstance(review, Review) and 1 <= review.rating <= _STARS:
            counts.setdefault(review.product_id, [0] * _STARS)[review.rating - 1] += by
    return [
        Update(
            change.keys.product(product_id),
            _COUNT,
            {"#h": "histogram"},
            {f":by{i}": by for i, by in enumerate(stars)},
            PRESENT,
        )
        for product_id, stars in counts.items()
        if any(stars)
    ]
