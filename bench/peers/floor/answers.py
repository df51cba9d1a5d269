"""The workloads, each by its calls and an answer put together by hand."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson

from bench.peers.floor.dynamo import Body, Dynamo
from bench.shelf import CUSTOMER, PAGE, TABLE


def raw_id(text: str) -> str:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")[2]


def global_id(row: Body) -> str:
    return urlsafe_b64encode(f"Product:{row['id']['S']}".encode()).rstrip(b"=").decode()


def money(minor: str) -> Body:
    return {"amount": minor, "currencyCode": "JPY"}


def text(row: Body, name: str) -> str | None:
    return row[name]["S"] if name in row else None


async def small(dynamo: Dynamo, variables: Body) -> Body:
    pk = f"default#PRODUCT#{raw_id(variables['id'])}"
    row = (await dynamo.rows([(pk, "METADATA")]))[pk]
    inventory = int(row["inventory"]["N"])
    return {
        "product": {
            "id": global_id(row),
            "name": row["name"]["S"],
            "description": text(row, "description"),
            "price": money(row["price"]["N"]),
            "inventory": inventory,
            "inStock": inventory > 0,
        }
    }


async def nested(dynamo: Dynamo, _variables: Body) -> Body:
    user = f"default#USER#{CUSTOMER}"
    await dynamo.rows([(user, "PROFILE")])
    orders = (await dynamo.page(10, user, "ORDER#"))[:10]
    lines = [
        [f"default#PRODUCT#{line['M']['productId']['S']}" for line in order["items"]["L"]]
        for order in orders
    ]
    goods = await dynamo.rows([(pk, "METADATA") for pks in lines for pk in pks])
    shelves = {pk: f"default#CATEGORY#{row['category']['S']}" for pk, row in goods.items()}
    categories, pages = await asyncio.gather(
        dynamo.rows([(pk, "METADATA") for pk in shelves.values()]),
        asyncio.gather(*(dynamo.page(3, pk, "REVIEW#") for pk in goods)),
    )
    reviews = {pk: page[:3] for pk, page in zip(goods, pages, strict=True)}
    authors = await dynamo.rows(
        [
            (f"default#USER#{one['userId']['S']}", "PROFILE")
            for page in reviews.values()
            for one in page
        ]
    )

    def review(row: Body) -> Body:
        author = authors.get(f"default#USER#{row['userId']['S']}")
        gone = author is None or author["status"]["S"] == "DELETED"
        return {
            "rating": int(row["rating"]["N"]),
            "author": None if gone or author is None else {"username": author["username"]["S"]},
        }

    def product(pk: str) -> Body:
        return {
            "name": goods[pk]["name"]["S"],
            "category": {"name": categories[shelves[pk]]["name"]["S"]},
            "reviews": {"nodes": [review(one) for one in reviews[pk]]},
        }

    nodes = [
        {"number": order["number"]["S"], "items": [{"product": product(pk)} for pk in pks]}
        for order, pks in zip(orders, lines, strict=True)
    ]
    return {"viewer": {"orders": {"nodes": nodes}}}


async def listed(dynamo: Dynamo, variables: Body) -> Body:
    pk = f"default#CATEGORY#{raw_id(variables['category'])}#ACTIVE"
    rows = await dynamo.page(PAGE, pk, index="GSI1")
    nodes = [
        {
            "id": global_id(row),
            "name": row["name"]["S"],
            "description": text(row, "description"),
            "price": money(row["price"]["N"]),
            "status": row["status"]["S"],
            "inventory": (inventory := int(row["inventory"]["N"])),
            "inStock": inventory > 0,
            "version": int(row["version"]["N"]),
            "createdAt": row["createdAt"]["S"],
        }
        for row in rows[:PAGE]
    ]
    return {"products": {"pageInfo": {"hasNextPage": len(rows) > PAGE}, "nodes": nodes}}


async def placed(dynamo: Dynamo, variables: Body) -> Body:
    wanted, key = variables["input"]["items"], variables["input"]["idempotencyKey"]
    user = f"default#USER#{CUSTOMER}"
    products = [f"default#PRODUCT#{raw_id(line['productId'])}" for line in wanted]
    rows = await dynamo.rows([(user, "PROFILE"), *((pk, "METADATA") for pk in products)])
    lines = [
        {
            "productId": rows[pk]["id"],
            "productName": rows[pk]["name"],
            "quantity": {"N": str(line["quantity"])},
            "unitPrice": rows[pk]["price"],
        }
        for pk, line in zip(products, wanted, strict=True)
    ]
    total = str(sum(int(line["quantity"]["N"]) * int(line["unitPrice"]["N"]) for line in lines))
    actions = [*_made(user, key, lines, total), *map(_taken, products, lines)]
    asked = {
        "TransactItems": actions,
        "ClientRequestToken": str(uuid.uuid4()),
        "ReturnConsumedCapacity": "TOTAL",
    }
    await dynamo.ask("TransactWriteItems", asked)
    items = [
        {
            "productName": line["productName"]["S"],
            "quantity": (quantity := int(line["quantity"]["N"])),
            "unitPrice": {"amount": (price := line["unitPrice"]["N"])},
            "lineTotal": {"amount": str(quantity * int(price))},
        }
        for line in lines
    ]
    order = {
        "status": "PENDING",
        "itemCount": sum(item["quantity"] for item in items),
        "total": money(total),
        "items": items,
    }
    return {"placeOrder": {"order": order, "replayed": False, "userErrors": []}}


def _made(user: str, key: str, lines: list[Body], total: str) -> list[Body]:
    order_id, number, seconds = str(uuid.uuid4()), str(uuid.uuid4()), int(time.time())
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    printed = hashlib.sha256(orjson.dumps(lines)).hexdigest()
    claim = {
        "PK": {"S": f"default#IDEMPOTENCY#{CUSTOMER}#placeOrder#{key}"},
        "SK": {"S": "RESULT"},
        "entity": {"S": "Idempotency"},
        "fingerprint": {"S": printed},
        "result": {"S": order_id},
        "ttl": {"N": str(seconds + 86_400)},
    }
    order = {
        "PK": {"S": user},
        "SK": {"S": f"ORDER#{order_id}"},
        "GSI1PK": {"S": f"default#ORDERNO#{number}"},
        "GSI1SK": {"S": "ORDER"},
        "GSI2PK": {"S": "default#ORDERS#PENDING#0"},
        "GSI2SK": {"S": f"{now}#{order_id}"},
        "GSI3PK": {"S": f"default#ORDERS#{now[:7]}#0"},
        "GSI3SK": {"S": f"{now}#{order_id}"},
        "entity": {"S": "Order"},
        "id": {"S": order_id},
        "userId": {"S": CUSTOMER},
        "number": {"S": number},
        "status": {"S": "PENDING"},
        "items": {"L": [{"M": line} for line in lines]},
        "total": {"N": total},
        "history": {"L": [{"M": {"status": {"S": "PENDING"}, "at": {"S": now}}}]},
        "placedAt": {"S": now},
        "updatedAt": {"S": now},
        "version": {"N": "1"},
    }
    claimed = {
        "TableName": TABLE,
        "Item": claim,
        "ConditionExpression": "attribute_not_exists(#pk) OR #ttl <= :now",
        "ExpressionAttributeNames": {"#pk": "PK", "#ttl": "ttl"},
        "ExpressionAttributeValues": {":now": {"N": str(seconds)}},
    }
    absent = "attribute_not_exists(PK)"
    return [
        {"Put": claimed},
        {"Put": {"TableName": TABLE, "Item": order, "ConditionExpression": absent}},
    ]


def _taken(pk: str, line: Body) -> Body:
    return {
        "Update": {
            "TableName": TABLE,
            "Key": {"PK": {"S": pk}, "SK": {"S": "METADATA"}},
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
                ":quantity": line["quantity"],
                ":active": {"S": "ACTIVE"},
                ":price": line["unitPrice"],
            },
        }
    }


WORKLOADS: dict[str, Callable[[Dynamo, Body], Awaitable[Body]]] = {
    "/a": small,
    "/b": nested,
    "/c": listed,
    "/d": placed,
}
