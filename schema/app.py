"""The service as an ASGI application: GraphQL, the explorer, and two questions for probes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from schema.explorer import Explorer
from schema.http import GraphQLEndpoint

# Says what is not ready; None: all is.
Readiness = Callable[[], Awaitable[str | None]]


def build_app(
    endpoint: GraphQLEndpoint,
    *,
    explorer: Explorer | None,
    readiness: Readiness,
    allowed_origins: Sequence[str],
) -> Starlette:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(_request: Request) -> Response:
        missing = await readiness()
        if missing is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": missing}, 503)

    routes: list[BaseRoute] = [
        Route("/graphql", endpoint.handle, methods=["GET", "POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
    if explorer:
        routes += explorer.routes
    middleware = []
    if allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(allowed_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "x-request-id", "x-tenant"],
                expose_headers=["x-request-id"],
                max_age=86_400,
            )
        )
    return Starlette(routes=routes, middleware=middleware)
