"""The processor: what is done with the records of a shard."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from datasources.errors import StoreError
from datasources.keys import PK
from datasources.table import gather
from streams.changes import Change, Record, read_change
from streams.dead_letters import READING, TRIES, DeadLetter, DeadLetters
from streams.journal import JournalWriter
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.reactions import Reaction

# Partitions whose records are reacted to side by side.
ABREAST = 16


@dataclass(frozen=True, slots=True)
class Processor:
    """Of one stream, named by its ARN: changes go into the journal, and each reaction has its try.

    Records of one partition are taken in their order, those of others meanwhile.
    """

    stream: str
    journal: JournalWriter
    reactions: Sequence[Reaction]
    letters: DeadLetters
    patience: Patience
    metrics: StreamMetrics
    now: Callable[[], datetime]

    async def deliver(self, shard: str, records: Sequence[Record]) -> None:
        """Returns when the effects of all are there, or given up as dead letters."""
        with self.metrics.in_hand(len(records)):
            await self._deliver(shard, records)

    async def _deliver(self, shard: str, records: Sequence[Record]) -> None:
        read = [(record, await self._read(shard, record)) for record in records]
        changes = [(record, change) for record, change in read if change is not None]
        for _, change in changes:
            self.metrics.changes.labels(change.entity.__name__).inc()
        # Before the reactions: whoever follows the changes should not wait for a mail.
        shown = [change for _, change in changes if change.is_seen]
        await self.patience.insist(lambda: self.journal.append(shown), "Journal")
        abreast = asyncio.Semaphore(ABREAST)
        partitions = _by_partition(changes)
        if partitions:
            await gather(*(self._follow(shard, each, abreast) for each in partitions))

    async def _follow(
        self, shard: str, changes: Iterable[tuple[Record, Change]], abreast: asyncio.Semaphore
    ) -> None:
        async with abreast:
            for record, change in changes:
                await gather(*(self._react(one, change, shard, record) for one in self.reactions))

    async def _read(self, shard: str, record: Record) -> Change | None:
        try:
            return read_change(record)
        except (StoreError, ValueError, TypeError, KeyError) as error:
            await self._give_up(shard, record, READING, error, attempts=1)
            return None

    async def _react(self, reaction: Reaction, change: Change, shard: str, record: Record) -> None:
        """Five tries, so that a record nobody can handle does not block its shard; a store that
        is away or throttles is no fault of the record and is waited for."""
        react = partial(self.patience.insist, partial(reaction.react, change), reaction.name)
        if error := await self.patience.persist(react, TRIES):
            await self._give_up(shard, record, reaction.name, error, attempts=TRIES)

    async def _give_up(
        self, shard: str, record: Record, reaction: str, error: Exception, *, attempts: int
    ) -> None:
        letter = DeadLetter(
            stream=self.stream,
            shard=shard,
            sequence_number=record["dynamodb"]["SequenceNumber"],
            event_id=record["eventID"],
            reaction=reaction,
            error=type(error).__name__,
            attempts=attempts,
            at=self.now(),
        )
        await self.patience.insist(lambda: self.letters.put(letter), "Dead letters")
        self.metrics.dead_letters.labels(reaction).inc()


def _by_partition(
    changes: Iterable[tuple[Record, Change]],
) -> list[list[tuple[Record, Change]]]:
    """By partition key: an item's changes stay in order, and so do writes to one product."""
    partitions: dict[str, list[tuple[Record, Change]]] = defaultdict(list)
    for record, change in changes:
        partitions[record["dynamodb"]["Keys"][PK]["S"]].append((record, change))
    return list(partitions.values())
