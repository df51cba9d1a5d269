"""Users: their rows, the list of all with one status, and how accounts are written."""

from __future__ import annotations

from typing import Any

from datasources.items import Unique, User, UserStatus
from datasources.keys import GSI2, PK, SK, Key, Keys, timestamp
from datasources.listing import Listing
from datasources.writes import ABSENT, Action, Condition, Delete, Put, same_version


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
    binding = (keys.tenant, field, status)
    return Listing(binding=binding, kind=User, partitions=keys.users(status), index=GSI2)


def create(keys: Keys, user: User) -> list[Action]:
    """Puts the profile and what is unique about it: none of it may be there."""
    unique = [Put(unique_row(key, user.id), ABSENT) for key in unique_keys(keys, user)]
    return [Put(row(keys, user), ABSENT), *unique]


def replace(keys: Keys, before: User, after: User) -> list[Action]:
    """Puts the profile in place of the version read; what was unique about the old one goes,
    what is unique about the new one comes, in the same transaction."""
    old, new = unique_keys(keys, before), unique_keys(keys, after)
    return [
        Put(row(keys, after), same_version(before.version)),
        *(Delete(key, _held_by(before.id)) for key in old if key not in new),
        *(Put(unique_row(key, after.id), ABSENT) for key in new if key not in old),
    ]


def unique_keys(keys: Keys, user: User) -> list[Key]:
    """The rows that keep an account's email and username for it; an erased one has none."""
    if user.status is UserStatus.DELETED:
        return []
    return [keys.username(user.username), *([keys.email(user.email)] if user.email else [])]


def _held_by(user_id: str) -> Condition:
    return Condition("#userId = :userId", {"#userId": "userId"}, {":userId": user_id})
