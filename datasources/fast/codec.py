"""DynamoDB's JSON 1.0 protocol, as the dicts that a botocore client takes and gives.

Rows of successful answers are decoded straight into the form that whoever asks has for them;
without one they are left as JSON. The rest is decoded as it is. A binary attribute therefore stays
base64 text, where botocore gives bytes: the shop has none. Error answers, which are rare, go
through botocore's own parser.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import msgspec
import orjson
from botocore.exceptions import HTTPClientError
from botocore.parsers import create_parser
from msgspec import UNSET, Raw, Struct, UnsetType, defstruct
from msgspec.structs import astuple

from datasources.fast.connections import Answer

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

PROTOCOL = "json"
_MADE = "ApproximateCreationDateTime"  # of a record, in seconds since the epoch


class _Answer(Struct, gc=False):
    """What the operations answer with that are answered here, each some of it."""

    Items: list[Raw] | UnsetType = UNSET
    Responses: dict[str, list[Raw]] | UnsetType = UNSET
    Item: Any = UNSET
    Attributes: Any = UNSET
    Count: Any = UNSET
    ScannedCount: Any = UNSET
    LastEvaluatedKey: Any = UNSET
    UnprocessedKeys: Any = UNSET
    UnprocessedItems: Any = UNSET
    ItemCollectionMetrics: Any = UNSET
    ConsumedCapacity: Any = UNSET
    Records: list[dict[str, Any]] | UnsetType = UNSET
    NextShardIterator: Any = UNSET


_decode = msgspec.json.Decoder(_Answer).decode


@cache
def _decoder(form: type[Struct]) -> Callable[[bytes], Any]:
    """Of answers whose rows are of a form."""
    members: list[Any] = [
        ("Items", list[form] | UnsetType, UNSET),  # type: ignore[valid-type]
        ("Responses", dict[str, list[form]] | UnsetType, UNSET),  # type: ignore[valid-type]
    ]
    answer = defstruct("Answer", members, bases=(_Answer,), gc=False)
    # DynamoDB's numbers are text, so they are read as what they spell.
    return msgspec.json.Decoder(answer, strict=False).decode


def encode(parameters: dict[str, Any]) -> bytes | None:
    """The body of a request; None for what JSON has no form for, such as bytes."""
    try:
        return orjson.dumps(parameters)
    except TypeError:
        return None


def decode(
    answer: Answer, model: OperationModel, form: type[Struct] | None = None
) -> dict[str, Any]:
    """What a client would give, or have in the error that it would raise. The rows of Items and
    Responses are JSON or, where all of them are of the form, of that."""
    if answer.status_code >= 300:
        return _decode_error(answer, model)
    try:
        found = _read(answer.body, form)
    except msgspec.DecodeError as error:
        raise HTTPClientError(error=error) from error
    parsed: dict[str, Any] = {
        name: value
        for name, value in zip(_Answer.__struct_fields__, astuple(found), strict=True)
        if value is not UNSET
    }
    for record in parsed.get("Records", ()):
        body = record["dynamodb"]
        body[_MADE] = datetime.fromtimestamp(body[_MADE], UTC)
    parsed["ResponseMetadata"] = {
        "RequestId": answer.headers.get("x-amzn-requestid", ""),
        "HTTPStatusCode": answer.status_code,
        "RetryAttempts": 0,
    }
    return parsed


def _read(body: bytes, form: type[Struct] | None) -> _Answer:
    if form is not None:
        try:
            found: _Answer = _decoder(form)(body)
            return found
        except msgspec.ValidationError:
            pass
    return _decode(body)


def _decode_error(answer: Answer, model: OperationModel) -> dict[str, Any]:
    response = {
        "status_code": answer.status_code,
        "headers": {**answer.headers},
        "body": answer.body,
    }
    parser = create_parser(PROTOCOL)
    parsed: dict[str, Any] = parser.parse(response, cast("Shape", model.output_shape))
    details = model.service_model.shape_for_error_code(parsed["Error"]["Code"])
    if details is not None:
        parsed.update(parser.parse(response, details))
    return parsed
