"""The enums of the contract; the items' own, so that no value is translated."""

from __future__ import annotations

from enum import StrEnum

import strawberry

from datasources.items import OrderStatus, ProductStatus, UserStatus
from resolvers.products import ProductOrderField
from streams.changes import ChangeKind

strawberry.enum(UserStatus, description="What an account may do.")
strawberry.enum(ProductStatus, description="Who gets to see a product.")
strawberry.enum(OrderStatus, description="Where an order stands.")
strawberry.enum(ProductOrderField, description="What a list of products is ordered by.")
strawberry.enum(ChangeKind, description="What has happened to an object.")


@strawberry.enum(description="Upwards or downwards.")
class OrderDirection(StrEnum):
    ASC = "ASC"
    DESC = "DESC"


__all__ = [
    "ChangeKind",
    "OrderDirection",
    "OrderStatus",
    "ProductOrderField",
    "ProductStatus",
    "UserStatus",
]
