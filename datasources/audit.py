"""Audit entries: what was done to somebody or something, by whom and why; never the data."""

from __future__ import annotations

from datasources.items import Audit
from datasources.keys import PK, SK, Keys
from datasources.writes import Put


def entry(keys: Keys, audit: Audit) -> Put:
    pk, sk = keys.audit(audit.subject, audit.at, audit.action)
    return Put({PK: pk, SK: sk, **audit.to_attributes()})
