"""Who is asking, and on behalf of which tenant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request, or of one websocket for as long as it lasts.

    `user_id` is the raw ID that the token's `sub` holds, None for an anonymous caller.
    `expires_at` is the token's `exp` in epoch seconds, None where there is no token.
    """

    user_id: str | None
    tenant: str
    is_staff: bool
    expires_at: float | None

    @classmethod
    def anonymous(cls, tenant: str) -> Principal:
        """A caller without a token."""
        return cls(user_id=None, tenant=tenant, is_staff=False, expires_at=None)

    @property
    def is_anonymous(self) -> bool:
        return self.user_id is None
