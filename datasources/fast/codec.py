"""DynamoDB's JSON 1.0 protocol, as the dicts that a botocore client takes and gives.

Successful answers are decoded as they are; a binary attribute therefore stays base64 text, where
botocore gives bytes: the shop has none. Error answers, which are rare, go through botocore's own
parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson
from botocore.exceptions import HTTPClientError
from botocore.parsers import create_parser

from datasources.fast.transport import Answer

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

PROTOCOL = "json"


def encode(parameters: dict[str, Any]) -> bytes | None:
    """The body of a request; None for what JSON has no form for, such as bytes."""
    try:
        return orjson.dumps(parameters)
    except TypeError:
        return None


def decode(answer: Answer, model: OperationModel) -> dict[str, Any]:
    """What a client would give, or have in the error that it would raise."""
    if answer.status_code >= 300:
        return _decode_error(answer, model)
    try:
        parsed: dict[str, Any] = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise HTTPClientError(error=error) from error
    parsed["ResponseMetadata"] = {
        "RequestId": answer.headers.get("x-amzn-RequestId", ""),
        "HTTPStatusCode": answer.status_code,
        "RetryAttempts": 0,
    }
    return parsed


def _decode_error(answer: Answer, model: OperationModel) -> dict[str, Any]:
    response = {
        "status_code": answer.status_code,
        "headers": {name.lower(): value for name, value in answer.headers.items()},
        "body": answer.body,
    }
    parser = create_parser(PROTOCOL)
    parsed: dict[str, Any] = parser.parse(response, cast("Shape", model.output_shape))
    details = model.service_model.shape_for_error_code(parsed["Error"]["Code"])
    if details is not None:
        parsed.update(parser.parse(response, details))
    return parsed
