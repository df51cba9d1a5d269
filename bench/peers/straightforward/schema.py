"""The roots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import strawberry
from boto3.dynamodb.conditions import Key  # type: ignore[import-untyped]
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from bench.peers.straightforward.orders import PlaceOrderInput, PlaceOrderPayload
from bench.peers.straightforward.orders import place_order as placed
from bench.peers.straightforward.table import TENANT, Info, Row, page
from bench.peers.straightforward.types import (
    ChangeKind,
    DateTime,
    PageInfo,
    Product,
    ProductConnection,
    User,
    id_of,
)


@strawberry.type
class ProductChange:
    kind: ChangeKind
    occurred_at: DateTime
    changed_fields: list[str]
    previous_inventory: int | None
    product: Product | None


@strawberry.type
class Query:
    @strawberry.field
    async def viewer(self, info: Info) -> User | None:
        viewer = info.context["viewer"]
        return User.of(await info.context["users"].load(viewer)) if viewer else None

    @strawberry.field
    async def product(self, info: Info, id: strawberry.ID) -> Product | None:
        return Product.of(await info.context["products"].load(id_of("Product", id)))

    @strawberry.field
    async def products(
        self, info: Info, category_id: strawberry.ID, first: int | None = None
    ) -> ProductConnection:
        active = f"{TENANT}#CATEGORY#{id_of('Category', category_id)}#ACTIVE"
        condition = Key("GSI1PK").eq(active)
        rows, more = await page(info, first, IndexName="GSI1", KeyConditionExpression=condition)
        found = [product for row in rows if (product := Product.of(row))]
        return ProductConnection(nodes=found, page_info=PageInfo(has_next_page=more))


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def place_order(self, info: Info, input: PlaceOrderInput) -> PlaceOrderPayload:
        return await placed(info, input)


listeners: dict[str, set[asyncio.Queue[Row]]] = {}


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def product_changed(self, product_id: strawberry.ID) -> AsyncGenerator[ProductChange]:
        queue: asyncio.Queue[Row] = asyncio.Queue()
        watching = listeners.setdefault(id_of("Product", product_id), set())
        watching.add(queue)
        try:
            while True:
                change = await queue.get()
                yield ProductChange(
                    kind=ChangeKind[change["kind"]],
                    occurred_at=DateTime(change["occurredAt"]),
                    changed_fields=change["changedFields"],
                    previous_inventory=change["previousInventory"],
                    product=Product.of(change["product"]),
                )
        finally:
            watching.discard(queue)


def build_schema(*, caches: bool = True) -> strawberry.Schema:
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(
            scalar_map={
                DateTime: strawberry.scalar(name="DateTime", serialize=str, parse_value=str)
            }
        ),
        extensions=[lambda: ParserCache(), lambda: ValidationCache()] if caches else [],
    )
