"""The service as an ASGI application: GraphQL in its three ways, the explorer, and what probes
and scrapers ask.

What most requests are, a POST to `/graphql`, goes straight to its endpoint, which answers whatever
happens; middleware and routes would cost it a tenth of a small query.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.browser.explorer import Explorer
from schema.browser.outbox import OutboxPage
from schema.headers import Hardened, tell_defect, tell_status
from schema.http import GraphQLEndpoint
from schema.live.sockets import SocketEndpoint

_PATH = "/graphql"

# What pages of other origins may send, and read.
_ALLOWED = """authorization content-type traceparent tracestate x-explain x-request-id
    x-tenant""".split()
_EXPOSED = ["retry-after", "x-request-id"]

# Says what is not ready; None: all is.
Readiness = Callable[[], Awaitable[str | None]]


def build_app(
    endpoint: GraphQLEndpoint,
    sockets: SocketEndpoint,
    *,
    explorer: Explorer | None,
    outbox: OutboxPage | None,
    readiness: Readiness,
    registry: CollectorRegistry,
    allowed_origins: Sequence[str],
) -> ASGIApp:
    routes: list[BaseRoute] = [
        Route(_PATH, endpoint.handle, methods=["GET", "POST"]),
        WebSocketRoute(_PATH, sockets),
        *probes(readiness, registry),
    ]
    for pages in (explorer, outbox):
        if pages:
            routes += pages.routes
    rest = Starlette(
        routes=routes, exception_handlers={HTTPException: tell_status, Exception: tell_defect}
    )
    rest.router.redirect_slashes = False  # an address has one spelling

    async def post(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint.handle(_Request(scope, receive))
        await response(scope, receive, send)

    def for_origins(app: ASGIApp) -> ASGIApp:
        if not allowed_origins:
            return app
        return CORSMiddleware(
            app,
            allow_origins=allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=_ALLOWED,
            expose_headers=_EXPOSED,
            max_age=86_400,
        )

    return _Shortcut(for_origins(post), Hardened(for_origins(rest), endpoint.request_id))


class _Headers(Headers):
    """Starlette looks through all headers for each that is asked for."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first: dict[bytes, bytes] = dict(reversed(self._list))

    def get(self, key: str, default: Any = None) -> Any:
        value = self._first.get(key.encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class _Request(Request):
    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._indexed = _Headers(scope)

    @property
    def headers(self) -> Headers:
        return self._indexed


@dataclass(frozen=True, slots=True)
class _Shortcut:
    post: ASGIApp
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _PATH and scope["method"] == "POST":
            await self.post(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def probes(readiness: Readiness, registry: CollectorRegistry) -> list[BaseRoute]:
    """`/healthz`, `/readyz` and `/metrics`, of whatever kind of process."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(_request: Request) -> Response:
        missing = await readiness()
        if missing is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": missing}, 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
