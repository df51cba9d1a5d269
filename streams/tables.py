"""The two tables, for work that nobody waits for as for an answer: each call gets its own time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datasources.table import Table
from streams.patience import Jitter

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

SECONDS_A_CALL = 10.0
SECONDS_A_LEASE_CALL = 3.0  # one that hangs should leave time for another before the lease is dead


@dataclass(frozen=True, slots=True)
class Tables:
    """`name` is the main table's; the system table stands beside it."""

    client: DynamoDBClient
    name: str
    jitter: Jitter = random.uniform

    @property
    def system_name(self) -> str:
        return f"{self.name}-system"

    def main(self) -> Table:
        return self._open(self.name)

    def system(self) -> Table:
        return self._open(self.system_name)

    def leases(self) -> Table:
        return self._open(self.system_name, SECONDS_A_LEASE_CALL)

    def _open(self, name: str, seconds: float = SECONDS_A_CALL) -> Table:
        deadline = asyncio.get_running_loop().time() + seconds
        return Table(self.client, name, deadline, jitter=self.jitter)
