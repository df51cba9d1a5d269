"""What AWS refused somebody at the command line, in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from datasources.client import CLIENT_ERRORS
from datasources.errors import AWS_ERRORS, CartographError, ConfigurationError, ServiceUnavailable
from datasources.operating.provision import NO_SUCH_CALL

_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_LONGEST = 500  # characters of what AWS says

_SIGN_IN = "sign in to AWS (`aws sso login`, AWS_PROFILE or the like)"
_PERMISSION = "ask who administers the account for this permission"
_REACH = "check CARTOGRAPH_STORE, CARTOGRAPH_REGION and the network"
_AGAIN = "try again in a few minutes"
_RECOVERY = "`cartograph table` switches point-in-time recovery on"
_WINDOW = "`cartograph backup list` says which times can be had"
_WHICH_TABLE = "check CARTOGRAPH_TABLE and CARTOGRAPH_REGION"

# By the code of an error answer; "Common errors" and the errors of each call in the API references.
_WHAT_TO_DO = {
    "AccessDenied": _PERMISSION,
    "AccessDeniedException": _PERMISSION,
    "S3AccessDenied": _PERMISSION,
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "InvalidAccessKeyId": _SIGN_IN,
    "UnrecognizedClientException": _SIGN_IN,
    "SignatureDoesNotMatch": "check the credentials and the clock of this machine",
    "InvalidSignatureException": "check the credentials and the clock of this machine",
    "TableNotFoundException": _WHICH_TABLE,
    "ResourceNotFoundException": _WHICH_TABLE,
    "TableAlreadyExistsException": "name a table that is not there yet",
    "TableInUseException": _AGAIN,
    "BackupInUseException": _AGAIN,
    "BackupNotFoundException": "`cartograph backup list` shows those that are there",
    "ContinuousBackupsUnavailableException": _RECOVERY,
    "PointInTimeRecoveryUnavailableException": _RECOVERY,
    "InvalidRestoreTimeException": _WINDOW,
    "InvalidExportTimeException": _WINDOW,
    "LimitExceededException": "wait until others of its kind have ended",
    "NoSuchBucket": "check the name of the bucket",
    "NoSuchKey": "check that the export has ended and that this is its folder",
    "404": "check the names of the bucket and of the folder",
    "403": _PERMISSION,
    "AlreadyExistsException": _AGAIN,
    "ThrottlingException": _AGAIN,
    "Throttling": _AGAIN,
}


@contextmanager
def explained(undone: str) -> Iterator[None]:
    """Turns what the AWS SDK raises into one line; `undone` is what has not happened then, as
    in "No backup was made".

    ConfigurationError where nobody is signed in, an error that is `retryable` where the same
    may go well in a moment, CartographError otherwise.
    """
    try:
        yield
    except ClientError as error:
        raise _refusal(undone, error) from None
    except _CREDENTIALS as error:
        raise ConfigurationError(f"{undone}: {_flat(str(error))}; {_SIGN_IN}.") from None
    except CLIENT_ERRORS as error:
        said = _flat(str(error)) or type(error).__name__
        raise ServiceUnavailable(f"{undone}: {said}; {_REACH}.") from None


def _refusal(undone: str, error: ClientError) -> CartographError:
    code = error.response["Error"].get("Code", "Unknown")
    said = _flat(error.response["Error"].get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in NO_SUCH_CALL:
        return CartographError(f"{undone}: this store cannot do it ({code}).")
    kind = AWS_ERRORS.get(code, ServiceUnavailable if status >= 500 else CartographError)
    if "Throttl" in code:
        kind = ServiceUnavailable
    told = f"{code}: {said}" if said else code
    advice = _WHAT_TO_DO.get(code) or (_AGAIN if kind.retryable else None)
    return kind(f"{undone}: {told}; {advice}." if advice else f"{undone}: {told}.")


def _flat(text: str) -> str:
    return shorten(text, _LONGEST, placeholder=" …").rstrip(".")
