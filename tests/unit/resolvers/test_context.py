"""The client that an operation has: the service's own, or the one for its tenant and purpose."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from datasources.cursor import CursorCodec
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from streams.journal import MemoryJournal
from tests.support.items import NOW
from tests.support.memory import MemoryClient

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
