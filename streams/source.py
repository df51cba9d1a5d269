"""What the DynamoDB Streams API gives: the shards of a stream, and the records of each in order.

Patient with what passes; limits are those of the API reference.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasources.client import CLIENT_ERRORS, StreamsClient, as_store_error
from streams.changes import Record
from streams.metrics import StreamMetrics
from streams.patience import Patience

SHARDS_A_PAGE = 100
# At most 1,000; as many are done again, and found done, after a crash.
RECORDS_A_PAGE = 200
TICK = 1.0  # seconds, between any two calls of DescribeStream
AGAIN = 1.0  # seconds, before another iterator is asked for in place of one that failed
ITERATOR_LASTS = 600.0  # seconds, of the 900 that it lives

log = logging.getLogger("cartograph.streams")


@dataclass(frozen=True, slots=True)
class Shard:
    id: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Iterator:
    """`made`: when, by the clock of the source."""

    token: str
    made: float


async def ask(
    patience: Patience,
    method: Callable[..., Awaitable[dict[str, Any]]],
    answers: tuple[type[Exception], ...],
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

    return await patience.insist(attempt, "Stream")


@dataclass
class Source:
    """The stream of an ARN. `clock` gives monotonic seconds; `lost` is called when records are
    gone. Raises what does not pass."""

    client: StreamsClient
    stream: str
    patience: Patience
    metrics: StreamMetrics
    clock: Callable[[], float]
    lost: Callable[[], Awaitable[None]]
    _listed_at: float | None = field(default=None, init=False)

    async def shards(self) -> tuple[list[Shard], bool]:
        """All that are listed, and whether there may be more later. Raises the client's
        ResourceNotFoundException for a stream that is gone."""
        shards: list[Shard] = []
        start: dict[str, Any] = {}
        while True:
            answer = await ask(
                self.patience,
                self._describe,
                (self.client.exceptions.ResourceNotFoundException,),
                StreamArn=self.stream,
                Limit=SHARDS_A_PAGE,
                **start,
            )
            page = answer["StreamDescription"]
            shards += [Shard(one["ShardId"], one.get("ParentShardId")) for one in page["Shards"]]
            last = page.get("LastEvaluatedShardId")
            if not last:
                return shards, page.get("StreamStatus") != "DISABLED"
            start = {"ExclusiveStartShardId": last}

    async def _describe(self, **parameters: Any) -> dict[str, Any]:
        """DescribeStream, not sooner than a tick after the last."""
        if self._listed_at is not None and (rest := self._listed_at + TICK - self.clock()) > 0:
            await self.patience.sleep(rest)
        self._listed_at = self.clock()
        return await self.client.describe_stream(**parameters)

    async def records(
        self, shard: str, at: str | None, iterator: Iterator | None
    ) -> tuple[Sequence[Record], Iterator | None]:
        """The records of an iterator that is behind `at`, and the next: None at the end."""
        errors = self.client.exceptions
        if iterator is not None and self.clock() - iterator.made > ITERATOR_LASTS:
            iterator = await self.iterator(shard, at)
        while iterator is not None:
            asked = self.clock()
            try:
                answer = await ask(
                    self.patience,
                    self.client.get_records,
                    (
                        errors.ExpiredIteratorException,
                        errors.TrimmedDataAccessException,
                        errors.ResourceNotFoundException,
                    ),
                    ShardIterator=iterator.token,
                    Limit=RECORDS_A_PAGE,
                )
            except errors.ResourceNotFoundException:
                await self._lose(shard, at)
                break
            except (errors.ExpiredIteratorException, errors.TrimmedDataAccessException) as error:
                if isinstance(error, errors.TrimmedDataAccessException):
                    await self._lose(shard, at)
                    at = None
                await self.patience.sleep(AGAIN)
                iterator = await self.iterator(shard, at)
            else:
                token = answer.get("NextShardIterator")
                return answer["Records"], Iterator(token, asked) if token else None
        return [], None

    async def iterator(self, shard: str, at: str | None) -> Iterator | None:
        """An iterator of what comes behind a position; None where the shard is gone."""
        errors, asked = self.client.exceptions, self.clock()
        start: dict[str, Any] = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": at}
            if at is not None
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        try:
            answer = await ask(
                self.patience,
                self.client.get_shard_iterator,
                (errors.TrimmedDataAccessException, errors.ResourceNotFoundException),
                StreamArn=self.stream,
                ShardId=shard,
                **start,
            )
        except errors.ResourceNotFoundException:
            await self._lose(shard, at)
            return None
        except errors.TrimmedDataAccessException:
            await self._lose(shard, at)
            await self.patience.sleep(AGAIN)
            return await self.iterator(shard, None)
        token = answer.get("ShardIterator")
        return Iterator(token, asked) if token else None

    async def _lose(self, shard: str, at: str | None) -> None:
        self.metrics.events_lost.inc()
        log.error(
            "events lost: shard %s no longer has what came behind %s; going on with what is there",
            shard,
            at or "its beginning",
        )
        await self.lost()
