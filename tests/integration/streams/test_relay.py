"""The relay over the real embedded store: ratings and counts are those of a recount."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from datasources import users
from datasources.attributes import decode_row, encode_row
from datasources.client import Endpoint, StreamsClient, open_streams_client
from datasources.errors import ConfigurationError, StoreError
from datasources.items import Category, Item, Product, ProductStatus, Review, from_row
from datasources.keys import PK, SK, Key
from datasources.operating.provision import provision
from datasources.seed.generate import generate
from datasources.seed.load import load
from datasources.table import Table
from streams.changes import Change
from streams.consequences import Sinks, consequences
from streams.dead_letters import LoggedDeadLetters
from streams.leases import Leases, Position
from streams.mail.language import Prices
from streams.metrics import StreamMetrics
from streams.outbox import Outbox
from streams.patience import Patience
from streams.reader import OTHERS
from streams.relay import Relay
from streams.tables import Tables
from tests.support.items import category, product, review, user
from tests.support.shop import TestShop, keep_what_expires

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
TENANT = "t"


def now() -> datetime:
    return datetime.now(UTC)


LONGEST = 60


@dataclass
class Watch:
    """A reaction beside the shop's own that tells when it has seen a change, and what was
    published, which is in the order of writing."""

    name: str = "watch"
    seen: list[Change] = field(default_factory=list)
    published: list[Change] = field(default_factory=list)
    losses: int = 0
    one_more: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, changes: Sequence[Change]) -> None:
        self.published += changes

    async def lose(self) -> None:
        self.losses += 1

    async def react(self, change: Change) -> None:
        self.seen.append(change)
        self.one_more.set()

    async def until_seen(self, count: int) -> None:
        await self._until(lambda: len(self.seen) >= count)

    async def until_written(self, item: Item) -> list[Change]:
        """What was published before this item, once all of that has been reacted to."""
        await self._until(lambda: any(change.new == item for change in self.seen))
        before = self.published[: [change.new for change in self.published].index(item)]
        await self._until(lambda: all(change in self.seen for change in before))
        return before

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONGEST):
            while not holds():
                self.one_more.clear()
                await self.one_more.wait()


@dataclass
class Shop:
    """A shop in tables of its own, so that its stream is its own."""

    client: DynamoDBClient
    streams: StreamsClient
    name: str

    def __post_init__(self) -> None:
        self.rows = TestShop(self.client, self.name, tenant=TENANT)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Watch]:
        """Runs within the block, and is cancelled at its end."""
        watch = Watch()
        async with self.relay(watch).running() as running:
            yield watch
            assert not running.done()

    def relay(self, watch: Watch, *, name: str | None = None, exclusive: bool = False) -> Relay:
        tables = Tables(self.client, name or self.name)
        outbox = Outbox(now)
        sinks = Sinks(outbox, outbox, Prices("JPY", 0), low_stock=5)
        return Relay(
            tables=tables,
            streams=self.streams,
            owner=uuid.uuid4().hex,
            journal=watch,
            reactions=[*consequences(tables, sinks, now), watch],
            letters=LoggedDeadLetters(),
            metrics=StreamMetrics(CollectorRegistry()),
            patience=Patience(asyncio.sleep, random.uniform),
            now=now,
            exclusive=exclusive,
        )

    async def catch_up(self) -> list[Change]:
        """Runs a relay until it has seen everything written so far, and returns that."""
        last = user(1, id=uuid.uuid4().hex)
        await self.rows.put_rows([users.row(self.rows.keys, last)])
        async with self.relaying() as watch:
            return await watch.until_written(last)

    async def items(self) -> list[Item]:
        found: list[Item] = []
        paginator = self.client.get_paginator("scan")
        async for page in paginator.paginate(TableName=self.name, ConsistentRead=True):
            found += [from_row(decode_row(raw)) for raw in page["Items"]]
        return found

    async def remove(self, keys: Iterable[Key]) -> None:
        for key in keys:
            await self.client.delete_item(
                TableName=self.name, Key=encode_row({PK: key.pk, SK: key.sk})
            )

    async def assert_counts_right(self) -> None:
        """Every histogram and count is that of the reviews and products that there are."""
        items = await self.items()
        rated = Counter((one.product_id, one.rating) for one in items if isinstance(one, Review))
        sold = Counter(
            one.category
            for one in items
            if isinstance(one, Product) and one.status is ProductStatus.ACTIVE
        )
        for item in items:
            match item:
                case Product():
                    counted = tuple(rated[item.id, stars] for stars in (1, 2, 3, 4, 5))
                    assert item.histogram == counted, item.name
                case Category():
                    assert item.product_count == sold[item.slug], item.slug


@pytest.fixture
async def shop(client: DynamoDBClient, endpoint: Endpoint) -> AsyncIterator[Shop]:
    name = f"shop-{uuid.uuid4().hex[:12]}"
    await provision(client, name, TEMPLATE)
    await keep_what_expires(client, name)
    async with open_streams_client(endpoint) as streams:
        yield Shop(client, streams, name)


PRODUCTS = [product(n, category="books" if n % 2 else "toys") for n in range(6)]


def reviews(count: int) -> list[Review]:
    """Spread over the products, each by a customer of its own."""
    return [review(n, PRODUCTS[n % 6].id, author=f"user-{n}") for n in range(count)]


async def test_ratings_and_counts_follow_what_is_written(shop: Shop) -> None:
    keys, written = shop.rows.keys, reviews(60)
    await shop.rows.put(category("books"), category("toys"), *PRODUCTS, *written)
    await shop.catch_up()
    await shop.assert_counts_right()

    await shop.rows.put(
        *(one.changed(rating=5, title="Better") for one in written[:20]),
        product(8, category="books"),
        product(9, category="toys", status=ProductStatus.DRAFT),
        product(10, category=None),
    )
    await shop.remove(keys.review(one.product_id, one.id) for one in written[15:40])
    await shop.remove([keys.product(PRODUCTS[0].id)])
    await shop.rows.put(product(8, category="toys", status=ProductStatus.ACTIVE))
    await shop.rows.put(product(9, category="toys", status=ProductStatus.ACTIVE))
    await shop.rows.put(product(8, category="toys", status=ProductStatus.ARCHIVED))
    await shop.catch_up()

    await shop.assert_counts_right()
    counts = {
        one.slug: one.product_count for one in await shop.items() if isinstance(one, Category)
    }
    assert counts == {"books": 3, "toys": 3}


async def test_a_rating_is_no_edit_of_the_product(shop: Shop) -> None:
    await shop.rows.put(*PRODUCTS, *reviews(12))
    await shop.catch_up()
    for item in await shop.items():
        if isinstance(item, Product):
            assert sum(item.histogram) == 2
            assert item.changed(histogram=(0, 0, 0, 0, 0)) in PRODUCTS


async def test_what_a_killed_processor_had_begun_is_counted_once(shop: Shop) -> None:
    await shop.rows.put(category("books"), category("toys"), *PRODUCTS, *reviews(120))
    for enough in (20, 50, 1):
        async with shop.relaying() as watch:
            await watch.until_seen(enough)
    seen = await shop.catch_up()

    again = {change.event_id for change in watch.seen} & {change.event_id for change in seen}
    assert again, "the effects of the last were behind its checkpoint"
    await shop.assert_counts_right()


async def test_a_processor_goes_on_where_the_last_one_was(shop: Shop) -> None:
    later = user(2)
    async with shop.relaying() as watch:
        await shop.rows.put(*PRODUCTS)
        await watch.until_seen(len(PRODUCTS))
        # Seen on a page of its own, so the page before is behind the checkpoint.
        await shop.rows.put(later)
        await watch.until_written(later)
    seen = await shop.catch_up()
    assert not [change for change in seen if change.new in PRODUCTS]


async def test_loaded_rows_are_counted_already(shop: Shop) -> None:
    keys, now = shop.rows.keys, datetime.now(UTC)
    drawn = generate(keys, users=30, products=40, orders=10, reviews=90, seed=1, now=now)
    await load(shop.rows.table(), drawn)
    await shop.assert_counts_right()
    await shop.catch_up()
    await shop.assert_counts_right()

    items = await shop.items()
    opinions = [one for one in items if isinstance(one, Review)]
    goods = [one for one in items if isinstance(one, Product)]
    await shop.remove(keys.review(one.product_id, one.id) for one in opinions[:10])
    await shop.remove(keys.product(one.id) for one in goods[:5])
    await shop.rows.put(*(one.changed(rating=1) for one in opinions[10:30]))
    await shop.rows.put(review(1, goods[6].id, author="new"))
    await shop.catch_up()
    await shop.assert_counts_right()


async def test_every_change_is_seen_in_the_order_of_writing(shop: Shop) -> None:
    versions = [product(1, version=n) for n in range(1, 31)]
    for version in versions:
        await shop.rows.put(version)
    seen = await shop.catch_up()
    assert [change.new for change in seen] == versions
    assert {change.tenant for change in seen} == {TENANT}


async def test_a_checkpoint_that_the_stream_no_longer_has_is_reported_and_got_over(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.rows.put(category("books"), category("toys"), *PRODUCTS, *reviews(12))
    table = (await shop.client.describe_table(TableName=shop.name))["Table"]
    stream = table["LatestStreamArn"]
    described = await shop.streams.describe_stream(StreamArn=stream)
    [shard] = described["StreamDescription"]["Shards"]

    def system() -> Table:
        return replace(shop.rows.table(), name=f"{shop.name}-system")

    leases = Leases(system, stream, "who was before", now, asyncio.get_running_loop().time)
    for name, position in (
        (shard["ShardId"], Position("00000000000000000000000000000001")),
        ("a shard of old", Position("1", ended=True)),
    ):
        lease = await leases.take(name)
        assert lease is not None
        async with lease.kept(asyncio.sleep):
            await lease.save(position)
    seen = await shop.catch_up()
    assert len(seen) == 2 + len(PRODUCTS) + 12
    assert "events lost" in caplog.text
    await shop.assert_counts_right()


async def test_a_table_that_is_not_there_ends_the_relay(shop: Shop) -> None:
    with pytest.raises(StoreError, match="ResourceNotFound"):
        await shop.relay(Watch(), name="no-such-table").run()


async def test_a_table_without_a_stream_is_a_wrong_setting(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="should have a stream"):
        await shop.relay(Watch(), name=f"{shop.name}-system").run()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST):
        while not holds():  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.05)


async def test_a_table_that_is_made_anew_is_followed_again(shop: Shop) -> None:
    async with shop.relaying() as watch:
        await shop.rows.put(PRODUCTS[0])
        await watch.until_written(PRODUCTS[0])
        await shop.client.delete_table(TableName=shop.name)
        await provision(shop.client, shop.name, TEMPLATE)
        await shop.rows.put(PRODUCTS[1])
        await watch.until_written(PRODUCTS[1])
        assert watch.losses == 1


async def test_of_two_exclusive_relays_the_second_waits_for_the_first(shop: Shop) -> None:
    ahead, behind = Watch(), Watch()
    first, second = (shop.relay(watch, exclusive=True) for watch in (ahead, behind))
    async with first.running():
        await until(lambda: first.missing is None)
        async with second.running():
            await until(lambda: second.missing == OTHERS)
            await shop.rows.put(PRODUCTS[0])
            await ahead.until_written(PRODUCTS[0])
            assert behind.seen == []
    async with second.running():
        await shop.rows.put(PRODUCTS[1])
        await behind.until_written(PRODUCTS[1])
        assert second.missing is None
