"""What AWS refuses, in one line that says what to do."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)

from datasources.errors import CartographError, ConfigurationError
from datasources.operating.refusals import explained
from tests.support.clients import failed


def refusal(error: Exception) -> CartographError:
    with pytest.raises(CartographError) as refused, explained("No backup was made"):
        raise error
    assert "\n" not in refused.value.message
    assert refused.value.message.startswith("No backup was made: ")
    return refused.value


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "permission"),
        ("ExpiredTokenException", "sign in"),
        ("UnrecognizedClientException", "sign in"),
        ("PointInTimeRecoveryUnavailableException", "`cartograph table`"),
        ("TableNotFoundException", "CARTOGRAPH_TABLE"),
        ("BackupNotFoundException", "`cartograph backup list`"),
        ("NoSuchBucket", "name of the bucket"),
        ("ThrottlingException", "try again"),
        ("UnknownOperationException", "this store cannot do it"),
    ],
)
def test_what_is_refused_says_what_to_do(code: str, advice: str) -> None:
    assert advice in refusal(failed(code, "What AWS says.\nIn lines.")).message


def test_what_is_not_known_is_told_as_aws_says_it() -> None:
    error = refusal(failed("NewException", "Something new."))

    assert error.message == "No backup was made: NewException: Something new."
    assert not error.retryable


@pytest.mark.parametrize(
    "error",
    [
        failed("ThrottlingException"),
        failed("Throttling"),
        failed("Unknown", status=503),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1:9"),
        ConnectionResetError("gone"),
        TimeoutError(),
    ],
)
def test_what_may_go_well_in_a_moment_is_known_for_it(error: Exception) -> None:
    assert refusal(error).retryable


@pytest.mark.parametrize("error", [NoCredentialsError(), ProfileNotFound(profile="x")])
def test_who_is_not_signed_in_is_told_to(error: Exception) -> None:
    found = refusal(error)

    assert isinstance(found, ConfigurationError)
    assert "sign in to AWS" in found.message


def test_a_long_text_is_cut() -> None:
    assert len(refusal(failed("Long", "word " * 1_000)).message) < 600


def test_what_is_no_refusal_goes_by() -> None:
    with pytest.raises(ZeroDivisionError), explained("Nothing"):
        raise ZeroDivisionError
