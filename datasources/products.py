"""Products: their rows, the lists by date and by price, and how they are written."""

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
from datasources.writes import ABSENT, PRESENT, Condition, Put, Update, same_version


def row(keys: Keys, product: Product) -> dict[str, Any]:
    """The product's row with every index attribute."""
    pk, sk = keys.product(product.id)
    return {PK: pk, SK: sk, **_indexes(keys, product), **product.to_attributes()}


def with_status(keys: Keys, field: str, status: ProductStatus, *, descending: bool) -> Listing:
    """Every product of the shop with one status, by date, merged over the write shards."""
    return Listing(
        binding=(keys.tenant, field, status, _direction(descending)),
        kind=Product,
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
        kind=Product,
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
        kind=Product,
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


# --- writing --------------------------------------------------------------------------------

_EDIT = (
    "SET #name = :name, #description = :description, #price = :price, #imageUrl = :imageUrl, "
    "#status = :status, #version = :version, #updatedAt = :updatedAt, #gsi2pk = :gsi2pk"
)
_EDIT_IN_CATEGORY = _EDIT + (
    ", #category = :category, #gsi1pk = :gsi1pk, #gsi1sk = :gsi1sk, "
    "#gsi3pk = :gsi3pk, #gsi3sk = :gsi3sk"
)
_EDIT_WITHOUT_CATEGORY = _EDIT + " REMOVE #category, #gsi1pk, #gsi1sk, #gsi3pk, #gsi3sk"
_EDITED = {
    f"#{name}": name
    for name in "name description price imageUrl status version updatedAt category".split()
}
_EDITED |= {
    "#gsi1pk": partition_attribute(GSI1),
    "#gsi1sk": sort_attribute(GSI1),
    "#gsi2pk": partition_attribute(GSI2),
    "#gsi3pk": partition_attribute(GSI3),
    "#gsi3sk": sort_attribute(GSI3),
}
_STOCK = {"#inventory": "inventory"}


def create(keys: Keys, product: Product) -> Put:
    return Put(row(keys, product), ABSENT)


def update(keys: Keys, before: Product, after: Product) -> Update:
    """Changes what is edited and every index with it, if nobody has edited it since.

    Stock and ratings beside it change without a new version and are left alone.
    """
    now = {**row(keys, after), "description": after.description, "imageUrl": after.image_url}
    values = {
        f":{placeholder[1:]}": now[attribute]
        for placeholder, attribute in _EDITED.items()
        if attribute in now
    }
    expression = _EDIT_WITHOUT_CATEGORY if after.category is None else _EDIT_IN_CATEGORY
    return Update(keys.product(after.id), expression, _EDITED, values, same_version(before.version))


def take(keys: Keys, product: Product, quantity: int) -> Update:
    """Takes units that are sold, if there are enough and the product is as it was read."""
    return Update(
        keys.product(product.id),
        "SET #inventory = #inventory - :quantity",
        _STOCK,
        {":quantity": quantity},
        Condition(
            "#inventory >= :quantity AND #status = :active AND #price = :price",
            {"#status": "status", "#price": "price"},
            {":active": ProductStatus.ACTIVE, ":price": product.price},
        ),
    )


def put_back(keys: Keys, product_id: str, quantity: int) -> Update:
    """Puts units of a cancelled order back; the product must still be there."""
    return Update(
        keys.product(product_id),
        "SET #inventory = #inventory + :quantity",
        _STOCK,
        {":quantity": quantity},
        PRESENT,
    )


def adjust(keys: Keys, product_id: str, delta: int, *, most: int) -> Update:
    """Changes the stock by `delta`, if it stays between zero and `most`."""
    return Update(
        keys.product(product_id),
        "SET #inventory = #inventory + :delta",
        _STOCK,
        {":delta": delta},
        Condition("#inventory BETWEEN :low AND :high", {}, {":low": -delta, ":high": most - delta}),
    )
