"""The server."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL

from bench.peers.straightforward.schema import build_schema, listeners
from bench.peers.straightforward.table import TABLE, Context, loader


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


def build(*, caches: bool = True) -> Starlette:
    server = Server(build_schema(caches=caches))

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
    app = build(caches="bare" not in sys.argv)
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
