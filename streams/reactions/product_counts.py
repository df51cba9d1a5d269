"""A category counts its ACTIVE products."""

from __future__ import annotations

from collections import Counter

from datasources.items import Product, ProductStatus
from datasources.writes import PRESENT, Update
from streams.changes import Change

NAME = "product-counts"
_COUNT = "ADD #count :by"


def effects(change: Change) -> list[Update]:
    """One less where the product was counted, one more where it is to be."""
    if change.loaded:
        return []
    counts: Counter[str] = Counter()
    for product, by in ((change.old, -1), (change.new, 1)):
        if isinstance(product, Product) and product.status is ProductStatus.ACTIVE:
            counts[product.category or ""] += by
    del counts[""]
    return [
        Update(change.keys.category(slug), _COUNT, {"#count": "productCount"}, {":by": by}, PRESENT)
        for slug, by in counts.items()
        if by
    ]
