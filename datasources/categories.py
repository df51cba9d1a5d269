"""Categories: their rows, the list of all, and how they are written."""

from __future__ import annotations

from typing import Any

from datasources.items import Category
from datasources.keys import GSI1, PK, SK, Keys, sort_attribute, timestamp
from datasources.listing import Listing
from datasources.writes import ABSENT, Condition, Put, Update


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
        kind=Category,
        partitions=(keys.categories(),),
        index=GSI1,
        descending=False,
    )


def create(keys: Keys, category: Category) -> Put:
    return Put(row(keys, category), ABSENT)


def update(keys: Keys, before: Category, after: Category) -> Update:
    """Changes what is edited; the count of products beside it is the stream's."""
    index = keys.category_indexes(after.slug, after.name)
    return Update(
        keys.category(after.slug),
        "SET #name = :name, #description = :description, "
        "#updatedAt = :updatedAt, #gsi1sk = :gsi1sk",
        {
            "#name": "name",
            "#description": "description",
            "#updatedAt": "updatedAt",
            "#gsi1sk": sort_attribute(GSI1),
        },
        {
            ":name": after.name,
            ":description": after.description,
            ":updatedAt": timestamp(after.updated_at),
            ":gsi1sk": index[sort_attribute(GSI1)],
        },
        Condition(
            "#updatedAt = :read",
            {"#updatedAt": "updatedAt"},
            {":read": timestamp(before.updated_at)},
        ),
    )
