"""Units and requests of DynamoDB of every operation, and of what follows each write.

`python -m bench.units` runs the service's own schema over an embedded store, as `bench.orders`
does, then the reactions to each change as the stream has it, and writes `bench/UNITS.md`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.asked import Asked, known, reads, writes
from bench.ledger import PLACES, Entry, Ledger, Sum, reason
from bench.orders import CACHE, REGION, TEMPLATE
from bench.prices import MIX, TARGET, TOKYO, Load, dollars, mixed, months
from bench.shelf import SHARDS, TABLE, TENANT, stock
from datasources.cache import MemoryCache
from datasources.client import Endpoint, StreamsClient, open_client, open_streams_client
from datasources.cursor import CursorCodec
from datasources.embedded import embedded_store
from datasources.operating.provision import provision
from datasources.seed.load import load
from datasources.table import Table
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.build import build_schema
from schema.limits import Limits
from schema.operations.operation import Executor
from streams.changes import read_change
from streams.consequences import Sinks, consequences
from streams.journal import MemoryJournal
from streams.mail.language import Prices as PricesInMail
from streams.outbox import Outbox
from streams.tables import Tables

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

RESULTS = Path(__file__).parent / "UNITS.md"
PRODUCTS = 1_000
SELF = "itself"  # the reason of what the operation does


@dataclass(frozen=True, slots=True)
class Found:
    """What an operation takes, and what each reaction to its changes does."""

    title: str
    itself: Sum
    follows: Mapping[str, Sum]

    @property
    def load(self) -> Load:
        """All of it, as it is paid for."""
        parts = [self.itself, *self.follows.values()]
        return reduce(Load.__add__, (Load(one.reads, one.writes) for one in parts))


async def main() -> None:
    async with (
        embedded_store(cache_dir=CACHE, data_dir=None, region=REGION, report=print) as url,
        open_client(Endpoint(REGION, url, local=True)) as plain,
        open_streams_client(Endpoint(REGION, url, local=True)) as streams,
    ):
        await provision(plain, TABLE, TEMPLATE)
        shelf = stock(PRODUCTS)
        table = Table(plain, TABLE, asyncio.get_running_loop().time() + 600)
        await load(table, shelf.rows)
        ledger = Ledger(plain, f"{TABLE}-system")
        counting = Counting(ledger, cast("DynamoDBClient", ledger), known(shelf))
        read = [await counting.ask(one) for one in reads()]
        again = [await counting.again(one) for one in reads()]
        wrote = []
        async with following(plain, streams) as stream:
            for one in writes():
                found = await counting.ask(one)
                wrote.append(await counting.follow(found, stream))
    if ledger.refused:
        raise SystemExit(f"{ledger.refused} writes were refused, and are not in the account")
    RESULTS.write_text("\n".join(page(read, again, wrote)) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


class Counting:
    def __init__(self, ledger: Ledger, client: DynamoDBClient, facts: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._facts = dict(facts)
        self._executor = Executor(build_schema(), limits=Limits(), introspection=False)
        outbox = Outbox(_now)
        sinks = Sinks(outbox, outbox, PricesInMail("JPY", 0), low_stock=5)
        self._reactions = consequences(Tables(client, TABLE), sinks, _now)
        journal = MemoryJournal(_now)
        self._shop = Shop(
            journal=journal,
            client=client,
            table=TABLE,
            shards=SHARDS,
            currency=Currency("JPY", 0),
            cursors=CursorCodec(["a key for the benchmark"]),
            deadline=60,
            write_deadline=60,
            read_budget=2_000,
            now=_now,
        )

    async def again(self, asked: Asked) -> Found:
        """What it takes where all that it reads by key is in a cache."""
        without = self._shop
        self._shop = replace(without, cache=MemoryCache(time.monotonic, 20_000))
        await self.ask(asked)
        found = await self.ask(asked)
        self._shop = without
        return found

    async def ask(self, asked: Asked) -> Found:
        operation = self._executor.prepare(asked.query, None, asked.given(self._facts))
        principal = Principal(asked.user, TENANT, asked.staff, None)
        writes = asked.query.startswith("mutation")
        reason.set(SELF)
        answer = await self._executor.run(
            operation, self._shop.operation(principal, "", writes=writes)
        )
        data = answer.data or {}
        wrong = [one["userErrors"] for one in data.values() if writes and one["userErrors"]]
        only_error = [str(one) for one in answer.errors or ()]
        if asked.title != "changeCursor" and (only_error or wrong or not all(data.values())):
            raise SystemExit(f"{asked.title}: {only_error or wrong or data}")
        if asked.learns:
            name, path = asked.learns
            self._facts[name] = _at(data, path)
        return Found(asked.title, Sum.of(self._ledger.take()), {})

    async def follow(self, found: Found, stream: Stream) -> Found:
        """With what the reactions do, and the reactions to that."""
        entries: list[Entry] = []
        while records := await stream.records():
            for record in records:
                change = read_change(record)
                for reaction in self._reactions if change else ():
                    reason.set(reaction.name)
                    await reaction.react(change)  # type: ignore[arg-type]  # it is there
            entries += self._ledger.take()
        names = dict.fromkeys(entry.reason for entry in entries)
        follows = {
            name: Sum.of(entry for entry in entries if entry.reason == name) for name in names
        }
        return Found(found.title, found.itself, follows)


@dataclass(slots=True)
class Stream:
    """The one shard that an embedded store's stream has, from now on."""

    client: StreamsClient
    iterator: str

    async def records(self) -> list[Any]:
        answer = await self.client.get_records(ShardIterator=self.iterator)
        self.iterator = answer["NextShardIterator"]
        records: list[Any] = answer["Records"]
        return records


@asynccontextmanager
async def following(client: DynamoDBClient, streams: StreamsClient) -> AsyncIterator[Stream]:
    described = await client.describe_table(TableName=TABLE)
    arn = described["Table"]["LatestStreamArn"]
    shards = (await streams.describe_stream(StreamArn=arn))["StreamDescription"]["Shards"]
    answer = await streams.get_shard_iterator(
        StreamArn=arn, ShardId=shards[-1]["ShardId"], ShardIteratorType="LATEST"
    )
    yield Stream(streams, answer["ShardIterator"])


def _now() -> datetime:
    return datetime.now(UTC)


def _at(data: Any, path: str) -> str:
    for name in path.split("."):
        data = data[name]
    return str(data)


# --- the page ----------------------------------------------------------------------------------


def page(read: Sequence[Found], again: Sequence[Found], wrote: Sequence[Found]) -> Iterator[str]:
    yield _HEAD
    yield "## Reading\n"
    yield _READING
    yield (
        "| root field | requests | read units | of them in indexes | a million, on demand "
        "| cached: requests | read units | a million |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for one, kept in zip(read, again, strict=True):
        indexed = one.itself.reads - one.itself.read.get(PLACES[0], 0)
        yield (
            f"| {one.title} | {one.itself.requests} | {one.itself.reads:g} | {indexed:g} "
            f"| {dollars(TOKYO.million(one.load))} | {kept.itself.requests} "
            f"| {kept.itself.reads:g} | {dollars(TOKYO.million(kept.load))} |"
        )
    yield "\n## Writing\n"
    yield _WRITING
    yield (
        "| mutation | requests | read units | write units | table | GSI1 | GSI2 | GSI3 "
        "| then: requests | read | write | a million, all of it |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    yield from map(_written, wrote)
    yield "\n## What follows a write\n"
    yield "Each reaction that does something, and what it takes:\n"
    yield "| after | reaction | requests | read units | write units |"
    yield "|---|---|---:|---:|---:|"
    for one in wrote:
        for name, each in one.follows.items():
            yield f"| {one.title} | {name} | {each.requests} | {each.reads:g} | {each.writes:g} |"
    loads = {one.title: one.load for one in (*read, *wrote)}
    yield from _costs(loads, loads | {one.title: one.load for one in again})


def _written(one: Found) -> str:
    own, later = one.itself, one.follows.values()
    places = " | ".join(f"{own.written.get(place, 0):g}" for place in PLACES[:-1])
    return (
        f"| {one.title} | {own.requests} | {own.reads:g} | {own.writes:g} | {places} "
        f"| {sum(each.requests for each in later)} | {sum(each.reads for each in later):g} "
        f"| {sum(each.writes for each in later):g} | {dollars(TOKYO.million(one.load))} |"
    )


def _costs(loads: Mapping[str, Load], cached: Mapping[str, Load]) -> Iterator[str]:
    request, best, prices = mixed(loads), mixed(cached), TOKYO
    yield "\n## What it costs\n"
    yield (
        f"Prices of {prices.region}, US dollars, as of {prices.as_of} ({prices.source}); "
        "they stand in `bench/prices.py`.\n"
    )
    yield "| | on demand, a million units | provisioned, a unit for an hour |"
    yield "|---|---:|---:|"
    yield f"| writing | ${prices.write * 1e6:g} | ${prices.write_hour:g} |"
    yield f"| reading | ${prices.read * 1e6:g} | ${prices.read_hour:g} |"
    yield (
        "\nThe average request of a shop is made of these, of each hundred (a guess; it stands in "
        "`bench/prices.py` too):\n"
    )
    yield "; ".join(f"{share:g} {title}" for title, share in MIX.items()) + ".\n"
    yield (
        f"It takes {request.reads:.2f} read units and {request.writes:.2f} write units, with what "
        f"follows: {dollars(prices.million(request))} a million on demand. With a cache that has "
        f"all that can be in one it takes {best.reads:.2f} read units: "
        f"{dollars(prices.million(best))}.\n"
    )
    yield (
        "| requests a second | read units a second | write units a second | a month on demand "
        f"| provisioned, {TARGET:.0%} used | provisioned for three times the average |"
    )
    yield "|---:|---:|---:|---:|---:|---:|"
    yield from (f"| {' | '.join(row)} |" for row in months(prices, request))
    even = prices.break_even(request)
    yield (
        f"\nProvisioned is cheaper where more than **{even:.0%}** of it is used on average. Scaled "
        f"to {TARGET:.0%} of its use at the peak, that is where the peak is less than "
        f"**{TARGET / even:.1f} times** the average, at any rate; a table that auto scaling keeps "
        "up with is scaled by the hour, and gains by its nights."
    )


_HEAD = """\
# Units and requests of every operation

`make bench-units` writes this page. The service's own schema runs over an embedded store with the
shop of `bench/shelf.py` (1,000 products, 6,000 reviews, 1,000 orders; 4 shards), without a cache
but where it says so.
Write units are those that the store reports by `ReturnConsumedCapacity: INDEXES` (MiniStack, which
counts by the larger size of a row before and after, twice in a transaction, and of an index what
changes in it, once). Read units are counted by the bytes of the rows that were read
(`bench/ledger.py`): of BatchGetItem the store reports nothing, and of Query the same whatever it
read. None of it has been measured on AWS yet.
"""

_READING = """\
*Cached* is the same where all that is read by key is in the cache (`CARTOGRAPH_CACHE`), which holds
no orders and no lists.
"""

_WRITING = """\
The columns to *GSI3* are what the mutation itself takes, in transactions; those from *then* on what
the processor's reactions take, later and beside it. Rows that are read to decide are read strongly
consistent, which counts twice.
"""


if __name__ == "__main__":
    asyncio.run(main())
