"""What the service does on AWS, done over the embedded store by each of its parts, while what they
ask of AWS is written down."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import CollectorRegistry

from composition.store import TEMPLATE
from datasources import users
from datasources.client import (
    Endpoint,
    QueueClient,
    StreamsClient,
    new_session,
    open_client,
    open_ses_client,
    open_sns_client,
    open_sqs_client,
    open_streams_client,
    unreachable,
)
from datasources.items import User
from datasources.operating.provision import check, provision
from resolvers import global_ids
from streams.changes import Change
from streams.consequences import Sinks, consequences
from streams.dead_letters import QueueDeadLetters
from streams.journal import NoJournal
from streams.lambda_handler import BatchFollower
from streams.mail.language import Prices
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.reactions import Reaction
from streams.redrive import Redrive, Summary
from streams.relay import Relay
from streams.sinks import SesMail, SnsEvents
from streams.tables import Tables
from tests.support import items
from tests.support.asked import Recorder
from tests.support.iam import Request
from tests.support.mutations import mutate
from tests.support.shop import TestShop, keep_what_expires

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

LONGEST = 60
TENANT = "t"
SENDER = "shop@shop.example"
HASTE = 0.004  # of the seconds that are usually waited

BOOK = items.product(0, category="books", inventory=50)
PAPER = items.product(1, category="paper", inventory=50)
BOOK_ID, PAPER_ID = map(global_ids.of, (BOOK, PAPER))
BOOKS = global_ids.encode("Category", "books")
LAST, NEXT, POISON = map(items.user, (90, 91, 92))

PAGE = "nodes { id } pageInfo { hasNextPage }"
# Each root field, and each list in each of its orders.
READS = {
    "viewer": """{ viewer { orders(first: 5) { nodes { items { product { name category { name }
        reviews(first: 3) { nodes { author { username } } } viewerReview { id } } }
        customer { id } } }
        reviews(first: 5) { nodes { id } } } }""",
    "node": f'{{ node(id: "{BOOK_ID}") {{ id }} }}',
    "nodes": f'{{ nodes(ids: ["{BOOK_ID}", "{PAPER_ID}"]) {{ id }} }}',
    "user": f'{{ user(id: "{global_ids.encode("User", "user-0")}") {{ username }} }}',
    "userByEmail": '{ userByEmail(email: "user0@example.com") { id } }',
    "users": f"{{ users {{ {PAGE} }} }}",
    "product": f'{{ product(id: "{BOOK_ID}") {{ name ratingSummary {{ average }} }} }}',
    "products": f"""{{ all: products {{ {PAGE} }} of: products(categoryId: "{BOOKS}") {{ {PAGE} }}
        by: products(categoryId: "{BOOKS}", orderBy: {{ field: PRICE }}, price: {{ min: "1" }})
        {{ {PAGE} }} }}""",
    "category": f'{{ category(id: "{BOOKS}") {{ name products {{ {PAGE} }} }} }}',
    "categoryBySlug": '{ categoryBySlug(slug: "books") { productCount } }',
    "categories": f"{{ categories {{ {PAGE} }} }}",
    "order": f'{{ order(id: "{global_ids.of(items.order(0))}") {{ number customer {{ id }} }} }}',
    "orderByNumber": '{ orderByNumber(number: "NO-0") { id } }',
    "orders": f"""{{ all: orders {{ {PAGE} }} some: orders(status: PAID) {{ {PAGE} }}
        when: orders(placed: {{ from: "2026-11-01T00:00:00Z" }}) {{ {PAGE} }} }}""",
    "review": f'{{ review(id: "{global_ids.of(items.review(0, BOOK.id))}") {{ rating }} }}',
    "changeCursor": "{ changeCursor }",
}


Part = Literal["api", "processor", "function", "redrive"]


@dataclass
class Site:
    """A deployment: `project` begins all names; what each part asks is recorded as its own. The
    clients of the API are the test's as well."""

    project: str
    recorder: Recorder
    clients: dict[Part, DynamoDBClient] = field(default_factory=dict)
    streams: dict[Part, StreamsClient] = field(default_factory=dict)
    queues: dict[Part, QueueClient] = field(default_factory=dict)
    sinks: dict[Part, Sinks] = field(default_factory=dict)
    stream: str = ""
    topic: str = ""
    queue: str = ""
    redriven: Summary = field(default_factory=Summary)

    @property
    def table(self) -> str:
        return f"{self.project}-dev"

    @property
    def requests(self) -> dict[str, list[Request]]:
        return self.recorder.requests

    @cached_property
    def shop(self) -> TestShop:
        return TestShop(self.clients["api"], self.table, tenant=TENANT)

    def reactions(self, part: Part) -> list[Reaction]:
        return consequences(Tables(self.clients[part], self.table), self.sinks[part], now)

    def letters(self, part: Part) -> QueueDeadLetters:
        return QueueDeadLetters(self.queues[part], self.queue)


async def deployed(endpoint: Endpoint, *, reacts: Part) -> Site:
    """A site where the API has served, and all that it wrote has been followed and reacted to by
    the one part that does: the processor, the function, or a redrive after all else failed."""
    async with opened(endpoint) as site:
        await site.shop.put(
            *(items.user(n) for n in range(3)),
            *(items.category(slug) for slug in ("books", "paper")),
            *(BOOK, PAPER, items.order(0), items.review(0, BOOK.id)),
        )
        await serve(site)
        await site.shop.put_rows([{**users.row(site.shop.keys, POISON), "createdAt": "x"}])
        await site.shop.put(LAST)
        match reacts:
            case "function":
                await invoke(site, site.reactions("function"))
                await follow(site, [])
            case "redrive":
                await invoke(site, [Stumbling(one.name) for one in site.reactions("function")])
                await redrive(site)
            case _:
                await follow(site, site.reactions("processor"))
    return site


@asynccontextmanager
async def opened(endpoint: Endpoint) -> AsyncIterator[Site]:
    """The tables, a queue, a topic and a sender, and each part's clients of them."""
    site, session = Site(f"p{uuid.uuid4().hex[:8]}", Recorder()), new_session(endpoint)
    parts: tuple[Part, ...] = ("processor", "function", "redrive")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        site.clients["api"] = client = await enter(open_client(endpoint, session))
        site.streams["api"] = await enter(open_streams_client(endpoint, session))
        await provision(client, site.table, TEMPLATE)
        await keep_what_expires(client, site.table)
        site.stream = (await client.describe_table(TableName=site.table))["Table"][
            "LatestStreamArn"
        ]
        for part in parts:
            site.clients[part] = await enter(open_client(endpoint, session))
            site.streams[part] = await enter(open_streams_client(endpoint, session))
            site.queues[part] = await enter(open_sqs_client(endpoint, session))
        mail: Any = await enter(open_ses_client(endpoint, session))
        topics: Any = await enter(open_sns_client(endpoint, session))
        queues: Any = site.queues["processor"]
        await mail.create_email_identity(EmailIdentity=SENDER)
        name = f"{site.project}-dev-events.fifo"
        made = await topics.create_topic(Name=name, Attributes={"FifoTopic": "true"})
        site.topic = made["TopicArn"]
        made = await queues.create_queue(QueueName=f"{site.project}-dev-dead-letters")
        site.queue = made["QueueUrl"]
        site.recorder.listen(client)
        for part in parts:
            mailing = await enter(open_ses_client(endpoint, session))
            publishing = await enter(open_sns_client(endpoint, session))
            post, events = SesMail(mailing, SENDER), SnsEvents(publishing, site.topic)
            site.sinks[part] = Sinks(post, events, Prices("JPY", 0), low_stock=5)
            own = site.clients[part], site.streams[part], site.queues[part], mailing, publishing
            for each in own:
                site.recorder.listen(each, part)
        yield site


# --- the parts ------------------------------------------------------------------------------


async def serve(site: Site) -> None:
    """The API: looks at the tables as it starts and when asked whether it is ready; then every root
    field and every mutation."""
    with site.recorder.by("api"):
        await check(site.clients["api"], site.table, TEMPLATE)
        assert await unreachable(site.clients["api"], site.table) is None
        for query in READS.values():
            answer = await site.shop.ask(query, user="user-0", staff=True)
            assert answer.errors == []
        await write(site.shop)


async def write(shop: TestShop) -> None:
    """Every mutation once, so that it is done."""

    async def done(name: str, user: str = "boss", /, **input: Any) -> Any:
        written = await mutate(shop, name, input, user=user, staff=user == "boss")
        assert written.outcome == "ok", (name, written)
        return written.result

    price = {"amount": "700", "currencyCode": "JPY"}
    made = await done("createUser", "u-new", email="new@example.com", username="newcomer")
    await done("updateUser", "u-new", email="newer@example.com")
    await done("setUserStatus", id=made["id"], status="SUSPENDED")
    await done("setUserStatus", id=made["id"], status="ACTIVE")
    toys = await done("createCategory", slug="toys", name="Toys")
    await done("updateCategory", id=toys["id"], name="Playthings")
    ball = await done("createProduct", name="Ball", price=price, categoryId=toys["id"], inventory=9)
    await done("updateProduct", id=ball["id"], name="Big ball", categoryId=BOOKS)
    await done("adjustInventory", productId=ball["id"], delta=-5, idempotencyKey="stock-0001")
    lines = [{"productId": BOOK_ID, "quantity": 1}, {"productId": PAPER_ID, "quantity": 2}]
    address = {"recipient": "N", "line1": "1", "city": "C", "postalCode": "1", "countryCode": "JP"}
    review = await done("addReview", "u-new", productId=BOOK_ID, rating=4)
    orders = [
        await done(
            "placeOrder",
            "u-new",
            items=lines,
            idempotencyKey=f"cart-000{n}",
            shippingAddress=address,
        )
        for n in range(2)
    ]
    for status in ("PAID", "SHIPPED", "DELIVERED"):
        await done("advanceOrder", id=orders[0]["id"], to=status)
    await done("cancelOrder", "u-new", id=orders[1]["id"], reason="too many")
    await done("updateReview", "u-new", id=review["id"], rating=5)
    second = await done("addReview", "u-new", productId=PAPER_ID, rating=1)
    await done("deleteReview", "u-new", id=second["id"])
    await done("deleteUser", "u-new")


async def follow(site: Site, reactions: Sequence[Reaction]) -> None:
    """The processor, until it has followed all that was written."""
    client = site.clients["processor"]
    await check(client, site.table, TEMPLATE)
    watch = Watch()
    relay = Relay(
        tables=Tables(client, site.table),
        streams=site.streams["processor"],
        owner=uuid.uuid4().hex,
        journal=NoJournal(),
        reactions=[*reactions, watch],
        letters=site.letters("processor"),
        metrics=StreamMetrics(CollectorRegistry()),
        patience=HASTY,
        now=now,
    )
    async with relay.running(), asyncio.timeout(LONGEST):
        await watch.seen[LAST.id].wait()
        # What comes next is handed over when everything before it is done.
        await site.shop.put(NEXT)
        await watch.seen[NEXT.id].wait()


async def invoke(site: Site, reactions: Sequence[Reaction]) -> None:
    """The Lambda function, with all that was written in one batch."""
    follower = BatchFollower(reactions, site.letters("function"), HASTY, now)
    assert await follower.follow(await events_of(site), LONGEST) is None


async def redrive(site: Site) -> None:
    client = site.clients["redrive"]
    await check(client, site.table, TEMPLATE)
    site.redriven = await Redrive(
        site.streams["redrive"],
        site.letters("redrive"),
        (await client.describe_table(TableName=site.table))["Table"]["LatestStreamArn"],
        site.reactions("redrive"),
        HASTY,
        lambda _line: None,
    ).run()


async def events_of(site: Site) -> list[dict[str, Any]]:
    """The records of the stream as Lambda would send them."""
    streams = site.streams["api"]
    described = await streams.describe_stream(StreamArn=site.stream)
    [shard] = [one["ShardId"] for one in described["StreamDescription"]["Shards"]]
    found = await streams.get_shard_iterator(
        StreamArn=site.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )
    answer = await streams.get_records(ShardIterator=found["ShardIterator"])
    for record in answer["Records"]:
        body = record["dynamodb"]
        body["ApproximateCreationDateTime"] = body["ApproximateCreationDateTime"].timestamp()
        record["eventSourceARN"] = site.stream
    records: list[dict[str, Any]] = answer["Records"]
    return records


@dataclass
class Watch:
    """A reaction that tells when an item has come."""

    name: str = "watch"
    seen: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def react(self, change: Change) -> None:
        if isinstance(change.new, User):
            self.seen[change.new.id].set()


@dataclass
class Stumbling:
    """A reaction that can handle nothing."""

    name: str

    async def react(self, _change: Change) -> None:
        raise ValueError


def now() -> datetime:
    return datetime.now(UTC)


async def _in_haste(seconds: float) -> None:
    await asyncio.sleep(seconds * HASTE)


HASTY = Patience(_in_haste, random.uniform)
