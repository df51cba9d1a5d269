"""What is said to a caller who may not do what was asked, or is not known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from datasources.errors import CartographError


class Unauthenticated(CartographError):
    """The field needs a caller who is known, and this one is anonymous."""

    code = "UNAUTHENTICATED"


class Forbidden(CartographError):
    """The caller is known and may not."""

    code = "FORBIDDEN"


class TokenRefused(CartographError):
    """The credentials of a request are no good: HTTP 401, or close code 4403.

    The message is for the person and never holds any part of the token.
    """

    code = "UNAUTHENTICATED"


class TenantRefused(CartographError):
    """The tenant that a request names is not one it may name: HTTP 400, or close code 4403."""

    code = "BAD_USER_INPUT"


class UserErrorCode(StrEnum):
    """What the caller of a mutation can correct."""

    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    USERNAME_TAKEN = "USERNAME_TAKEN"
    SLUG_TAKEN = "SLUG_TAKEN"
    ALREADY_REVIEWED = "ALREADY_REVIEWED"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PRODUCT_UNAVAILABLE = "PRODUCT_UNAVAILABLE"
    PRICE_CHANGED = "PRICE_CHANGED"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    VERSION_CONFLICT = "VERSION_CONFLICT"


@dataclass(frozen=True, slots=True)
class UserError:
    """`field` is the path into the input, e.g. ("input", "items", "0", "quantity")."""

    code: UserErrorCode
    message: str
    field: tuple[str, ...] | None = None


class Rejected(Exception):
    """A mutation that changed nothing, and all that its caller can correct."""

    def __init__(self, *errors: UserError) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


def rejected(code: UserErrorCode, message: str, *path: str | int) -> Rejected:
    """A rejection for one reason; `path` is the path below `input`."""
    return Rejected(UserError(code, message, ("input", *map(str, path))))
