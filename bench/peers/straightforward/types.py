"""What clients see."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal
from enum import Enum
from typing import NewType

import strawberry
from boto3.dynamodb.conditions import Key  # type: ignore[import-untyped]

from bench.peers.straightforward.table import TENANT, Info, Row, page

CURRENCY = "JPY"

DateTime = NewType("DateTime", str)


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
