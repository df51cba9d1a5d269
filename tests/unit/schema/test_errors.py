"""How errors are told to the client."""

from __future__ import annotations

import logging

import pytest
from graphql import GraphQLError

from datasources.errors import (
    BadUserInput,
    CartographError,
    ConditionFailed,
    ConfigurationError,
    DeadlineExceeded,
    InvalidCursor,
    ServiceUnavailable,
    StoreError,
    Throttled,
)
from resolvers.errors import Forbidden, TenantRefused, TokenRefused, Unauthenticated
from schema.errors import of_request, refusal, told


def located(cause: Exception) -> GraphQLError:
    """An error as a field's failure reaches us, with the cause behind two others."""
    inner = GraphQLError(str(cause), original_error=cause)
    return GraphQLError(inner.message, path=["viewer", 0, "email"], original_error=inner)


@pytest.mark.parametrize(
    ("cause", "extensions"),
    [
        (BadUserInput("first", "too many."), {"code": "BAD_USER_INPUT", "argument": "first"}),
        (InvalidCursor("after"), {"code": "INVALID_CURSOR", "argument": "after"}),
        (Unauthenticated("Sign in."), {"code": "UNAUTHENTICATED"}),
        (Forbidden("No."), {"code": "FORBIDDEN"}),
        (TokenRefused("No."), {"code": "UNAUTHENTICATED"}),
        (TenantRefused("No."), {"code": "BAD_USER_INPUT"}),
        (Throttled("Slower."), {"code": "THROTTLED", "retryable": True}),
        (ServiceUnavailable("Later."), {"code": "SERVICE_UNAVAILABLE", "retryable": True}),
        (DeadlineExceeded("Late."), {"code": "DEADLINE_EXCEEDED", "retryable": True}),
    ],
    ids=lambda part: type(part).__name__,
)
def test_an_error_with_a_name_is_told(
    cause: CartographError, extensions: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    assert told([located(cause)], "r-1") == [
        {
            "message": cause.message,
            "path": ["viewer", 0, "email"],
            "extensions": extensions,
        }
    ]
    assert caplog.records == []


@pytest.mark.parametrize(
    "cause",
    [
        ValueError("swordfish"),
        StoreError("ValidationException: swordfish"),
        ConditionFailed("swordfish"),
        ConfigurationError("swordfish"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_a_defect_is_told_as_a_request_id_and_logged(
    cause: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    (shown,) = told([located(cause)], "r-1")

    assert shown["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "r-1"}
    assert "swordfish" not in str(shown)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "r-1" in record.getMessage()
    assert record.exc_info
    assert record.exc_info[1] is cause


def test_an_error_of_the_library_without_a_code_is_a_defect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (shown,) = told([GraphQLError("Abstract type 'Node' must resolve.", path=["node"])], "r-1")

    assert shown["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "Abstract" not in shown["message"]
    assert len(caplog.records) == 1


def test_a_defect_cannot_name_a_code_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    class Foreign(Exception):
        extensions = {"code": "FORBIDDEN", "password": "swordfish"}  # noqa: RUF012 as libraries do

    (shown,) = told([located(Foreign("swordfish"))], "r-1")

    assert shown["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "r-1"}
    assert len(caplog.records) == 1


def test_a_refusal_carries_its_code_and_what_belongs_to_it() -> None:
    (shown,) = told([refusal("QUERY_TOO_COMPLEX", "Too much.", cost=7, limit=5)], "r-1")

    assert shown == {
        "message": "Too much.",
        "extensions": {"code": "QUERY_TOO_COMPLEX", "cost": 7, "limit": 5},
    }


def test_an_error_of_a_request_keeps_the_code_it_has() -> None:
    named = of_request(refusal("INTROSPECTION_DISABLED", "No."), "GRAPHQL_VALIDATION_FAILED")
    nameless = of_request(GraphQLError("No."), "GRAPHQL_VALIDATION_FAILED")

    codes = [error["extensions"]["code"] for error in told([named, nameless], "r-1")]

    assert codes == ["INTROSPECTION_DISABLED", "GRAPHQL_VALIDATION_FAILED"]


def test_an_error_of_a_request_does_not_tell_what_python_said() -> None:
    error = GraphQLError("use sys.set_int_max_str_digits()", original_error=ValueError())

    (shown,) = told([of_request(error, "BAD_USER_INPUT")], "r-1")

    assert shown["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "sys" not in shown["message"]
