"""The messages of graphql-transport-ws, as PROTOCOL.md of the graphql-ws project has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson

SUBPROTOCOL = "graphql-transport-ws"
ACKNOWLEDGED = '{"type":"connection_ack"}'
PING = '{"type":"ping"}'

_LONGEST_REASON = 123  # bytes, RFC 6455, section 5.5


class CloseCode(IntEnum):
    """Why a socket is closed."""

    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013  # clients of graphql-ws do, which they do not after a code of 44xx
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL = 4406
    TIMEOUT = 4408
    DUPLICATE_ID = 4409
    TOO_MANY_INITS = 4429
    INTERNAL = 4500


class Closing(Exception):
    """The socket is to be closed; the reason is for the client's developer, in ASCII."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason[:_LONGEST_REASON]


@dataclass(frozen=True, slots=True)
class Init:
    authorization: str | None = field(repr=False)
    tenant: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    payload: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Subscribe:
    id: str
    query: str | None  # None: what names it is there
    operation_name: str | None
    variables: Mapping[str, Any]
    document_id: str | None
    extensions: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Complete:
    id: str


Message = Init | Ping | Pong | Subscribe | Complete


def parse(text: str | None) -> Message:
    """The message of a client; None stands for a binary frame. Raises Closing for whatever the
    protocol does not have a client send."""
    if text is None:
        raise _invalid("text frames only")
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _invalid("not JSON") from None
    if not isinstance(given, dict):
        raise _invalid("not an object")
    match given.get("type"):
        case "subscribe":
            return _subscribe(_id(given), _object(given, "payload") or {})
        case "complete":
            return Complete(_id(given))
        case "ping":
            return Ping(_object(given, "payload"))
        case "pong":
            _object(given, "payload")
            return Pong()
        case "connection_init":
            payload = _object(given, "payload") or {}
            return Init(_text(payload, "authorization"), _text(payload, "tenant"))
    raise _invalid("unknown type")


def next_prefix(operation: str) -> str:
    """A `next` message up to its payload, after which it wants one brace more."""
    return f'{{"id":{_json(operation)},"type":"next","payload":'


def error(operation: str, errors: list[dict[str, Any]]) -> str:
    return f'{{"id":{_json(operation)},"type":"error","payload":{_json(errors)}}}'


def complete(operation: str) -> str:
    return f'{{"id":{_json(operation)},"type":"complete"}}'


def pong(ping: Ping) -> str:
    if ping.payload is None:
        return '{"type":"pong"}'
    return f'{{"type":"pong","payload":{_json(ping.payload)}}}'


def _subscribe(operation: str, payload: Mapping[str, Any]) -> Subscribe:
    query, document_id = _text(payload, "query"), _text(payload, "documentId") or None
    extensions = _object(payload, "extensions") or {}
    if query is None and document_id is None and "persistedQuery" not in extensions:
        raise _invalid("payload.query should be text")
    name = _text(payload, "operationName") or None
    variables = _object(payload, "variables") or {}
    return Subscribe(operation, query, name, variables, document_id, extensions)


def _id(given: Mapping[str, Any]) -> str:
    value = _text(given, "id")
    if not value:
        raise _invalid("id should be text")
    return value


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if not isinstance(value, str | None):
        raise _invalid(f"{name} should be text")
    return value


def _object(given: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = given.get(name)
    if not isinstance(value, dict | None):
        raise _invalid(f"{name} should be an object")
    return value


def _invalid(why: str) -> Closing:
    return Closing(CloseCode.INVALID_MESSAGE, f"Invalid message: {why}")


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
