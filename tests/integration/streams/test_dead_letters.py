"""Letters on a real queue, about records of a real stream, are taken up again."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datasources.client import Endpoint, StreamsClient, open_sqs_client, open_streams_client
from datasources.errors import StoreError
from datasources.items import Product, Review, from_row
from datasources.operating.provision import provision
from streams.changes import Change
from streams.dead_letters import DeadLetter, QueueDeadLetters
from streams.patience import Patience
from streams.reactions import TableReaction, ratings
from streams.redrive import Redrive, Summary
from tests.support.items import product, review
from tests.support.shop import TestShop, keep_what_expires

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
PRODUCT = product(1)
REVIEWS = [review(n, PRODUCT.id, f"user-{n}", rating=5) for n in range(3)]


@asynccontextmanager
async def new_queue(endpoint: Endpoint) -> AsyncIterator[QueueDeadLetters]:
    async with open_sqs_client(endpoint) as client:
        made = await client.create_queue(QueueName=uuid.uuid4().hex)  # type: ignore[attr-defined]
        yield QueueDeadLetters(client, made["QueueUrl"])


@dataclass
class Shop:
    """A product and three reviews in tables of their own, followed by nobody."""

    client: DynamoDBClient
    streams: StreamsClient
    queue: QueueDeadLetters
    rows: TestShop
    stream: str
    records: list[dict[str, Any]]
    shard: str
    lines: list[str] = field(default_factory=list)

    def letter(self, record: dict[str, Any], **changes: Any) -> DeadLetter:
        values: dict[str, Any] = {
            "stream": self.stream,
            "shard": self.shard,
            "sequence_number": record["dynamodb"]["SequenceNumber"],
            "event_id": record["eventID"],
            "reaction": ratings.NAME,
            "error": "RuntimeError",
            "attempts": 5,
            "at": datetime.now(UTC),
        }
        return DeadLetter(**{**values, **changes})

    def reaction(self) -> TableReaction:
        return TableReaction(
            ratings.NAME,
            ratings.effects,
            self.rows.table,
            f"{self.rows.table_name}-system",
            lambda: datetime.now(UTC),
            lambda: str(uuid.uuid4()),
        )

    async def redrive(self, reaction: Any = None) -> Summary:
        async def at_once(_seconds: float) -> None: ...

        return await Redrive(
            client=self.streams,
            queue=self.queue,
            stream=self.stream,
            reactions=[reaction or self.reaction()],
            patience=Patience(at_once, max),
            report=self.lines.append,
        ).run()

    async def histogram(self) -> tuple[int, ...]:
        key = self.rows.keys.product(PRODUCT.id)
        found = from_row((await self.rows.table().batch_get([key], consistent=True))[key])
        assert isinstance(found, Product)
        return found.histogram


@pytest.fixture
async def written(client: DynamoDBClient, endpoint: Endpoint) -> AsyncIterator[Shop]:
    name = f"shop-{uuid.uuid4().hex[:12]}"
    await provision(client, name, TEMPLATE)
    await keep_what_expires(client, name)
    rows = TestShop(client, name, tenant="t")
    await rows.put(PRODUCT, *REVIEWS)
    stream = (await client.describe_table(TableName=name))["Table"]["LatestStreamArn"]
    async with open_streams_client(endpoint) as streams, new_queue(endpoint) as queue:
        described = await streams.describe_stream(StreamArn=stream)
        [shard] = [one["ShardId"] for one in described["StreamDescription"]["Shards"]]
        iterator = await streams.get_shard_iterator(
            StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )
        answer = await streams.get_records(ShardIterator=iterator["ShardIterator"])
        of_reviews = [
            record
            for record in answer["Records"]
            if record["dynamodb"]["NewImage"]["entity"]["S"] == Review.__name__
        ]
        yield Shop(client, streams, queue, rows, stream, of_reviews, shard)


async def test_a_letter_goes_through_a_real_queue(endpoint: Endpoint) -> None:
    letter = DeadLetter(
        stream="arn:aws:dynamodb:ap-northeast-1:000000000000:table/shop/stream/now",
        shard="shard-1",
        sequence_number="1",
        event_id="event-1",
        reaction="ratings",
        error="RuntimeError",
        attempts=5,
        at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    async with new_queue(endpoint) as queue:
        await queue.put(letter)
        [message] = await queue.take()
        assert message.letter == letter
        assert await queue.take() == []
        await queue.give_back(message)
        [again] = await queue.take()
        assert (again.id, again.letter) == (message.id, letter)
        await queue.remove(again)
        assert await queue.take() == []


async def test_a_queue_that_is_not_there_does_not_pass(endpoint: Endpoint) -> None:
    async with new_queue(endpoint) as queue:
        missing = QueueDeadLetters(queue.client, f"{queue.queue_url}-of-nobody")
        with pytest.raises(StoreError) as raised:
            await missing.take()
        assert not raised.value.retryable


async def test_what_was_given_up_is_done_once_however_often_its_letter_comes(
    written: Shop,
) -> None:
    for record in written.records:
        await written.queue.put(written.letter(record))
        await written.queue.put(written.letter(record, shard=None))
    assert await written.redrive() == Summary(redriven=6)
    assert await written.histogram() == (0, 0, 0, 0, 3)
    assert await written.redrive() == Summary()


async def test_what_fails_again_stays_and_the_rest_goes(written: Shop) -> None:
    poison = written.records[1]["eventID"]

    @dataclass
    class FailsOnce:
        inner: TableReaction = field(default_factory=written.reaction)
        name: str = ratings.NAME

        async def react(self, change: Change) -> None:
            if change.event_id == poison:
                raise RuntimeError
            await self.inner.react(change)

    for record in written.records:
        await written.queue.put(written.letter(record))
    assert await written.redrive(FailsOnce()) == Summary(redriven=2, failed=1)
    assert await written.histogram() == (0, 0, 0, 0, 2)
    assert await written.redrive() == Summary(redriven=1)
    assert await written.histogram() == (0, 0, 0, 0, 3)


async def test_a_record_that_the_stream_has_not_is_gone(written: Shop) -> None:
    record = written.records[0]
    label = written.stream.rpartition("/")[0]
    await written.queue.put(written.letter(record, sequence_number="1"))
    await written.queue.put(written.letter(record, stream=f"{label}/2020-01-01T00:00:00.000"))
    await written.queue.put(written.letter(record, event_id="another"))
    assert await written.redrive() == Summary(gone=3)
    assert f"gone: shard {written.shard}, sequence number 1, for ratings" in written.lines
    assert await written.redrive() == Summary()
