"""The processor: reads the table's stream and lets the reactions follow each change."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from datasources.client import CLIENT_ERRORS, StreamsClient, as_store_error
from datasources.errors import ConfigurationError, StoreError
from datasources.table import Table
from streams.changes import Change, Record, read_change
from streams.checkpoints import Checkpoints
from streams.patience import Jitter, Patience, Sleep
from streams.reactions import Reaction, TableReaction, product_counts, ratings
from streams.reactions.erasure import ErasureReaction
from streams.reader import Reader

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TRIES = 5
SECONDS_A_CALL = 10.0

log = logging.getLogger("cartograph.streams")


async def process(
    client: DynamoDBClient,
    streams: StreamsClient,
    table: str,
    *,
    now: Callable[[], datetime],
    resume: bool = True,
    also: Sequence[Reaction] = (),
    sleep: Sleep = asyncio.sleep,
    jitter: Jitter = random.uniform,
    new_token: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> None:
    """Follows the table of this name from where it was left (`resume`), until cancelled.

    `also` are reactions beside the shop's own, called after them. Raises ConfigurationError for
    a table without a stream, StoreError where the store refuses; it outlasts what passes.
    """
    clock = asyncio.get_running_loop().time
    system = f"{table}-system"

    def main_table() -> Table:
        return Table(client, table, clock() + SECONDS_A_CALL, jitter=jitter)

    def system_table() -> Table:
        return Table(client, system, clock() + SECONDS_A_CALL, jitter=jitter)

    own: list[Reaction] = [
        *(
            TableReaction(each.NAME, each.effects, main_table, system, now, new_token)
            for each in (ratings, product_counts)
        ),
        ErasureReaction(main_table, now),
    ]
    patience = Patience(sleep, jitter)
    stream = await patience.insist(lambda: _stream(client, table), "Table")
    reader = Reader(
        client=streams,
        stream=stream,
        checkpoints=Checkpoints(system_table, stream, now),
        deliver=Processor([*own, *also], patience).deliver,
        patience=patience,
        resume=resume,
    )
    await reader.run()


@asynccontextmanager
async def following(
    client: DynamoDBClient,
    streams: StreamsClient,
    table: str,
    *,
    now: Callable[[], datetime],
    resume: bool = True,
) -> AsyncIterator[asyncio.Task[None]]:
    """The processor beside the block, and no longer than it; its end is logged."""
    follower = asyncio.create_task(process(client, streams, table, now=now, resume=resume))
    follower.add_done_callback(_report_end)
    try:
        yield follower
    finally:
        follower.cancel()
        await asyncio.wait([follower])


def _report_end(follower: asyncio.Task[None]) -> None:
    if not follower.cancelled() and (error := follower.exception()):
        log.error("The processor has ended: ratings and counts stand still.", exc_info=error)


async def _stream(client: DynamoDBClient, table: str) -> str:
    """The ARN of the table's stream."""
    try:
        description = (await client.describe_table(TableName=table))["Table"]
    except CLIENT_ERRORS as error:
        raise as_store_error(error) from error
    if "LatestStreamArn" not in description:
        raise ConfigurationError(f"CARTOGRAPH_TABLE: table {table} should have a stream.")
    return description["LatestStreamArn"]


@dataclass(frozen=True, slots=True)
class Processor:
    """Each record in turn, each reaction in turn: what they write is in the order of the shard."""

    reactions: Sequence[Reaction]
    patience: Patience

    async def deliver(self, shard: str, records: Sequence[Record]) -> None:
        """Returns when the effects of all are there, or given up with a line in the log."""
        for record in records:
            try:
                change = read_change(record)
            except (StoreError, ValueError, TypeError, KeyError) as error:
                _passed(shard, record["dynamodb"]["SequenceNumber"], "reading", error)
                continue
            if change is not None:
                for reaction in self.reactions:
                    await self._react(reaction, change, shard)

    async def _react(self, reaction: Reaction, change: Change, shard: str) -> None:
        """Five tries, so that a record nobody can handle does not block its shard; a store that
        is away or throttles is no fault of the record and is waited for."""
        for attempt in range(1, TRIES + 1):
            try:
                return await self.patience.insist(lambda: reaction.react(change), reaction.name)
            except Exception as error:
                if attempt == TRIES:
                    _passed(shard, change.sequence_number, reaction.name, error)
                else:
                    await self.patience.pause(attempt)
        return None


def _passed(shard: str, sequence_number: str, what: str, error: Exception) -> None:
    # Not the error's text: it may quote a row, and rows are about people.
    log.error(
        "passed: shard %s, sequence number %s, %s failed: %s",
        shard,
        sequence_number,
        what,
        type(error).__name__,
    )
