"""What the DynamoDB calls alone cost: each workload's calls through raw aiohttp, signed here, and
its answer put together by hand. No GraphQL, no checks: nothing should be faster in Python.

`python -m bench.peers.floor`; PORT and STORE are environment variables. POST /a to /d.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import uvicorn
import uvloop
from yarl import URL

from bench.shelf import CUSTOMER, PAGE, TABLE

REGION = "ap-northeast-1"
SIGNED = "content-type;host;x-amz-date;x-amz-target"
JSON = "application/x-amz-json-1.0"

Body = dict[str, Any]


class Dynamo:
    """Signature Version 4 with a signing key that is made once a day."""

    def __init__(
        self, session: aiohttp.ClientSession, store: str, key_id: str, secret: str
    ) -> None:
        self._session = session
        self._store, self._host = URL(store), store.partition("//")[2]
        self._key_id, self._secret = key_id, secret
        self._day = ""
        self._signing = b""

    async def ask(self, operation: str, parameters: Body) -> Body:
        body = orjson.dumps(parameters)
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = f"DynamoDB_20120810.{operation}"
        headers = {
            "Content-Type": JSON,
            "X-Amz-Date": at,
            "X-Amz-Target": target,
            "Authorization": self._authorization(at, target, body),
        }
        async with self._session.post(self._store, data=body, headers=headers) as answer:
            return orjson.loads(await answer.read())  # type: ignore[no-any-return]

    def _authorization(self, at: str, target: str, body: bytes) -> str:
        day = at[:8]
        if day != self._day:
            key = f"AWS4{self._secret}".encode()
            for part in (day, REGION, "dynamodb", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day, self._signing = day, key
        scope = f"{day}/{REGION}/dynamodb/aws4_request"
        request = (
            f"POST\n/\n\ncontent-type:{JSON}\nhost:{self._host}\nx-amz-date:{at}\n"
            f"x-amz-target:{target}\n\n{SIGNED}\n{hashlib.sha256(body).hexdigest()}"
        )
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashed}"
        signature = hmac.digest(self._signing, text.encode(), "sha256").hex()
        return (
            f"AWS4-HMAC-SHA256 Credential={self._key_id}/{scope}, SignedHeaders={SIGNED}, "
            f"Signature={signature}"
        )

    async def rows(self, keys: list[tuple[str, str]]) -> dict[str, Body]:
        """By partition key."""
        wanted = [{"PK": {"S": pk}, "SK": {"S": sk}} for pk, sk in dict.fromkeys(keys)]
        asked = {"RequestItems": {TABLE: {"Keys": wanted}}, "ReturnConsumedCapacity": "TOTAL"}
        answer = await self.ask("BatchGetItem", asked)
        return {row["PK"]["S"]: row for row in answer["Responses"][TABLE]}

    async def page(self, size: int, pk: str, sk: str = "", index: str = "") -> list[Body]:
        names, values = {"#pk": f"{index}PK"}, {":pk": {"S": pk}}
        condition = "#pk = :pk"
        if sk:
            names["#sk"], values[":sk"] = f"{index}SK", {"S": sk}
            condition += " AND begins_with(#sk, :sk)"
        asked: Body = {
            "TableName": TABLE,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": False,
            "Limit": size + 1,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if index:
            asked["IndexName"] = index
        found: list[Body] = (await self.ask("Query", asked))["Items"]
        return found


# --- the workloads ------------------------------------------------------------------------


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


# --- the server -----------------------------------------------------------------------------

WORKLOADS: dict[str, Callable[[Dynamo, Body], Awaitable[Body]]] = {
    "/a": small,
    "/b": nested,
    "/c": listed,
    "/d": placed,
}


async def serve(port: int) -> None:
    connector = aiohttp.TCPConnector(limit=64)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
        given = (
            os.environ[name] for name in ("STORE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        )
        dynamo = Dynamo(session, *given)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            variables = orjson.loads(body)["variables"]
            answer = orjson.dumps({"data": await WORKLOADS[scope["path"]](dynamo, variables)})
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(answer)).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})

        config = uvicorn.Config(
            app, port=port, lifespan="off", log_level="warning", access_log=False
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(os.environ["PORT"])))
