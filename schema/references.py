"""Types by name, for fields that lead from one to another: the types refer to one another in
circles, so each module names the others lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

if TYPE_CHECKING:
    from schema.categories import Category
    from schema.orders import Order
    from schema.products import Product
    from schema.reviews import Review
    from schema.users import User

CategoryType = Annotated["Category", strawberry.lazy("schema.categories")]
OrderType = Annotated["Order", strawberry.lazy("schema.orders")]
ProductType = Annotated["Product", strawberry.lazy("schema.products")]
ReviewType = Annotated["Review", strawberry.lazy("schema.reviews")]
UserType = Annotated["User", strawberry.lazy("schema.users")]
