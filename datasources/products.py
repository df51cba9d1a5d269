"""Products: their rows, and the lists by date and by price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasources.items import Item, Product, ProductStatus
from datasources.keys import (
    GSI1,
    GSI2,
    GSI3,
    PK,
    SK,
    Keys,
    partition_attribute,
    price_range,
    sort_attribute,
    timestamp,
)
from datasources.listing import Listing


def row(keys: Keys, product: Product) -> dict[str, Any]:
    """The product's row with every index attribute."""
    pk, sk = keys.product(product.id)
    return {PK: pk, SK: sk, **_indexes(keys, product), **product.to_attributes()}


def with_status(keys: Keys, field: str, status: ProductStatus, *, descending: bool) -> Listing:
    """Every product of the shop with one status, by date, merged over the write shards."""
    return Listing(
        binding=(keys.tenant, field, status, _direction(descending)),
        partitions=keys.products(status),
        index=GSI2,
        descending=descending,
    )


def of_category(
    keys: Keys, field: str, slug: str, status: ProductStatus, *, descending: bool
) -> Listing:
    """One category's products by date."""
    return Listing(
        binding=(keys.tenant, field, slug, status, _direction(descending)),
        partitions=(keys.category_products(slug, status),),
        index=GSI1,
        descending=descending,
    )


def of_category_by_price(
    keys: Keys,
    field: str,
    slug: str,
    status: ProductStatus,
    price: tuple[int | None, int | None],
    *,
    descending: bool,
) -> Listing:
    """One category's products by price, from and to a price in minor units, both inclusive."""
    bounds = tuple("" if bound is None else str(bound) for bound in price)
    return PriceListing(
        binding=(keys.tenant, field, slug, status, "PRICE", *bounds, _direction(descending)),
        partitions=(keys.category_products(slug, status),),
        index=GSI3,
        range=price_range(*price),
        descending=descending,
        keys=keys,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceListing(Listing):
    """A list by price. Its index holds keys alone and lags: a product that has since changed
    price, category or status stands elsewhere in the list by now, or not at all."""

    keys: Keys

    def holds(self, item: Item, position: str) -> bool:
        if not isinstance(item, Product):
            return False
        now = _indexes(self.keys, item)
        return (
            now.get(partition_attribute(GSI3)) in self.partitions
            and now.get(sort_attribute(GSI3)) == position
        )


def _indexes(keys: Keys, product: Product) -> dict[str, str]:
    created = timestamp(product.created_at)
    return keys.product_indexes(
        product.id, product.category, product.status, created, product.price
    )


def _direction(descending: bool) -> str:
    return "DESC" if descending else "ASC"
