"""Placing an order."""

from __future__ import annotations

import hashlib
import time
import uuid
import zlib
from datetime import UTC, datetime
from enum import Enum

import orjson
import strawberry

from bench.peers.straightforward.table import TABLE, TENANT, Info, Row, batch_get, key_of
from bench.peers.straightforward.types import Order, id_of

SHARDS = 4


@strawberry.enum
class UserErrorCode(Enum):
    INVALID = "INVALID"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PRODUCT_UNAVAILABLE = "PRODUCT_UNAVAILABLE"


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


async def place_order(info: Info, input: PlaceOrderInput) -> PlaceOrderPayload:
    viewer = info.context["viewer"]
    if viewer is None:
        raise PermissionError("sign in")
    ids = [id_of("Product", line.product_id) for line in input.items]
    # One batch, as the rows are wanted together.
    keys = [key_of(f"USER#{viewer}", "PROFILE"), *(key_of(f"PRODUCT#{id}") for id in ids)]
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
            "Key": key_of(f"PRODUCT#{product['id']}"),
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
