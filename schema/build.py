"""The schema as Strawberry builds it from the types; cheap to import, made when asked for."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.categories import Category
from schema.mutation import Mutation
from schema.orders import Order
from schema.products import Product
from schema.query import Query
from schema.reviews import Review
from schema.scalars import SCALARS
from schema.subscription import Subscription
from schema.users import User


def build_schema() -> strawberry.Schema:
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[User, Category, Product, Order, Review],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def export_sdl() -> str:
    """The schema in the schema definition language, ending in a newline."""
    return build_schema().as_str() + "\n"
