"""The shop as Strawberry's and aioboto3's own pages teach it: types with resolvers, a DataLoader
for each kind of object made for each request, a resource of aioboto3 for the whole process.

Parser and validation caches are on. `python -m bench.peers.straightforward`; PORT, STORE and
SECRET are environment variables.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NewType

import aioboto3
import jwt
import orjson
import strawberry
import uvicorn
from boto3.dynamodb.conditions import Key  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

TABLE, TENANT, SHARDS, CURRENCY = "cartograph", "default", 4, "JPY"

DateTime = NewType("DateTime", str)
Row = dict[str, Any]
Context = dict[str, Any]
Info = strawberry.Info[Context, None]


@strawberry.enum
class ProductStatus(Enum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


@strawberry.enum
class OrderStatus(Enum):
    PENDING = "PENDING"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


@strawberry.enum
class UserErrorCode(Enum):
    INVALID = "INVALID"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PRODUCT_UNAVAILABLE = "PRODUCT_UNAVAILABLE"


@strawberry.enum
class ChangeKind(Enum):
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


def global_id(*parts: str) -> strawberry.ID:
    return strawberry.ID(urlsafe_b64encode(":".join(parts).encode()).rstrip(b"=").decode())


def id_of(kind: str, text: str) -> str:
    found, _, rest = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")
    if found != kind:
        raise ValueError(f"not the ID of a {kind}")
    return rest


@strawberry.interface
class Node:
    id: strawberry.ID


@strawberry.type
class Money:
    amount: Decimal
    currency_code: str

    @classmethod
    def of(cls, minor: Decimal) -> Money:
        return cls(amount=minor, currency_code=CURRENCY)


@strawberry.type
class PageInfo:
    has_next_page: bool


@strawberry.type
class User(Node):
    username: str
    raw_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: Row | None) -> User | None:
        if row is None or row["status"] == "DELETED":
            return None
        return cls(id=global_id("User", row["id"]), username=row["username"], raw_id=row["id"])

    @strawberry.field
    async def orders(self, info: Info, first: int | None = None) -> OrderConnection | None:
        of_user = Key("PK").eq(f"{TENANT}#USER#{self.raw_id}") & Key("SK").begins_with("ORDER#")
        rows, more = await page(info, first, KeyConditionExpression=of_user)
        return OrderConnection(
            nodes=[Order.of(row) for row in rows], page_info=PageInfo(has_next_page=more)
        )


@strawberry.type
class Category(Node):
    slug: str
    name: str


@strawberry.type
class Product(Node):
    name: str
    description: str | None
    price: Money
    status: ProductStatus
    inventory: int
    version: int
    created_at: DateTime
    raw_id: strawberry.Private[str]
    category_slug: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: Row | None) -> Product | None:
        if row is None or row["status"] == "DRAFT":
            return None
        return cls(
            id=global_id("Product", row["id"]),
            name=row["name"],
            description=row.get("description"),
            price=Money.of(row["price"]),
            status=ProductStatus[row["status"]],
            inventory=int(row["inventory"]),
            version=int(row["version"]),
            created_at=DateTime(row["createdAt"]),
            raw_id=row["id"],
            category_slug=row.get("category"),
        )

    @strawberry.field
    def in_stock(self) -> bool:
        return self.inventory > 0

    @strawberry.field
    async def category(self, info: Info) -> Category | None:
        if self.category_slug is None:
            return None
        row = await info.context["categories"].load(self.category_slug)
        if row is None:
            return None
        return Category(id=global_id("Category", row["slug"]), slug=row["slug"], name=row["name"])

    @strawberry.field
    async def reviews(self, info: Info, first: int | None = None) -> ReviewConnection:
        of_product = Key("PK").eq(f"{TENANT}#PRODUCT#{self.raw_id}")
        of_product &= Key("SK").begins_with("REVIEW#")
        rows, more = await page(info, first, KeyConditionExpression=of_product)
        return ReviewConnection(
            nodes=[Review.of(row) for row in rows], page_info=PageInfo(has_next_page=more)
        )


@strawberry.type
class ProductConnection:
    nodes: list[Product]
    page_info: PageInfo


@strawberry.type
class Review(Node):
    rating: int
    user_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: Row) -> Review:
        return cls(
            id=global_id("Review", row["productId"], row["id"]),
            rating=int(row["rating"]),
            user_id=row["userId"],
        )

    @strawberry.field
    async def author(self, info: Info) -> User | None:
        return User.of(await info.context["users"].load(self.user_id))


@strawberry.type
class ReviewConnection:
    nodes: list[Review]
    page_info: PageInfo


@strawberry.type
class OrderItem:
    product_name: str
    quantity: int
    unit_price: Money
    line_total: Money
    product_id: strawberry.Private[str]

    @classmethod
    def of(cls, line: Row) -> OrderItem:
        return cls(
            product_name=line["productName"],
            quantity=int(line["quantity"]),
            unit_price=Money.of(line["unitPrice"]),
            line_total=Money.of(line["unitPrice"] * line["quantity"]),
            product_id=line["productId"],
        )

    @strawberry.field
    async def product(self, info: Info) -> Product | None:
        return Product.of(await info.context["products"].load(self.product_id))


@strawberry.type
class Order(Node):
    number: str
    status: OrderStatus
    items: list[OrderItem]
    total: Money

    @classmethod
    def of(cls, row: Row) -> Order:
        return cls(
            id=global_id("Order", row["userId"], row["id"]),
            number=row["number"],
            status=OrderStatus[row["status"]],
            items=[OrderItem.of(line) for line in row["items"]],
            total=Money.of(row["total"]),
        )

    @strawberry.field
    def item_count(self) -> int:
        return sum(item.quantity for item in self.items)


@strawberry.type
class OrderConnection:
    nodes: list[Order]
    page_info: PageInfo


@strawberry.input
class OrderItemInput:
    product_id: strawberry.ID
    quantity: int


@strawberry.input
class PlaceOrderInput:
    items: list[OrderItemInput]
    idempotency_key: str


@strawberry.type
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None


@strawberry.type
class PlaceOrderPayload:
    order: Order | None
    replayed: bool
    user_errors: list[UserError]


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
        viewer = info.context["viewer"]
        if viewer is None:
            raise PermissionError("sign in")
        ids = [id_of("Product", line.product_id) for line in input.items]
        # One batch, as the rows are wanted together.
        keys = [_key(f"USER#{viewer}", "PROFILE"), *(_key(f"PRODUCT#{id}") for id in ids)]
        rows = await batch_get(info.context["dynamo"], keys)
        profile, *products = (rows.get(key["PK"]) for key in keys)
        if profile is None or profile["status"] != "ACTIVE":
            raise PermissionError("this needs an account")
        errors = _objections(input, products)
        if errors:
            return PlaceOrderPayload(order=None, replayed=False, user_errors=errors)
        goods = [product for product in products if product is not None]
        order = _order(viewer, input, goods)
        client = info.context["table"].meta.client
        await client.transact_write_items(TransactItems=_actions(order, input, goods))
        return PlaceOrderPayload(order=Order.of(order), replayed=False, user_errors=[])


def _objections(input: PlaceOrderInput, products: list[Row | None]) -> list[UserError]:
    errors = []
    for at, (line, product) in enumerate(zip(input.items, products, strict=True)):
        field = ["input", "items", str(at)]
        if not 1 <= line.quantity <= 999:
            errors.append(UserError(code=UserErrorCode.INVALID, message="1 to 999", field=field))
        elif product is None or product["status"] != "ACTIVE":
            errors.append(
                UserError(
                    code=UserErrorCode.PRODUCT_UNAVAILABLE, message="not for sale", field=field
                )
            )
        elif product["inventory"] < line.quantity:
            errors.append(
                UserError(code=UserErrorCode.OUT_OF_STOCK, message="not enough left", field=field)
            )
    return errors


def _order(viewer: str, input: PlaceOrderInput, products: list[Row]) -> Row:
    order_id, number = str(uuid.uuid4()), str(uuid.uuid4())
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shard = zlib.crc32(order_id.encode()) % SHARDS
    lines = [
        {
            "productId": product["id"],
            "productName": product["name"],
            "quantity": line.quantity,
            "unitPrice": product["price"],
        }
        for line, product in zip(input.items, products, strict=True)
    ]
    return {
        "PK": f"{TENANT}#USER#{viewer}",
        "SK": f"ORDER#{order_id}",
        "GSI1PK": f"{TENANT}#ORDERNO#{number}",
        "GSI1SK": "ORDER",
        "GSI2PK": f"{TENANT}#ORDERS#PENDING#{shard}",
        "GSI2SK": f"{now}#{order_id}",
        "GSI3PK": f"{TENANT}#ORDERS#{now[:7]}#{shard}",
        "GSI3SK": f"{now}#{order_id}",
        "entity": "Order",
        "id": order_id,
        "userId": viewer,
        "number": number,
        "status": "PENDING",
        "items": lines,
        "total": sum(line["quantity"] * line["unitPrice"] for line in lines),
        "history": [{"status": "PENDING", "at": now}],
        "placedAt": now,
        "updatedAt": now,
        "version": 1,
    }


def _actions(order: Row, input: PlaceOrderInput, products: list[Row]) -> list[Row]:
    now = int(time.time())
    printed = orjson.dumps([[line.product_id, line.quantity] for line in input.items])
    claim = {
        "PK": f"{TENANT}#IDEMPOTENCY#{order['userId']}#placeOrder#{input.idempotency_key}",
        "SK": "RESULT",
        "entity": "Idempotency",
        "fingerprint": hashlib.sha256(printed).hexdigest(),
        "result": order["id"],
        "ttl": now + 86_400,
    }
    claimed = {
        "TableName": TABLE,
        "Item": claim,
        "ConditionExpression": "attribute_not_exists(PK) OR #ttl <= :now",
        "ExpressionAttributeNames": {"#ttl": "ttl"},
        "ExpressionAttributeValues": {":now": now},
    }
    absent = "attribute_not_exists(PK)"
    placed = {"TableName": TABLE, "Item": order, "ConditionExpression": absent}
    taken = [
        {
            "TableName": TABLE,
            "Key": _key(f"PRODUCT#{product['id']}"),
            "UpdateExpression": "SET #inventory = #inventory - :quantity",
            "ConditionExpression": (
                "#inventory >= :quantity AND #status = :active AND #price = :price"
            ),
            "ExpressionAttributeNames": {
                "#inventory": "inventory",
                "#status": "status",
                "#price": "price",
            },
            "ExpressionAttributeValues": {
                ":quantity": line.quantity,
                ":active": "ACTIVE",
                ":price": product["price"],
            },
        }
        for line, product in zip(input.items, products, strict=True)
    ]
    return [{"Put": claimed}, {"Put": placed}, *({"Update": update} for update in taken)]


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


# Reading.


def _key(name: str, sk: str = "METADATA") -> Row:
    return {"PK": f"{TENANT}#{name}", "SK": sk}


async def page(info: Info, first: int | None, **parameters: Any) -> tuple[list[Row], bool]:
    size = 20 if first is None else first
    answer = await info.context["table"].query(ScanIndexForward=False, Limit=size + 1, **parameters)
    rows = answer["Items"]
    return rows[:size], len(rows) > size


async def batch_get(dynamo: Any, keys: list[Row]) -> dict[str, Row]:
    answer = await dynamo.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    return {row["PK"]: row for row in answer["Responses"][TABLE]}


def loader(dynamo: Any, kind: str, sk: str) -> DataLoader[str, Row | None]:
    async def load(ids: list[str]) -> list[Row | None]:
        keys = [_key(f"{kind}#{one}", sk) for one in ids]
        rows = await batch_get(dynamo, keys)
        return [rows.get(key["PK"]) for key in keys]

    return DataLoader(load_fn=load, max_batch_size=100)


class Server(GraphQL[Context, None]):
    dynamo: Any = None
    table: Any = None

    async def get_context(self, request: Any, response: Any) -> Context:
        return {
            "dynamo": self.dynamo,
            "table": self.table,
            "viewer": viewer(request.headers.get("authorization")),
            "users": loader(self.dynamo, "USER", "PROFILE"),
            "products": loader(self.dynamo, "PRODUCT", "METADATA"),
            "categories": loader(self.dynamo, "CATEGORY", "METADATA"),
        }


def viewer(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    token = authorization.removeprefix("Bearer ")
    subject: str = jwt.decode(token, os.environ["SECRET"], algorithms=["HS256"])["sub"]
    return subject


def build_schema() -> strawberry.Schema:
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(
            scalar_map={
                DateTime: strawberry.scalar(name="DateTime", serialize=str, parse_value=str)
            }
        ),
        extensions=[lambda: ParserCache(), lambda: ValidationCache()],
    )


def build() -> Starlette:
    server = Server(build_schema())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        session = aioboto3.Session()
        async with session.resource(
            "dynamodb", region_name="ap-northeast-1", endpoint_url=os.environ["STORE"]
        ) as dynamo:
            server.dynamo, server.table = dynamo, await dynamo.Table(TABLE)
            yield

    async def changed(request: Request) -> Response:
        """The change that whoever measures makes known."""
        change = await request.json()
        for queue in listeners.get(change["product"]["id"], ()):
            queue.put_nowait(change)
        return Response(status_code=204)

    routes = [
        Route("/graphql", server, methods=["POST"]),
        WebSocketRoute("/graphql", server),
        Route("/changed", changed, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(build(), port=int(os.environ["PORT"]), log_level="warning", access_log=False)
