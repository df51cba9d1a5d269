"""How far each shard has been followed, kept in the system table.

A row is one shard's. It is written by whoever follows the shard, which is one process: there is
the place for its lease, and for a condition on it, should there be several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from datasources.keys import PK, SK, TTL, checkpoint, checkpoints
from datasources.table import Query, Table

_PAGE = 1_000
# Beyond the day that a shard stays listed after its end, with time to spare.
_ENDED_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Position:
    """The last record of a shard whose effects are there, None before the first.

    `ended`: the shard has been followed to its end.
    """

    sequence_number: str | None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Of one stream, named by its ARN. `table` gives the system table with a fresh deadline."""

    table: Callable[[], Table]
    stream: str
    now: Callable[[], datetime]

    async def load(self) -> dict[str, Position]:
        """The positions of all shards that have one, by shard ID."""
        pk, whole = checkpoints(self.stream)
        found: dict[str, Position] = {}
        start = None
        while True:
            page = await self.table().query(
                Query(pk, whole), limit=_PAGE, start=start, consistent=True
            )
            for row in page.rows:
                found[row["shard"]] = Position(row.get("sequenceNumber"), row.get("ended", False))
            if page.start is None:
                return found
            start = page.start

    async def save(self, shard: str, position: Position) -> None:
        """To be called once the effects are there, or a crash between loses them."""
        pk, sk = checkpoint(self.stream, shard)
        row: dict[str, Any] = {PK: pk, SK: sk, "shard": shard}
        if position.sequence_number is not None:
            row["sequenceNumber"] = position.sequence_number
        if position.ended:
            row |= {"ended": True, TTL: int((self.now() + _ENDED_FOR).timestamp())}
        await self.table().batch_write([row])
