"""Follows a table's stream: every shard, parents before their children, records in order.

At least once: what was handed over before the last checkpoint comes again after a crash. Limits
are those of the DynamoDB Streams API reference.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from datasources.client import CLIENT_ERRORS, StreamsClient, as_store_error
from streams.changes import Record
from streams.checkpoints import Checkpoints, Position
from streams.patience import Patience

SHARDS_A_PAGE = 100
# At most 1,000; as many are done again, and found done, after a crash.
RECORDS_A_PAGE = 200
IDLE = 1.0  # seconds
TICK = 1.0  # seconds, between any two calls of DescribeStream
TICKS_BETWEEN_LOOKS = 15

Deliver = Callable[[str, Sequence[Record]], Awaitable[None]]
"""Takes a shard's ID and its next records, and returns when their effects are there."""

log = logging.getLogger("cartograph.streams")


@dataclass(frozen=True, slots=True)
class Shard:
    id: str
    parent: str | None


@dataclass
class Reader:
    """`stream` is an ARN. What `deliver` or the store's refusal raises ends the reader.

    Without `resume` it begins with what the stream has, whatever was read of an earlier one:
    for a store whose streams do not outlive it.
    """

    client: StreamsClient
    stream: str
    checkpoints: Checkpoints
    deliver: Deliver
    patience: Patience
    resume: bool = True
    _positions: dict[str, Position] = field(default_factory=dict, init=False)
    _followed: set[str] = field(default_factory=set, init=False)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        if self.resume:
            self._positions = await self.patience.insist(self.checkpoints.load, "Checkpoints")
        try:
            async with asyncio.TaskGroup() as followers:
                shards: list[Shard] = []
                for tick in count():
                    if tick % TICKS_BETWEEN_LOOKS == 0 or self._children_are_due(shards):
                        shards = await self._describe()
                    for shard in self._ready(shards):
                        self._followed.add(shard.id)
                        followers.create_task(self._follow(shard.id))
                    await self.patience.sleep(TICK)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    # Shards.

    async def _describe(self) -> list[Shard]:
        """All shards that are listed."""
        shards: list[Shard] = []
        start: dict[str, Any] = {}
        while True:
            answer = await self._call(
                self.client.describe_stream, StreamArn=self.stream, Limit=SHARDS_A_PAGE, **start
            )
            page = answer["StreamDescription"]
            shards += [Shard(one["ShardId"], one.get("ParentShardId")) for one in page["Shards"]]
            last = page.get("LastEvaluatedShardId")
            if not last:
                return shards
            start = {"ExclusiveStartShardId": last}
            await self.patience.sleep(TICK)

    def _ready(self, shards: Iterable[Shard]) -> list[Shard]:
        """Not yet followed, and their parent is at its end, or so old that it is gone."""
        shards = list(shards)
        open_ = {shard.id for shard in shards if not self._has_ended(shard.id)}
        return [
            shard
            for shard in shards
            if shard.id in open_ - self._followed and shard.parent not in open_
        ]

    def _children_are_due(self, shards: Sequence[Shard]) -> bool:
        """Whether a shard has ended whose children are not listed yet: the list lags."""
        parents = {shard.parent for shard in shards}
        return any(self._has_ended(shard.id) and shard.id not in parents for shard in shards)

    def _has_ended(self, shard_id: str) -> bool:
        position = self._positions.get(shard_id)
        return position is not None and position.ended

    # Records.

    async def _follow(self, shard_id: str) -> None:
        """Delivers a shard's records from its checkpoint, else its beginning, to its end."""
        at = self._positions[shard_id].sequence_number if shard_id in self._positions else None
        errors = self.client.exceptions
        iterator = await self._iterator(shard_id, at)
        while iterator is not None:
            try:
                answer = await self._call(
                    self.client.get_records,
                    (errors.ExpiredIteratorException, errors.TrimmedDataAccessException),
                    ShardIterator=iterator,
                    Limit=RECORDS_A_PAGE,
                )
            except errors.ExpiredIteratorException:
                await self.patience.sleep(IDLE)
                iterator = await self._iterator(shard_id, at)
                continue
            except errors.TrimmedDataAccessException:
                _lost(shard_id, at)
                await self.patience.sleep(IDLE)
                iterator = await self._iterator(shard_id, None)
                continue
            iterator = answer.get("NextShardIterator")
            if records := answer["Records"]:
                await self.deliver(shard_id, records)
                at = records[-1]["dynamodb"]["SequenceNumber"]
                await self._save(shard_id, Position(at))
            elif iterator is not None:
                await self.patience.sleep(IDLE)
        await self._save(shard_id, Position(at, ended=True))

    async def _iterator(self, shard_id: str, at: str | None) -> str | None:
        """An iterator of what comes behind a position; None where the shard is gone."""
        errors = self.client.exceptions
        start: dict[str, Any] = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": at}
            if at is not None
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        try:
            answer = await self._call(
                self.client.get_shard_iterator,
                (errors.TrimmedDataAccessException, errors.ResourceNotFoundException),
                StreamArn=self.stream,
                ShardId=shard_id,
                **start,
            )
        except errors.ResourceNotFoundException:
            _lost(shard_id, at)
            return None
        except errors.TrimmedDataAccessException:
            _lost(shard_id, at)
            await self.patience.sleep(IDLE)
            return await self._iterator(shard_id, None)
        found: str | None = answer.get("ShardIterator")
        return found

    async def _save(self, shard_id: str, position: Position) -> None:
        await self.patience.insist(lambda: self.checkpoints.save(shard_id, position), "Checkpoint")
        self._positions[shard_id] = position

    async def _call(
        self,
        method: Callable[..., Awaitable[dict[str, Any]]],
        answers: tuple[type[Exception], ...] = (),
        **parameters: Any,
    ) -> dict[str, Any]:
        """What the API answers, tried until it does; `answers` are errors that are one."""

        async def attempt() -> dict[str, Any]:
            try:
                return await method(**parameters)
            except answers:
                raise
            except CLIENT_ERRORS as error:
                raise as_store_error(error) from error

        return await self.patience.insist(attempt, "Stream")


def _lost(shard_id: str, at: str | None) -> None:
    log.error(
        "events lost: shard %s no longer has what came behind %s; going on with what is there",
        shard_id,
        at or "its beginning",
    )
