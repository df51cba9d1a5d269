"""What an operation reads with: the service's own client, or the one for its tenant and purpose;
the cache, unless it writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from datasources.cache import MemoryCache
from datasources.cursor import CursorCodec
from datasources.items import Product
from datasources.keys import Keys
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from streams.journal import MemoryJournal
from tests.support import items
from tests.support.items import NOW
from tests.support.memory import MemoryClient
from tests.support.shop import rows_of

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

OWN, OTHER = MemoryClient().as_client(), MemoryClient().as_client()


@dataclass
class Clients:
    """Gives the same client to all, and keeps who came for what."""

    asked: list[tuple[str, bool]] = field(default_factory=list)

    def client_of(self, tenant: str, fresh: bool) -> DynamoDBClient:
        self.asked.append((tenant, fresh))
        return OTHER


SHOP = Shop(
    client=OWN,
    table="shop",
    shards=4,
    currency=Currency("JPY", 0),
    cursors=CursorCodec(["a key of sixteen or more"]),
    deadline=5,
    read_budget=2_000,
    journal=MemoryJournal(lambda: NOW),
    now=lambda: NOW,
)


async def test_operations_have_the_services_own_client() -> None:
    context = SHOP.operation(Principal.anonymous("t"), "r", writes=False)
    assert context.table.client is OWN


async def test_operations_have_the_client_of_their_tenant() -> None:
    clients = Clients()
    shop = replace(SHOP, client_of=clients.client_of)
    for tenant in ("t", "u"):
        context = shop.operation(Principal.anonymous(tenant), "r", writes=False)
        assert context.table.client is OTHER
    assert clients.asked == [("t", False), ("u", False)]


async def test_what_writes_and_what_follows_a_change_reads_what_is_fresh() -> None:
    clients = Clients()
    shop = replace(SHOP, client_of=clients.client_of)
    shop.operation(Principal.anonymous("t"), "r", writes=True)
    shop.operation(Principal.anonymous("t"), "r", writes=False, follows=True)
    assert clients.asked == [("t", True), ("t", True)]


async def test_what_writes_does_not_read_from_the_cache() -> None:
    rows, cache = MemoryClient(), MemoryCache(lambda: 1_000.0, most=10)
    before, now = items.product(0, inventory=5), items.product(0, inventory=1)
    rows.put(rows_of(Keys("t", 4), now))
    cache.keep({Keys("t", 4).product(now.id): before})
    shop = replace(SHOP, client=rows.as_client(), cache=cache)

    async def found(*, writes: bool, follows: bool = False) -> Product | None:
        principal = Principal.anonymous("t")
        context = shop.operation(principal, "r", writes=writes, follows=follows)
        return await context.loaders.product(now.id)

    assert await found(writes=False) == await found(writes=False, follows=True) == before
    assert await found(writes=True) == now
    # Nor does it keep what it has read.
    assert await found(writes=False) == before
