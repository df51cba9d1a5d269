"""Users: their rows, and the list of all with one status."""

from __future__ import annotations

from typing import Any

from datasources.items import Unique, User, UserStatus
from datasources.keys import GSI2, PK, SK, Key, Keys, timestamp
from datasources.listing import Listing


def row(keys: Keys, user: User) -> dict[str, Any]:
    """The profile's row with every index attribute."""
    pk, sk = keys.user(user.id)
    created = timestamp(user.created_at)
    return {
        PK: pk,
        SK: sk,
        **keys.user_indexes(user.id, user.status, created),
        **user.to_attributes(),
    }


def unique_row(key: Key, user_id: str) -> dict[str, Any]:
    """The row that holds an email address or a username for one user."""
    return {PK: key.pk, SK: key.sk, **Unique(user_id=user_id).to_attributes()}


def with_status(keys: Keys, field: str, status: UserStatus) -> Listing:
    """Newest first, merged over the write shards."""
    return Listing(binding=(keys.tenant, field, status), partitions=keys.users(status), index=GSI2)
