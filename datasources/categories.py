"""Categories: their rows, and the list of all."""

from __future__ import annotations

from typing import Any

from datasources.items import Category
from datasources.keys import GSI1, PK, SK, Keys
from datasources.listing import Listing


def row(keys: Keys, category: Category) -> dict[str, Any]:
    """The category's row with every index attribute."""
    pk, sk = keys.category(category.slug)
    return {
        PK: pk,
        SK: sk,
        **keys.category_indexes(category.slug, category.name),
        **category.to_attributes(),
    }


def by_name(keys: Keys, field: str) -> Listing:
    """By name, case-folded."""
    return Listing(
        binding=(keys.tenant, field),
        partitions=(keys.categories(),),
        index=GSI1,
        descending=False,
    )
