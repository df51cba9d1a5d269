"""DynamoDB's JSON over HTTP, and nothing more: a body, a signature, an answer."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

import aiohttp
import orjson
from yarl import URL

from bench.shelf import TABLE

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
