from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from datasources.errors import ServiceUnavailable
from streams.changes import Change, Record
from streams.dead_letters import READING, DeadLetter, QueueDeadLetters
from streams.patience import Patience
from streams.redrive import Redrive, Summary
from tests.support.items import user
from tests.unit.streams.scripted import (
    NOW,
    ResourceNotFoundException,
    ScriptedStream,
    Time,
    TrimmedDataAccessException,
    fault,
    record,
    row,
)

TABLE = "arn:aws:dynamodb:ap-northeast-1:000000000000:table/shop"
STREAM = f"{TABLE}/stream/now"


def letter(number: int, **changes: Any) -> DeadLetter:
    values: dict[str, Any] = {
        "stream": STREAM,
        "shard": "shard-1",
        "sequence_number": str(number),
        "event_id": f"event-{number}",
        "reaction": "ratings",
        "error": "RuntimeError",
        "attempts": 5,
        "at": NOW,
    }
    return DeadLetter(**{**values, **changes})


@dataclass
class Queue:
    """Messages by number; `hidden` were taken. Those in `early` come again within the run."""

    bodies: dict[int, str] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    early: set[int] = field(default_factory=set)
    taken: list[int] = field(default_factory=list)

    def put(self, *letters: DeadLetter | str) -> None:
        for each in letters:
            body = each if isinstance(each, str) else each.model_dump_json(by_alias=True)
            self.bodies[len(self.bodies)] = body

    async def receive_message(self, **_: Any) -> dict[str, Any]:
        found = [number for number in self.bodies if number not in self.hidden][:10]
        self.hidden |= set(found) - self.early
        self.early -= set(found)
        self.taken += found
        return {
            "Messages": [
                {"MessageId": f"m{n}", "ReceiptHandle": str(n), "Body": self.bodies[n]}
                for n in found
            ]
        }

    async def delete_message(self, **parameters: Any) -> dict[str, Any]:
        del self.bodies[int(parameters["ReceiptHandle"])]
        return {}

    async def change_message_visibility(self, **parameters: Any) -> dict[str, Any]:
        assert parameters["VisibilityTimeout"] == 0
        self.hidden.remove(int(parameters["ReceiptHandle"]))
        return {}

    async def send_message(self, **_: Any) -> dict[str, Any]:
        raise AssertionError("a run writes no letters")

    get_queue_attributes = send_message


@dataclass
class Stream:
    """Shards of records; `ranges` are what DescribeStream says of them. `empty` pages come
    first, `faults` before everything."""

    shards: dict[str, list[Record]]
    trimmed: int = 0
    empty: int = 0
    ranges: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    descriptions: int = 0
    exceptions: Any = field(default_factory=lambda: ScriptedStream(Time(), {}).exceptions)

    async def describe_stream(self, **parameters: Any) -> dict[str, Any]:
        self.descriptions += 1
        names = list(self.shards)
        start = (
            names.index(parameters.get("ExclusiveStartShardId", "")) + 1
            if len(parameters) > 2
            else 0
        )
        listed: dict[str, Any] = {
            "Shards": [
                {"ShardId": name, "SequenceNumberRange": self.ranges.get(name, {})}
                for name in names[start : start + 1]
            ]
        }
        if start + 1 < len(names):
            listed["LastEvaluatedShardId"] = names[start]
        return {"StreamDescription": listed}

    async def get_shard_iterator(self, **parameters: Any) -> dict[str, Any]:
        if self.faults:
            raise self.faults.pop(0)
        assert parameters["ShardIteratorType"] == "AT_SEQUENCE_NUMBER"
        shard, number = parameters["ShardId"], parameters["SequenceNumber"]
        if shard not in self.shards:
            raise ResourceNotFoundException({"Error": {}}, "GetShardIterator")
        if int(number) <= self.trimmed:
            raise TrimmedDataAccessException({"Error": {}}, "GetShardIterator")
        return {"ShardIterator": f"{shard} {number}"}

    async def get_records(self, **parameters: Any) -> dict[str, Any]:
        self.reads.append(parameters["ShardIterator"])
        if self.empty:
            self.empty -= 1
            return {"Records": [], "NextShardIterator": parameters["ShardIterator"]}
        shard, number = parameters["ShardIterator"].split()
        left = [
            each
            for each in self.shards[shard]
            if int(each["dynamodb"]["SequenceNumber"]) >= int(number)
        ]
        return {"Records": left[: parameters["Limit"]]}


@dataclass
class Note:
    name: str = "ratings"
    fails: set[str] = field(default_factory=set)
    faults: list[Exception] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    async def react(self, change: Change) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.seen.append(change.event_id)
        if change.event_id in self.fails:
            raise RuntimeError("taro@example.com is the matter")


@dataclass
class Run:
    """A queue, a stream of nine users in one shard, and two reactions."""

    queue: Queue = field(default_factory=Queue)
    stream: Stream = field(
        default_factory=lambda: Stream({"shard-1": [record(n, new=user(n)) for n in range(1, 10)]})
    )
    ratings: Note = field(default_factory=Note)
    counts: Note = field(default_factory=lambda: Note("counts"))
    lines: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    async def __call__(self, *letters: DeadLetter | str) -> Summary:
        self.queue.put(*letters)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return await Redrive(
            client=self.stream,
            queue=QueueDeadLetters(self.queue, "http://queue"),
            stream=STREAM,
            reactions=[self.ratings, self.counts],
            patience=Patience(sleep, max),
            report=self.lines.append,
        ).run()


async def test_a_letter_is_taken_up_by_its_reaction_alone_and_leaves_the_queue() -> None:
    run = Run()
    assert await run(letter(3), letter(5, reaction="counts")) == Summary(redriven=2)
    assert (run.ratings.seen, run.counts.seen) == (["event-3"], ["event-5"])
    assert run.queue.bodies == {}
    assert run.lines == []


async def test_what_fails_again_is_tried_once_a_run_and_stays() -> None:
    run = Run(ratings=Note(fails={"event-3"}))
    assert await run(letter(3), letter(4)) == Summary(redriven=1, failed=1)
    assert run.ratings.seen == ["event-3", "event-4"]
    assert (list(run.queue.bodies), run.queue.hidden) == ([0], {1})
    assert run.lines == ["failed: shard shard-1, sequence number 3, ratings: RuntimeError"]

    run.ratings.fails.clear()
    assert await run() == Summary(redriven=1)
    assert run.queue.bodies == {}


async def test_a_message_that_comes_back_within_the_run_is_not_taken_up_twice() -> None:
    run = Run(ratings=Note(fails={"event-3"}))
    run.queue.early = {0}
    assert await run(letter(3)) == Summary(failed=1)
    assert run.queue.taken == [0, 0]
    assert run.ratings.seen == ["event-3"]


async def test_more_letters_than_one_call_gives_are_all_taken_up() -> None:
    run = Run()
    assert await run(*(letter(1 + n % 9) for n in range(35))) == Summary(redriven=35)
    assert run.queue.bodies == {}


@pytest.mark.parametrize(
    ("lost", "change"),
    [
        (letter(3), lambda stream: setattr(stream, "trimmed", 3)),
        (letter(3, shard="shard-0"), lambda _stream: None),
        (letter(3, event_id="another"), lambda _stream: None),
        (letter(99), lambda _stream: None),
    ],
    ids=["trimmed", "shard gone", "another record", "behind the end"],
)
async def test_a_record_that_is_gone_is_named_and_its_letter_removed(
    lost: DeadLetter, change: Callable[[Stream], None]
) -> None:
    run = Run()
    change(run.stream)
    assert await run(lost, letter(9)) == Summary(redriven=1, gone=1)
    assert run.queue.bodies == {}
    assert run.lines == [f"gone: {lost.place}, for ratings"]


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        ("no letter", "message m0 is no dead letter"),
        (
            letter(3, stream=STREAM.replace("table/shop", "table/other")),
            "shard shard-1, sequence number 3, of another table's stream",
        ),
        (
            letter(3, reaction="of-old"),
            "shard shard-1, sequence number 3, no reaction is named of-old",
        ),
    ],
)
async def test_what_cannot_be_judged_stays(strange: DeadLetter | str, why: str) -> None:
    run = Run()
    assert await run(strange, letter(4)) == Summary(redriven=1, unreadable=1)
    assert list(run.queue.bodies) == [0]
    assert run.lines == [f"unreadable: {why}"]


async def test_letters_of_the_stream_before_this_one_are_taken_up() -> None:
    run = Run()
    assert await run(letter(3, stream=f"{TABLE}/stream/before")) == Summary(redriven=1)


async def test_letters_about_one_record_read_it_once() -> None:
    run = Run()
    assert await run(letter(3), letter(3, reaction="counts"), letter(3)) == Summary(redriven=3)
    assert run.stream.reads == ["shard-1 3"]


async def test_a_record_that_could_not_be_read_is_for_every_reaction() -> None:
    run = Run()
    assert await run(letter(3, reaction=READING)) == Summary(redriven=1)
    assert (run.ratings.seen, run.counts.seen) == (["event-3"], ["event-3"])


async def test_a_record_that_still_cannot_be_read_stays() -> None:
    broken = {**row(user(1)), "createdAt": "secret"}
    run = Run(stream=Stream({"shard-1": [record(1, new=broken)]}))
    assert await run(letter(1, reaction=READING)) == Summary(failed=1)
    assert list(run.queue.bodies) == [0]
    assert run.lines == ["failed: shard shard-1, sequence number 1, reading: StoreError"]


async def test_a_letter_without_a_shard_is_looked_for_where_its_number_can_be() -> None:
    shards = {name: [record(n, new=user(n))] for n, name in ((1, "a"), (5, "b"), (6, "c"))}
    shards["d"] = [{**record(5, new=user(2)), "eventID": "other"}]
    ranges = {
        "a": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "4"},
        "d": {"StartingSequenceNumber": "5", "EndingSequenceNumber": "9"},
        "b": {"StartingSequenceNumber": "5"},
        "c": {"StartingSequenceNumber": "6"},
    }
    run = Run(stream=Stream({name: shards[name] for name in "adbc"}, ranges=ranges))
    assert await run(letter(5, shard=None), letter(6, shard=None)) == Summary(redriven=2)
    assert run.stream.reads == ["d 5", "b 5", "d 6", "b 6", "c 6"]
    assert run.stream.descriptions == 4
    assert run.slept == [1.0, 1.0, 1.0]


async def test_an_empty_page_before_the_record_is_not_its_end() -> None:
    run = Run()
    run.stream.empty = 2
    assert await run(letter(3)) == Summary(redriven=1)


async def test_a_stream_that_gives_only_empty_pages_is_no_answer() -> None:
    run = Run()
    run.stream.empty = 100
    assert await run(letter(3)) == Summary(failed=1)
    assert list(run.queue.bodies) == [0]


async def test_what_passes_is_waited_for() -> None:
    run = Run(ratings=Note(faults=[ServiceUnavailable("Not now.")] * 3))
    run.stream.faults = [fault("LimitExceededException")] * 3
    assert await run(letter(3)) == Summary(redriven=1)
    assert len(run.slept) == 6


async def test_a_stream_that_refuses_says_nothing_of_the_record() -> None:
    run = Run()
    run.stream.faults = [fault("AccessDeniedException")]
    assert await run(letter(3), letter(4)) == Summary(redriven=1, failed=1)
    assert list(run.queue.bodies) == [0]


def test_a_summary_is_a_line() -> None:
    assert str(Summary(1, 2, 3, 4)) == (
        "1 done, 2 failed again, 3 gone from the stream, 4 not to be judged"
    )
