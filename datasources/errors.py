"""One base error, and one table from an AWS error code to the class it becomes.

A fault the caller can correct and a fault of the store share the base, so the layers above
need to know only `code`, `retryable` and the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class CartographError(Exception):
    """Something went wrong that has a name.

    `code` is for the program (`extensions.code` in an answer), the message for the person,
    `details` are further entries of `extensions`.
    """

    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ConfigurationError(CartographError):
    """A setting, a file or a table is not as it must be: one line, exit code 2."""


class BadUserInput(CartographError):
    """An argument that cannot be meant; `argument` names it."""

    code = "BAD_USER_INPUT"

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(f"{argument}: {message}", argument=argument)


class InvalidCursor(CartographError):
    """A cursor that this service did not make for this very list."""

    code = "INVALID_CURSOR"

    def __init__(self, argument: str) -> None:
        super().__init__(
            f"{argument}: not a cursor of this list; "
            "take one from the same field with the same arguments.",
            argument=argument,
        )


class StoreError(CartographError):
    """The store refused a call that should have been right: a defect, not a circumstance.

    What is `patient` is tried again until the deadline and not just a few times.
    """

    patient: ClassVar[bool] = False


class Throttled(StoreError):
    """The store asked for a slower pace, longer than the deadline allowed to wait."""

    code = "THROTTLED"
    retryable = True


class ServiceUnavailable(StoreError):
    """The store did not answer, or answered that it cannot now."""

    code = "SERVICE_UNAVAILABLE"
    retryable = True


class DeadlineExceeded(StoreError):
    """The time given to the operation ran out."""

    code = "DEADLINE_EXCEEDED"
    retryable = True


class ConditionFailed(StoreError):
    """The condition of a write did not hold: an answer, not a fault.

    `row` is what it failed on, empty where there was none or the store did not say.
    """

    def __init__(self, message: str, row: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.row = row or {}


class TransactionCancelled(StoreError):
    """A transaction changed nothing because conditions did not hold: an answer, not a fault.

    `rows` has, in the order of the actions, the row that each condition failed on: None where
    it held, an empty row where there was none.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any] | None]) -> None:
        super().__init__("The conditions of a transaction did not hold.")
        self.rows = rows

    def failed(self, position: int) -> bool:
        """Whether the condition of the action at this position did not hold."""
        return self.rows[position] is not None


class ItemTooLarge(StoreError):
    """A row would pass the size that the store allows; nothing was sent."""


class Conflict(ServiceUnavailable):
    """Other transactions held a row of this one until the deadline."""

    patient = True


class TransactionThrottled(Throttled):
    """A row of a transaction was written too often until the deadline."""

    patient = True


# "Error handling with DynamoDB" in the Developer Guide lists the codes and which to retry.
AWS_ERRORS: dict[str, type[StoreError]] = {
    "ConditionalCheckFailedException": ConditionFailed,
    "InternalServerError": ServiceUnavailable,
    "InternalFailure": ServiceUnavailable,
    "ServiceUnavailable": ServiceUnavailable,
    "LimitExceededException": Throttled,
    "ProvisionedThroughputExceededException": Throttled,
    "RequestLimitExceeded": Throttled,
    "ThrottlingException": Throttled,
    "TransactionInProgressException": Conflict,
}

_SENTENCES: dict[type[StoreError], str] = {
    Conflict: "Others are writing the same thing; try again in a moment.",
    ServiceUnavailable: "The store cannot answer now; try again in a moment.",
    Throttled: "The store asks for a slower pace; try again in a moment.",
}

# The codes of CancellationReasons after which a transaction is tried again.
CANCELLATIONS: dict[str, type[StoreError]] = {
    "TransactionConflict": Conflict,
    "ThrottlingError": TransactionThrottled,
    "ProvisionedThroughputExceeded": TransactionThrottled,
}


def from_aws(code: str, message: str, status: int) -> StoreError:
    """The error that an AWS error answer stands for; `status` is its HTTP status.

    What may reach a client is said in words of our own: the store's would tell of the store.
    """
    kind = AWS_ERRORS.get(code, ServiceUnavailable if status >= 500 else StoreError)
    return kind(_SENTENCES.get(kind, f"{code}: {message}"))


def from_cancellation(reasons: Sequence[tuple[str, Mapping[str, Any]]]) -> StoreError:
    """The error for a cancelled transaction; `reasons` are the code and the row of each action.

    A condition that failed is the answer, whatever else stood in the way beside it.
    """
    codes = [code for code, _ in reasons]
    if "ConditionalCheckFailed" in codes:
        return TransactionCancelled(
            [row if code == "ConditionalCheckFailed" else None for code, row in reasons]
        )
    for code in codes:
        if kind := CANCELLATIONS.get(code):
            return kind(_SENTENCES[Conflict])
    return StoreError(f"The transaction was cancelled: {', '.join(codes)}.")
