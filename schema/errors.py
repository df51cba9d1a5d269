"""How errors are told: a code for the program, a sentence for the person.

What is nobody's fault but the service's is logged with the request's ID and told as that alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError, ValueNode

from datasources.errors import CartographError

log = logging.getLogger(__name__)

INTERNAL = "INTERNAL_SERVER_ERROR"


def refusal(code: str, message: str, **extensions: object) -> GraphQLError:
    """An error of a request that did not run."""
    return GraphQLError(message, extensions={"code": code, **extensions})


def of_request(error: GraphQLError, code: str) -> GraphQLError:
    """An error of parsing, validating or coercing, with its code where it has none of its own."""
    extensions = {"code": code, **(error.extensions or {})}
    # What Python says of a value, such as a number of 5,000 digits, is not for the client.
    message = error.message if _cause(error) is None else "A value here is none of its type."
    return GraphQLError(message, error.nodes, error.source, error.positions, extensions=extensions)


def told(errors: Sequence[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Errors as they go to the client."""
    return [_told(error, request_id) for error in errors]


def _told(error: GraphQLError, request_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"message": error.message}
    if error.locations:
        shown["locations"] = [location.formatted for location in error.locations]
    if error.path:
        shown["path"] = error.path
    cause = _cause(error)
    if isinstance(cause, CartographError) and cause.code != INTERNAL:
        shown["message"] = cause.message
        shown["extensions"] = {"code": cause.code, **cause.details}
        if cause.retryable:
            shown["extensions"]["retryable"] = True
    elif cause is None and error.extensions and "code" in error.extensions:
        shown["extensions"] = error.extensions
    elif cause is None and error.nodes and isinstance(error.nodes[0], ValueNode):
        # A null in a variable for an argument that has a default: seen as the field runs.
        shown["extensions"] = {"code": "BAD_USER_INPUT"}
    else:
        # By its name in the schema: what stands in the path may be a client's alias.
        field = getattr(error.nodes[0], "name", None) if error.nodes else None
        more = {"request_id": request_id, "field": field.value if field else None}
        log.error("request %s failed", request_id, extra=more, exc_info=cause or error)
        shown["message"] = "Something went wrong here; the request's ID finds it in the log."
        shown["extensions"] = {"code": INTERNAL, "requestId": request_id}
    return shown


def _cause(error: GraphQLError) -> Exception | None:
    cause: Exception | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause
