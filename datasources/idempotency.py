"""Idempotency records: what a key came to, for a day.

A record lives by the condition on its own expiry; TTL only sweeps, up to days late.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from datasources.items import Idempotency
from datasources.keys import PK, SK, Key
from datasources.writes import Condition, Put

LIFETIME = timedelta(hours=24)


def fingerprint(canonical: str) -> str:
    """SHA-256, in hexadecimal, of a canonical input."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def record(key: Key, *, fingerprint: str, result: str, now: datetime) -> Put:
    """Claims the key; the condition fails while another record lives."""
    item = Idempotency(
        fingerprint=fingerprint, result=result, ttl=int((now + LIFETIME).timestamp())
    )
    return Put(
        {PK: key.pk, SK: key.sk, **item.to_attributes()},
        Condition(
            "attribute_not_exists(#pk) OR #ttl <= :now",
            {"#pk": PK, "#ttl": "ttl"},
            {":now": int(now.timestamp())},
        ),
    )


def living(record: Idempotency | None, now: datetime) -> Idempotency | None:
    """The record, unless it has outlived itself."""
    return record if record and record.ttl > int(now.timestamp()) else None
