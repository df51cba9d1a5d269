"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http/draft/), both media types.

`application/json` answers 200 to any well-formed request, for clients of old;
`application/graphql-response+json` tells by its status whether the document ran.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import ceil
from typing import Any, TypeVar

import orjson
from graphql import GraphQLError, OperationType
from starlette.requests import Request
from starlette.responses import Response

from datasources.errors import ServiceUnavailable
from datasources.table import Meter
from resolvers.context import Shop
from resolvers.errors import TenantRefused, TokenRefused
from resolvers.principal import Principal
from schema.bodies import NotReadable, once, read_json
from schema.browser.explorer import Explorer
from schema.errors import INTERNAL, refusal, told
from schema.guards import admission as places
from schema.guards.admission import Admission
from schema.guards.callers import Caller, address_of, caller_of
from schema.guards.seats import NoSeat
from schema.guards.throttle import RateLimited, Throttle
from schema.headers import JSON, Answer, request_id_of, stamp
from schema.live.sse import EVENTS, EventStreams
from schema.operations.documents import Documents
from schema.operations.operation import Executor, Operation, Refused
from schema.operations.watching import watcher_of
from schema.running import Admitted, Authenticate, admit, answer, extensions_of, failed

T = TypeVar("T")

GRAPHQL = "application/graphql-response+json"

# What can be answered in, by the names that clients have for it.
_OFFERED = {GRAPHQL: GRAPHQL, JSON: JSON, "application/*": JSON, "*/*": JSON}


class BadRequest(Exception):
    """A request that is no GraphQL request; `status` is the HTTP status that says so."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "BAD_USER_INPUT",
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = refusal(code, message, **extensions)
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request, of the right types: with a document, or what names one."""

    query: str | None
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GraphQLEndpoint:
    """`/graphql` over HTTP. `largest_body` is in bytes, `authenticate` takes the Authorization
    and X-Tenant headers, `request_id` makes an ID where the client brings none, `streams`
    answers those who ask for events, `throttle` says who has asked for too much. Staff may have an
    answer explained, and all where `explains`."""

    executor: Executor
    shop: Shop
    authenticate: Authenticate
    explorer: Explorer | None
    largest_body: int
    request_id: Callable[[], str]
    streams: EventStreams | None = None
    documents: Documents = field(default_factory=lambda: Documents({}, None))
    throttle: Throttle | None = None
    admission: Admission | None = None
    explains: bool = False

    async def handle(self, request: Request) -> Response:
        arrived = asyncio.get_running_loop().time()
        request_id = request_id_of(request.headers.get("x-request-id"), self.request_id)
        media = JSON
        try:
            if self.explorer and _wants_page(request):
                return self.explorer.page(request)  # which gets its headers as all pages do
            streaming = self.streams is not None and request.method != "HEAD"
            wanted = _negotiate(request.headers.get("accept"), streaming=streaming)
            media = JSON if wanted == EVENTS else wanted  # of what is no GraphQL request
            response = await self._answer(request, wanted, request_id, arrived)
        except BadRequest as bad:
            self._count(str((bad.error.extensions or {})["code"]))
            body = {"errors": told([bad.error], request_id)}
            response = _response(body, bad.status, media, bad.headers)
        except Exception as error:
            self._count(INTERNAL)
            defect = GraphQLError(str(error), original_error=error)
            response = _response({"errors": told([defect], request_id)}, 500, media)
        stamp(response, request.scope, request_id)
        return response

    async def _answer(
        self, request: Request, media: str, request_id: str, arrived: float
    ) -> Response:
        principal = await self._principal(request)
        parameters = await self._parameters(request)
        admission = self.admission
        # Not before: who is slow to send would keep a place.
        if admission and not await admission.enter():
            again = {"retry-after": places.RETRY_AFTER}
            raise BadRequest(503, places.MESSAGE, places.CODE, again, retryable=True)
        try:
            return await self._operate(request, parameters, principal, media, request_id, arrived)
        finally:
            if admission:
                admission.leave()

    async def _operate(
        self,
        request: Request,
        parameters: Parameters,
        principal: Principal,
        media: str,
        request_id: str,
        arrived: float,
    ) -> Response:
        address = address_of(request.scope)
        caller = caller_of(principal, address)

        def prepare(document: str) -> Operation:
            operation = self.executor.prepare(
                document, parameters.operation_name, parameters.variables
            )
            _check_way(operation, request.method, media)
            return operation

        try:
            document = await self.documents.find(parameters)
            preparing = partial(prepare, document)
            operation, charge = await admit(self.throttle, caller, address, preparing)
        except Refused as refused:
            errors = failed(self.executor, refused, request_id)
            if isinstance(refused, RateLimited):
                return _limited(refused, errors, media)
            if self.streams and media == EVENTS:
                return self.streams.refuse(refused, errors)
            return _response({"errors": errors, **extensions_of(refused)}, _unrun(media), media)
        explain = _wants_explanation(request) and (self.explains or principal.is_staff)
        admitted = Admitted(operation, principal, request_id, arrived, charge, explain)
        if self.streams and media == EVENTS:
            return _open(self.streams, admitted, caller)
        body, ran = await answer(self.executor, self.shop, admitted)
        return _response(body, 200 if ran else _unrun(media), media)

    async def _principal(self, request: Request) -> Principal:
        headers = request.headers
        try:
            return await self.authenticate(headers.get("authorization"), headers.get("x-tenant"))
        except TokenRefused as refused:
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            raise BadRequest(401, refused.message, refused.code, challenge) from None
        except TenantRefused as refused:
            raise BadRequest(400, refused.message, refused.code) from None
        except ServiceUnavailable as error:
            again = {"retry-after": "1"}
            raise BadRequest(503, error.message, error.code, again, retryable=True) from None

    async def _parameters(self, request: Request) -> Parameters:
        if request.method in {"GET", "HEAD"}:
            return _checked(_from_url(request))
        content_type = request.headers.get("content-type", "")
        if not _is_json(content_type):
            raise BadRequest(415, f"The body should be {JSON}, in UTF-8.")
        body = await self._body(request)
        return _checked(_parsed("The body", partial(read_json, body)))

    async def _body(self, request: Request) -> bytes:
        parts: list[bytes] = []
        left = self.largest_body
        more = True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise BadRequest(400, "The body broke off.")
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
            left -= len(parts[-1])
            if left < 0:
                raise BadRequest(413, f"The body may have {self.largest_body} bytes.")
        return b"".join(parts)

    def _count(self, *codes: str) -> None:
        if watcher := watcher_of(self.executor):
            watcher.refused(*codes)


def _wants_page(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return (
        request.method in {"GET", "HEAD"}
        and "text/html" in accept.lower()
        and not {"query", "documentId", "extensions"} & request.query_params.keys()
    )


def _wants_explanation(request: Request) -> bool:
    return request.headers.get("x-explain") == "1"


# Clients send few values of these headers, over and over.
@lru_cache(maxsize=256)
def _negotiate(accept: str | None, *, streaming: bool) -> str:
    """The media type to answer in; 406 where the client takes none."""
    if accept is None or not accept.strip():
        return JSON
    offered = {**_OFFERED, EVENTS: EVENTS} if streaming else _OFFERED
    best, found = 0.0, None
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = _quality(parameters)
        media = offered.get(name)
        if media and quality > best:
            best, found = quality, media
    if found is None:
        raise BadRequest(406, f"The answer is {GRAPHQL} or {JSON}.")
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    name, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
    charsets = [p.partition("=")[2].strip('" ') for p in parameters if p.startswith("charset")]
    return name == JSON and all(charset in {"utf-8", "utf8"} for charset in charsets)


def _parsed(part: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except NotReadable as unreadable:
        raise BadRequest(400, f"{part}: {unreadable}") from None


def _from_url(request: Request) -> dict[str, object]:
    pairs = request.query_params.multi_items()
    given: dict[str, object] = dict(_parsed("The URL", lambda: once(pairs)))
    for name in ("variables", "extensions"):
        if isinstance(text := given.get(name), str):
            given[name] = _parsed(name, partial(read_json, text))
    return given


def _check_way(operation: Operation, method: str, media: str) -> None:
    """Raises BadRequest for what cannot be asked in this way."""
    if operation.kind is OperationType.MUTATION and method != "POST":
        raise BadRequest(405, "GET is for queries: send a POST.", headers={"allow": "POST"})
    if operation.kind is OperationType.SUBSCRIPTION and media != EVENTS:
        raise BadRequest(400, f"A subscription needs a websocket, or Accept: {EVENTS}.")


def _checked(given: object) -> Parameters:
    if not isinstance(given, dict):
        raise BadRequest(400, "The body should be one JSON object with the document in query.")
    query, name = given.get("query"), given.get("operationName")
    document_id, extensions = given.get("documentId"), given.get("extensions")
    for part in ("operationName", "documentId"):
        if not isinstance(given.get(part), str | None):
            raise BadRequest(400, f"{part}: should be text.")
    for part in ("variables", "extensions"):
        if not isinstance(given.get(part), dict | None):
            raise BadRequest(400, f"{part}: should be an object.")
    named = document_id or "persistedQuery" in (extensions or ())
    if not isinstance(query, str | None) or not (query or named):
        raise BadRequest(400, "query: should be the document, as text.")
    if query and "\0" in query:  # which some take for its end
        raise BadRequest(400, "query: should have no null character (U+0000).")
    return Parameters(
        query, name or None, given.get("variables") or {}, document_id or None, extensions or {}
    )


def _open(streams: EventStreams, admitted: Admitted, caller: Caller) -> Response:
    try:
        return streams.open(admitted, caller)
    except NoSeat as full:
        if admitted.charge:
            admitted.charge.settle(Meter())
        status, code = (503, "SERVICE_UNAVAILABLE") if full.for_all else (429, "RATE_LIMITED")
        again = {"retry-after": "5"}
        raise BadRequest(status, f"{full.message}.", code, again, retryable=True) from None


def _limited(refused: RateLimited, errors: Sequence[dict[str, Any]], media: str) -> Response:
    again = {"retry-after": str(ceil(refused.retry_after))}
    body = {"errors": errors, **extensions_of(refused)}
    return _response(body, 429, JSON if media == EVENTS else media, again)


def _unrun(media: str) -> int:
    """The status of a well-formed request that did not run."""
    return 400 if media == GRAPHQL else 200


def _response(
    body: Mapping[str, Any], status: int, media: str, headers: Mapping[str, str] | None = None
) -> Response:
    return Answer(orjson.dumps(body), status, media, headers)
