"""Takes dead letters up again: finds each one's record in the stream and reacts to it again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from datasources.client import StreamsClient
from datasources.errors import StoreError
from streams.changes import Record, read_change
from streams.dead_letters import READING, DeadLetter, Message, QueueDeadLetters
from streams.patience import Patience
from streams.reactions import Reaction
from streams.source import SHARDS_A_PAGE, ask

Report = Callable[[str], None]

_EMPTY_PAGES = 5  # GetRecords may give an empty page before the record that was asked for
_RECORDS_KEPT = 100
_PAUSE = 1.0  # seconds, between two calls of DescribeStream

log = logging.getLogger("cartograph.streams")


class Outcome(Enum):
    """What became of a letter. The first and third leave the queue, the others stay."""

    REDRIVEN = "redriven"
    FAILED = "failed"
    GONE = "gone"
    UNREADABLE = "unreadable"


@dataclass(slots=True)
class Summary:
    """Letters by what became of them.

    `gone`: the stream no longer has the record, so nothing can be done any more. `unreadable`:
    no letter, one about another table, or of a reaction that is not known here.
    """

    redriven: int = 0
    failed: int = 0
    gone: int = 0
    unreadable: int = 0

    def count(self, outcome: Outcome) -> None:
        setattr(self, outcome.value, getattr(self, outcome.value) + 1)

    def __str__(self) -> str:
        return (
            f"{self.redriven} done, {self.failed} failed again, "
            f"{self.gone} gone from the stream, {self.unreadable} not to be judged"
        )


@dataclass
class Redrive:
    """One run over the queue. `stream` is the ARN of the table's stream as it is now; letters
    about earlier streams of the same table are taken up as well."""

    client: StreamsClient
    queue: QueueDeadLetters
    stream: str
    reactions: Sequence[Reaction]
    patience: Patience
    report: Report
    _records: dict[tuple[str, str | None, str], Record | None] = field(
        default_factory=dict, init=False
    )
    _shards: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict, init=False)

    async def run(self) -> Summary:
        """Takes each message at most once, and gives back what stays when it is through.

        Outlasts what passes; raises StoreError where the store or the queue refuses.
        """
        summary, seen = Summary(), set[str]()
        staying: dict[str, Message] = {}
        while messages := await self.patience.insist(self.queue.take, "Queue"):
            for message in messages:
                if message.id in seen:
                    # Hidden for less time than the run takes; its old receipt is of no use now.
                    if message.id in staying:
                        staying[message.id] = message
                    continue
                seen.add(message.id)
                outcome = await self._take_up(message)
                summary.count(outcome)
                if outcome in {Outcome.REDRIVEN, Outcome.GONE}:
                    await self._remove(message)
                else:
                    staying[message.id] = message
        for message in staying.values():
            await self._give_back(message)
        return summary

    async def _take_up(self, message: Message) -> Outcome:
        letter = message.letter
        if letter is None:
            self.report(f"unreadable: message {message.id} is no dead letter")
            return Outcome.UNREADABLE
        if _table(letter.stream) != _table(self.stream):
            self.report(f"unreadable: {letter.place}, of another table's stream")
            return Outcome.UNREADABLE
        reactions = [r for r in self.reactions if letter.reaction in {r.name, READING}]
        if not reactions:
            self.report(f"unreadable: {letter.place}, no reaction is named {letter.reaction}")
            return Outcome.UNREADABLE
        try:
            record = await self._record(letter)
            if record is None:
                self.report(f"gone: {letter.place}, for {letter.reaction}")
                return Outcome.GONE
            await self._react(record, reactions)
        except Exception as error:  # not its text, which may quote a row
            self.report(f"failed: {letter.place}, {letter.reaction}: {type(error).__name__}")
            return Outcome.FAILED
        return Outcome.REDRIVEN

    async def _react(self, record: Record, reactions: Sequence[Reaction]) -> None:
        change = read_change(record)
        if change is None:
            return
        for reaction in reactions:
            await self.patience.insist(partial(reaction.react, change), reaction.name)

    async def _remove(self, message: Message) -> None:
        await self.patience.insist(partial(self.queue.remove, message), "Queue")

    async def _give_back(self, message: Message) -> None:
        """Where that is refused, it has come back by itself."""
        try:
            await self.patience.insist(partial(self.queue.give_back, message), "Queue")
        except StoreError as error:
            log.debug("not given back: %s", error.message)

    # Records.

    async def _record(self, letter: DeadLetter) -> Record | None:
        """The letter's record, None where it is gone; letters about one record read it once."""
        place = (letter.stream, letter.shard, letter.sequence_number)
        if place not in self._records:
            if len(self._records) >= _RECORDS_KEPT:
                self._records.clear()
            self._records[place] = await self._find(letter)
        return self._records[place]

    async def _find(self, letter: DeadLetter) -> Record | None:
        shards = [letter.shard] if letter.shard else await self._candidates(letter)
        for shard in shards:
            record = await self._read(letter, shard)
            if record is not None:
                return record
        return None

    async def _read(self, letter: DeadLetter, shard: str) -> Record | None:
        """The record at the letter's place in a shard, if it is the one that is meant."""
        errors = self.client.exceptions
        absent = (errors.TrimmedDataAccessException, errors.ResourceNotFoundException)
        try:
            found = await ask(
                self.patience,
                self.client.get_shard_iterator,
                absent,
                StreamArn=letter.stream,
                ShardId=shard,
                ShardIteratorType="AT_SEQUENCE_NUMBER",
                SequenceNumber=letter.sequence_number,
            )
            iterator = found.get("ShardIterator")
            for page in range(_EMPTY_PAGES):
                if iterator is None:
                    return None
                if page:
                    await self.patience.sleep(_PAUSE)
                answer = await ask(
                    self.patience, self.client.get_records, absent, ShardIterator=iterator, Limit=1
                )
                for record in answer["Records"]:
                    return record if record["eventID"] == letter.event_id else None
                iterator = answer.get("NextShardIterator")
        except absent:
            return None
        raise StoreError("The stream gives empty pages where a record should be.")

    async def _candidates(self, letter: DeadLetter) -> list[str]:
        """The shards whose range has the letter's sequence number."""
        if letter.stream not in self._shards:
            self._shards[letter.stream] = await self._describe(letter.stream)
        number = int(letter.sequence_number)
        return [
            shard["ShardId"]
            for shard in self._shards[letter.stream]
            if _within(number, shard.get("SequenceNumberRange", {}))
        ]

    async def _describe(self, stream: str) -> list[Mapping[str, Any]]:
        absent = (self.client.exceptions.ResourceNotFoundException,)
        shards: list[Mapping[str, Any]] = []
        start: dict[str, Any] = {}
        while True:
            try:
                answer = await ask(
                    self.patience,
                    self.client.describe_stream,
                    absent,
                    StreamArn=stream,
                    Limit=SHARDS_A_PAGE,
                    **start,
                )
            except absent:
                return []
            page = answer["StreamDescription"]
            shards += page["Shards"]
            last = page.get("LastEvaluatedShardId")
            if not last:
                return shards
            start = {"ExclusiveStartShardId": last}
            await self.patience.sleep(_PAUSE)


def _table(stream: str) -> str:
    """The ARN of the table whose stream this is."""
    return stream.partition("/stream/")[0]


def _within(number: int, bounds: Mapping[str, str]) -> bool:
    low, high = bounds.get("StartingSequenceNumber"), bounds.get("EndingSequenceNumber")
    return (low is None or int(low) <= number) and (high is None or number <= int(high))
