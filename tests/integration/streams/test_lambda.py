"""The function in a real process of its own, behind MiniStack's event source mapping.

That mapping takes a batch as done whatever its answer names (it heeds partial answers for SQS
alone), so what is to come again is seen in the answers of direct calls.
"""

from __future__ import annotations

import asyncio
import io
import json
import sysconfig
import uuid
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datasources import embedded, orders
from datasources.attributes import encode_row
from datasources.client import (
    Endpoint,
    QueueClient,
    new_session,
    open_client,
    open_sqs_client,
    open_streams_client,
)
from datasources.embedded import embedded_store
from datasources.items import (
    Category,
    Item,
    OrderLine,
    OrderStatus,
    Product,
    Review,
    from_row,
)
from datasources.keys import PK, SK, Key
from datasources.operating.provision import provision
from streams.changes import read_change
from streams.dead_letters import QueueDeadLetters
from streams.lambda_handler import as_record
from tests.conftest import CACHE, REGION
from tests.support import items
from tests.support.shop import TestShop, keep_what_expires

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "infra" / "template.yaml"
TABLE = "shop"
LONGEST = 60
NO_STORE = "http://127.0.0.1:1"

# What stands for the deployment package: the checkout and the packages beside it. `seen` gets
# every event, so that what the mapping really sends can be looked at. MiniStack's process has
# loaded an SDK of its own by then, of another version.
SHIM = """
import json, pathlib, sys
sys.path[:0] = {paths!r}
for name in [name for name in sys.modules if name.partition(".")[0] == "botocore"]:
    del sys.modules[name]
from streams import lambda_handler

def handler(event, context):
    answer = lambda_handler.handler(event, context)
    with pathlib.Path({seen!r}).open("a") as file:
        print(json.dumps([event, answer]), file=file)
    return answer
"""


@dataclass
class Account:
    """A store with Lambda, in which one shop has its tables and a queue."""

    client: DynamoDBClient
    functions: Any
    queue: QueueClient
    queue_url: str
    endpoint: Endpoint
    seen: Path

    def __post_init__(self) -> None:
        self.shop = TestShop(self.client, TABLE, tenant="t")

    async def deploy(self, **environment: str) -> str:
        """The name of a new function."""
        paths = [str(ROOT), *{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as package:
            package.writestr("index.py", SHIM.format(paths=paths, seen=str(self.seen)))
        name = f"cartograph-{uuid.uuid4().hex[:8]}"
        assert self.endpoint.url
        variables = {
            "CARTOGRAPH_TABLE": TABLE,
            "CARTOGRAPH_STORE": self.endpoint.url,
            "CARTOGRAPH_SINK_ENDPOINT": self.endpoint.url,
            "CARTOGRAPH_DEAD_LETTER_QUEUE": self.queue_url,
            **environment,
        }
        await self.functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/cartograph",
            Handler="index.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=30,
            Environment={"Variables": variables},
        )
        return name

    async def map(self, function: str) -> None:
        table = (await self.client.describe_table(TableName=TABLE))["Table"]
        await self.functions.create_event_source_mapping(
            EventSourceArn=table["LatestStreamArn"],
            FunctionName=function,
            StartingPosition="TRIM_HORIZON",
            BatchSize=50,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    async def invoke(self, function: str, event: dict[str, Any]) -> Any:
        answer = await self.functions.invoke(
            FunctionName=function, Payload=json.dumps(event).encode()
        )
        payload = json.loads(await answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    async def item(self, key: Key) -> Item | None:
        rows = await self.shop.table().batch_get([key], consistent=True)
        return from_row(rows[key]) if key in rows else None

    def events(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """What the functions were sent so far, and what they answered."""
        if not self.seen.exists():
            return []
        # The last line may still be in the making.
        whole, _, _ = self.seen.read_text().rpartition("\n")
        return [tuple(json.loads(line)) for line in whole.splitlines()]

    async def until_sent(self, item_id: str) -> None:
        """Until the mapping has sent the record of this item."""
        async with asyncio.timeout(LONGEST):
            while item_id not in json.dumps(self.events()):  # noqa: ASYNC110 another process
                await asyncio.sleep(0.1)


@pytest.fixture
def with_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SERVICES", (*embedded.SERVICES, "lambda"))


@pytest.fixture
async def account(with_lambda: None, tmp_path: Path) -> AsyncIterator[Account]:
    async with embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
    ) as url:
        endpoint = Endpoint(REGION, url, local=True)
        session = new_session(endpoint)
        async with (
            open_client(endpoint, session) as client,
            open_sqs_client(endpoint, session) as queue,
            session.client("lambda", endpoint_url=url) as functions,
        ):
            await provision(client, TABLE, TEMPLATE)
            await keep_what_expires(client, TABLE)
            made = await queue.create_queue(QueueName="letters")  # type: ignore[attr-defined]
            seen = tmp_path / "seen.jsonl"
            yield Account(client, functions, queue, made["QueueUrl"], endpoint, seen)


async def test_the_function_follows_what_is_written(account: Account) -> None:
    shop, keys = account.shop, account.shop.keys
    product = items.product(1, category="toys")
    line = OrderLine(product_id=product.id, product_name="P", quantity=1, unit_price=500)
    delivered = items.order(1, "user-1", status=OrderStatus.DELIVERED, lines=(line,))
    opinions = [items.review(n, product.id, f"user-{n}", rating=1 + n % 5) for n in range(120)]
    await shop.put(items.category("toys"), product, *opinions)
    await shop.put_rows(orders.purchased_rows(keys, delivered, items.NOW))
    await shop.put(delivered)
    await account.map(await account.deploy())
    gone = keys.review(product.id, opinions[0].id)
    await account.client.delete_item(TableName=TABLE, Key=encode_row({PK: gone.pk, SK: gone.sk}))
    last = items.user(99, id="the-last")
    await shop.put(last)
    await account.until_sent(last.id)

    rated = await account.item(keys.product(product.id))
    assert isinstance(rated, Product)
    assert rated.histogram == (23, 24, 24, 24, 24)
    counted = await account.item(keys.category("toys"))
    assert isinstance(counted, Category)
    assert counted.product_count == 1
    mine = await account.item(keys.review(product.id, opinions[1].id))
    assert isinstance(mine, Review)
    assert mine.verified_purchase
    assert {json.dumps(answer) for _, answer in account.events()} == {'{"batchItemFailures": []}'}


async def test_what_the_mapping_sends_is_the_record_that_the_stream_has(account: Account) -> None:
    await account.shop.put(items.product(1))
    await account.shop.put(items.product(1, price=7))
    key = account.shop.keys.product(items.product(1).id)
    await account.client.delete_item(TableName=TABLE, Key=encode_row({PK: key.pk, SK: key.sk}))
    await account.map(await account.deploy())
    await account.shop.put(items.user(99, id="the-last"))
    await account.until_sent("the-last")

    stream = (await account.client.describe_table(TableName=TABLE))["Table"]["LatestStreamArn"]
    async with open_streams_client(account.endpoint) as streams:
        described = await streams.describe_stream(StreamArn=stream)
        found = await streams.get_shard_iterator(
            StreamArn=stream,
            ShardId=described["StreamDescription"]["Shards"][0]["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )
        answer = await streams.get_records(ShardIterator=found["ShardIterator"])
    sent = [raw for event, _ in account.events() for raw in event["Records"]]
    assert [read_change(as_record(raw)) for raw in sent][:3] == [
        read_change(record) for record in answer["Records"][:3]
    ]
    assert {raw["eventSourceARN"] for raw in sent} == {stream}


async def test_a_store_that_is_away_is_for_lambda_to_wait_for(account: Account) -> None:
    """The container outlives the failure: the second call finds its clients open."""
    function = await account.deploy(CARTOGRAPH_STORE=NO_STORE)
    event = {"Records": [record(n, items.review(n, "p", f"user-{n}")) for n in (1, 2)]}
    for _ in range(2):
        answer = await account.invoke(function, event)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}


async def test_a_poison_record_goes_to_the_queue_and_its_successors_are_followed(
    account: Account,
) -> None:
    product = items.product(1)
    await account.shop.put(product)
    poison = record(1, items.review(1, product.id, "user-1", rating=5))
    poison["dynamodb"]["NewImage"]["createdAt"] = {"S": "secret"}
    fine = record(2, items.review(2, product.id, "user-2", rating=5))
    function = await account.deploy()
    assert await account.invoke(function, {"Records": [poison, fine]}) == {"batchItemFailures": []}

    [message] = await QueueDeadLetters(account.queue, account.queue_url).take()
    assert message.letter is not None
    assert (message.letter.sequence_number, message.letter.shard) == ("1", None)
    rated = await account.item(account.shop.keys.product(product.id))
    assert isinstance(rated, Product)
    assert rated.histogram == (0, 0, 0, 0, 1)


def record(number: int, review: Review) -> dict[str, Any]:
    return {
        "eventID": f"event-{number}",
        "eventName": "INSERT",
        "eventSourceARN": "arn:aws:dynamodb:ap-northeast-1:000000000000:table/shop/stream/now",
        "dynamodb": {
            "ApproximateCreationDateTime": items.NOW.timestamp(),
            "SequenceNumber": str(number),
            "NewImage": {
                **encode_row(review.to_attributes()),
                PK: {"S": f"t#PRODUCT#{review.product_id}"},
                SK: {"S": f"REVIEW#{review.id}"},
            },
        },
    }
