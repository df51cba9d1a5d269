"""What every answer says beside its content: how browsers may use it, and the request's ID."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schema.errors import INTERNAL, refusal

Raw = tuple[bytes, bytes]

# Nothing here is a page, a frame, or a part of another site's page; what is has its own policy
# (OWASP's REST Security Cheat Sheet, "Security Headers").
_HARDENING: Final[tuple[Raw, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Over https alone, RFC 6797, section 7.2; of this host alone: others may not be ours.
_HTTPS_ONLY: Final[Raw] = (b"strict-transport-security", b"max-age=31536000")
_SECURE: Final = frozenset(("https", "wss"))

# Of what depends on who asks, and how.
_ANSWER: Final[tuple[Raw, ...]] = (
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept, Authorization, X-Tenant"),
    *_HARDENING,
)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

JSON: Final = "application/json"


class Answer(Response):
    """To a request of GraphQL: `content` in a media type, in UTF-8, that nobody may keep."""

    def __init__(
        self,
        content: bytes,
        status: int,
        media: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status_code = status
        self.background = None
        self.body = content
        self.raw_headers = answering(media)
        self.raw_headers.append((b"content-length", b"%d" % len(content)))
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.encode("latin-1"), value.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it in one piece where the server can (`schema.serving.sending`)."""
        whole = getattr(send, "whole", None)
        if whole is None or not whole(self.status_code, self.raw_headers, self.body):
            await super().__call__(scope, receive, send)


def answering(media: str) -> list[Raw]:
    """The headers of an answer to a request of GraphQL."""
    return [(b"content-type", f"{media}; charset=utf-8".encode()), *_ANSWER]


def stamp(response: Response, scope: Scope, request_id: str) -> None:
    """Says in a response what depends on the request."""
    response.raw_headers.append((b"x-request-id", request_id.encode()))
    if scope.get("scheme") in _SECURE:
        response.raw_headers.append(_HTTPS_ONLY)


def request_id_of(given: str | None, make: Callable[[], str]) -> str:
    """The ID that a client or proxy has given a request, or one made here."""
    return given if given and _REQUEST_ID.fullmatch(given) else make()


def error_body(code: str, message: str, **extensions: object) -> bytes:
    """What is no answer but one error, in the form that all have."""
    return orjson.dumps({"errors": [refusal(code, message, **extensions).formatted]})


class Hardened:
    """Any other application: its answers get the headers that it has not set, and where it has
    nothing to say but a status, that is said as an error with a code."""

    def __init__(self, app: ASGIApp, request_id: Callable[[], str]) -> None:
        self._app = app
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id")
        request_id = request_id_of(given, self._request_id)
        further = [*_HARDENING, (b"x-request-id", request_id.encode())]
        if scope.get("scheme") in _SECURE:
            further.append(_HTTPS_ONLY)

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                _complete(message, further)
            await send(message)

        # For whoever answers in the middle, see below.
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        await self._app(scope, receive, send_hardened)


def _complete(message: Message, further: Iterable[Raw]) -> None:
    headers = message["headers"] = list(message.get("headers", ()))
    known = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in further if name not in known]


def tell_status(_request: Request, error: Exception) -> Response:
    """An exception handler of Starlette's for HTTPException: no such path, or method."""
    assert isinstance(error, HTTPException)  # noqa: S101 it is registered for these
    body = error_body("BAD_USER_INPUT", f"{HTTPStatus(error.status_code).phrase}.")
    return Answer(body, error.status_code, JSON, error.headers)


def tell_defect(request: Request, _error: Exception) -> Response:
    """The same for whatever else is raised; Starlette raises it again, for the log."""
    request_id = request.state.request_id
    body = error_body(INTERNAL, "Something went wrong here.", requestId=request_id)
    return Answer(body, HTTPStatus.INTERNAL_SERVER_ERROR, JSON)
