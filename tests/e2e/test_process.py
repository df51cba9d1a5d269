"""What follows a write comes about: beside the embedded store, and by a processor of its own."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from datasources.client import Endpoint, open_client, open_sqs_client, open_streams_client
from datasources.keys import Keys
from datasources.operating.provision import provision
from datasources.table import Table
from datasources.writes import PRESENT, Update
from streams.dead_letters import DeadLetter, QueueDeadLetters
from tests.conftest import REGION
from tests.e2e.support import (
    Service,
    elsewhere,
    environment,
    one_line,
    processing,
    run,
    serving,
    until,
)
from tests.integration.conftest import TEMPLATE
from tests.support import items, plain
from tests.support.broker import broker, needs_redis
from tests.support.shop import TestShop

SIGN_UP = "mutation($input: CreateUserInput!) { createUser(input: $input) { userErrors { code } } }"
REVIEW = "mutation($input: AddReviewInput!) { addReview(input: $input) { userErrors { code } } }"
RATING = "query($id: ID!) { product(id: $id) { ratingSummary { count histogram } } }"
PRODUCT = "{ products(first: 1) { nodes { id } } }"


def rate(service: Service, stars: int) -> tuple[str, list[int]]:
    """Has a new customer review a product: its ID, and the histogram that is to come."""
    subject = f"u{uuid.uuid4().hex[:12]}"
    customer = service.signed(subject)
    account = {"email": f"{subject}@example.com", "username": subject}
    assert service.ask(SIGN_UP, customer, input=account)["data"]["createUser"]["userErrors"] == []
    product = service.ask(PRODUCT)["data"]["products"]["nodes"][0]["id"]
    histogram: list[int] = rating(service, product)
    review = {"productId": product, "rating": stars}
    assert service.ask(REVIEW, customer, input=review)["data"]["addReview"]["userErrors"] == []
    histogram[stars - 1] += 1
    return product, histogram


def rating(service: Service, product: str) -> list[int]:
    summary = service.ask(RATING, id=product)["data"]["product"]["ratingSummary"]
    histogram: list[int] = summary["histogram"]
    return histogram


def test_over_the_embedded_store_a_rating_follows_a_review(service: Service) -> None:
    product, expected = rate(service, stars=2)

    until(lambda: rating(service, product) == expected)


@needs_redis
async def test_a_processor_follows_another_store_for_a_service_and_ends_when_told(
    stall: Stall, tmp_path: Path
) -> None:
    with broker(tmp_path / "redis") as redis:
        settings = stall.settings(tmp_path, REDIS_URL=redis.url)
        said: list[str] = []
        with processing(settings, "--port", "0", said=said), serving(settings) as service:
            product, expected = rate(service, stars=5)
            until(lambda: rating(service, product) == expected)
            [line] = [line for line in said if "probes" in line]
            assert_probes_answer(line.split()[-1])


def assert_probes_answer(url: str) -> None:
    assert plain.get(f"{url}/readyz").json() == {"status": "ready"}
    scraped = plain.get(f"{url}/metrics").text
    assert 'cartograph_changes_total{entity="Review"} 1.0' in scraped


@dataclass(frozen=True)
class Stall:
    """A table with a product in a category."""

    endpoint: Endpoint
    table: str

    def settings(self, folder: Path, **more: str) -> dict[str, str]:
        assert self.endpoint.url
        secret = "a secret of thirty-two bytes or more"
        return elsewhere(folder, self.endpoint.url, TABLE=self.table, JWT_SECRET=secret, **more)


@pytest.fixture
async def stall(store: str) -> Stall:
    found = Stall(Endpoint(REGION, store, local=True), f"stall-{uuid.uuid4().hex[:12]}")
    async with open_client(found.endpoint) as client:
        await provision(client, found.table, TEMPLATE)
        shop = TestShop(client, found.table, tenant="default")
        await shop.put(items.category("books", product_count=1), items.product(1, category="books"))
    return found


async def test_wrong_counts_are_reported_and_mended_on_request(
    stall: Stall, tmp_path: Path
) -> None:
    settings = stall.settings(tmp_path)
    async with open_client(stall.endpoint) as client:
        table = Table(client, stall.table, asyncio.get_running_loop().time() + 60)
        key = Keys("default", 4).category("books")
        wrong = Update(key, "ADD #count :by", {"#count": "productCount"}, {":by": 7}, PRESENT)
        await table.transact([wrong], token=uuid.uuid4().hex)

    found = run("recount", environment=settings)
    assert found.returncode == 1
    assert "books" in found.stderr
    assert run("recount", "--mend", environment=settings).returncode == 0
    async with open_client(stall.endpoint) as client:
        table = Table(client, stall.table, asyncio.get_running_loop().time() + 60)
        assert (await table.batch_get([key]))[key]["productCount"] == 1


async def test_dead_letters_are_taken_up_again_by_command(stall: Stall, tmp_path: Path) -> None:
    settings = stall.settings(tmp_path)
    line = one_line(run("process", "--redrive", environment=settings))
    assert "CARTOGRAPH_DEAD_LETTER_QUEUE" in line
    async with (
        open_client(stall.endpoint) as client,
        open_streams_client(stall.endpoint) as streams,
        open_sqs_client(stall.endpoint) as sqs,
    ):
        queue = (await sqs.create_queue(QueueName=stall.table))["QueueUrl"]  # type: ignore[attr-defined]
        table = (await client.describe_table(TableName=stall.table))["Table"]
        stream = table["LatestStreamArn"]
        listed = (await streams.describe_stream(StreamArn=stream))["StreamDescription"]
        shard = listed["Shards"][0]["ShardId"]
        begin = await streams.get_shard_iterator(
            StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )
        read = await streams.get_records(ShardIterator=begin["ShardIterator"], Limit=1)
        record = read["Records"][0]
        letter = DeadLetter(
            stream=stream,
            shard=shard,
            sequence_number=record["dynamodb"]["SequenceNumber"],
            event_id=record["eventID"],
            reaction="mail",
            error="RuntimeError",
            attempts=5,
            at=datetime.now(UTC),
        )
        await QueueDeadLetters(sqs, queue).put(letter)

    settings |= {
        "CARTOGRAPH_DEAD_LETTER_QUEUE": queue,
        "CARTOGRAPH_SINK_ENDPOINT": str(stall.endpoint.url),
    }
    first, second = (run("process", "--redrive", environment=settings) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    assert "1 done" in first.stderr
    assert "0 done" in second.stderr


def test_the_embedded_store_has_no_processor_beside_its_service(tmp_path: Path) -> None:
    line = one_line(run("process", environment=environment(tmp_path)))

    assert "CARTOGRAPH_STORE" in line
