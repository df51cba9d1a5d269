"""An AWS account as far as it gives roles: STS and DynamoDB at one endpoint, which tells who asked
for what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from datasources.client import Endpoint

REGION = "ap-northeast-1"
ROLE = "arn:aws:iam::000000000000:role/tenant"

_GIVEN = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token-{key}</SessionToken><Expiration>{ends}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
_REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
<Type>Sender</Type><Code>AccessDenied</Code><Message>not for {tenant}</Message>
</Error></ErrorResponse>"""


@dataclass
class Account:
    """`assumed` are the requests for the role, `asked` the access keys and session tokens of the
    calls of DynamoDB. Keys are named after their tenants, and counted. Sessions last for `seconds`;
    tenants that are `refused` get none."""

    seconds: float = 3_600.0
    refused: set[str] = field(default_factory=set)
    assumed: list[dict[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def endpoint(self, *, fast: bool = True) -> Endpoint:
        return Endpoint(REGION, self.url, local=True, fast=fast)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Account]:
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if "X-Amz-Target" in request.headers:
            signed = re.search(r"Credential=([^/]+)/", request.headers["Authorization"])
            assert signed
            self.asked.append((signed[1], request.headers.get("X-Amz-Security-Token")))
            return web.json_response({"Items": [], "Count": 0, "ScannedCount": 0})
        wanted = {name: value for name, [value] in parse_qs(await request.text()).items()}
        self.assumed.append(wanted)
        return self._assume(wanted["Tags.member.1.Value"])

    def _assume(self, tenant: str) -> web.Response:
        if tenant in self.refused:
            text = _REFUSED.format(tenant=tenant)
            return web.Response(status=403, text=text, content_type="text/xml")
        ends: Any = datetime.now(UTC) + timedelta(seconds=self.seconds)
        number = sum(each["Tags.member.1.Value"] == tenant for each in self.assumed)
        text = _GIVEN.format(key=f"{tenant}-{number}", ends=ends.isoformat())
        return web.Response(text=text, content_type="text/xml")
