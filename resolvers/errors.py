"""What is said to a caller who may not do what was asked, or is not known."""

from __future__ import annotations

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
