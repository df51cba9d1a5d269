"""Who is asking, and on behalf of which tenant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


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
    @lru_cache(maxsize=64)
    def anonymous(cls, tenant: str) -> Principal:
        """A caller without a token."""
        return cls(user_id=None, tenant=tenant, is_staff=False, expires_at=None)

    @property
    def is_anonymous(self) -> bool:
        return self.user_id is None


class ObservedPrincipal(Principal):
    """The same caller, and whether anybody has asked who it is: what came of it without that is
    the same for all callers of the tenant who are staff, or all who are not."""

    __slots__ = ("identity_used",)
    identity_used: bool

    def __init__(self, principal: Principal) -> None:
        super().__init__(
            principal.user_id, principal.tenant, principal.is_staff, principal.expires_at
        )
        object.__setattr__(self, "identity_used", False)

    def __getattribute__(self, name: str) -> object:
        if name == "user_id":
            object.__setattr__(self, "identity_used", True)
        return super().__getattribute__(name)
