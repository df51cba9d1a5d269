"""Loaders: few calls, each thing once, and no failure that spreads or stays."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from datasources import products, reviews, users
from datasources.cache import PROMPT, Cached, Caller, MemoryCache
from datasources.errors import StoreError
from datasources.items import ProductStatus, Review
from datasources.keys import Keys
from resolvers.loaders import Loaders, PageRequest
from tests.support import items
from tests.support.items import new_id
from tests.support.memory import MemoryClient

KEYS = Keys("t", 2)
PRODUCT, OTHER = new_id(0, "product"), new_id(1, "product")


@dataclass
class Store(MemoryClient):
    """A store whose answers can be held back, and that can refuse some calls."""

    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        self.asked.set()
        await self.may_answer.wait()
        self._refuse("batch_get_item")
        return await super().batch_get_item(**parameters)

    async def query(self, **parameters: Any) -> dict[str, Any]:
        self._refuse(parameters["ExpressionAttributeValues"][":pk"]["S"])
        return await super().query(**parameters)

    def _refuse(self, what: str) -> None:
        if what in self.refused:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": ""}}, what)


def shop_of(*rows: dict[str, Any]) -> Store:
    store = Store()
    store.put(rows)
    return store


def with_users(count: int) -> Store:
    return shop_of(*(users.row(KEYS, items.user(n)) for n in range(count)))


def loaders(store: Store, *, consistent: bool = False) -> Loaders:
    table = replace(store.table(), consistent=consistent)
    return Loaders(table, KEYS, read_budget=2_000)


def keys_asked(store: Store) -> list[int]:
    """How many keys each BatchGetItem had."""
    return [len(call["RequestItems"]["shop"]["Keys"]) for call in store.named("batch_get_item")]


# --- one call for all ------------------------------------------------------------------------


async def test_all_that_is_asked_for_at_once_is_one_call_and_each_thing_once() -> None:
    store = with_users(3)
    store.put([products.row(KEYS, items.product(0))])
    found = loaders(store)
    first, again, product, missing = await asyncio.gather(
        found.user("user-1"), found.user("user-1"), found.product(PRODUCT), found.user("nobody")
    )
    assert first is again
    assert first == items.user(1)
    assert product == items.product(0)
    assert missing is None
    assert keys_asked(store) == [3]


async def test_what_has_been_read_is_not_read_again() -> None:
    store = with_users(1)
    found = loaders(store)
    assert await found.user("user-0") is await found.user("user-0")
    assert await found.user("nobody") is await found.user("nobody") is None
    assert keys_asked(store) == [1, 1]


async def test_a_review_of_a_user_is_found_by_its_mark() -> None:
    review = items.review(1, PRODUCT, "user-1")
    store = shop_of(reviews.row(KEYS, review), reviews.reviewed_row(KEYS, review))
    found = loaders(store)
    assert await found.review_by("user-1", PRODUCT) == review
    assert await found.review_by("user-2", PRODUCT) is None


async def test_a_user_is_found_by_whom_an_address_is_held() -> None:
    store = with_users(1)
    store.put([users.unique_row(KEYS.email("a@example.com"), "user-0")])
    found = loaders(store)
    assert await found.holder(KEYS.email("A@example.com")) == items.user(0)
    assert await found.holder(KEYS.email("b@example.com")) is None


@pytest.mark.parametrize("consistent", [False, True])
async def test_an_operation_that_writes_reads_what_it_wrote(consistent: bool) -> None:
    store = with_users(1)
    await loaders(store, consistent=consistent).user("user-0")
    [call] = store.named("batch_get_item")
    assert call["RequestItems"]["shop"]["ConsistentRead"] is consistent


# --- failures that stay where they are -------------------------------------------------------


async def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    store = with_users(1)
    store.may_answer.clear()
    found = loaders(store)

    async def load() -> Any:
        return await found.user("user-0")

    cancelled, waiting = asyncio.create_task(load()), asyncio.create_task(load())
    await store.asked.wait()
    cancelled.cancel()
    store.may_answer.set()
    assert await waiting == items.user(0)
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    assert await found.user("user-0") == items.user(0)
    assert keys_asked(store) == [1]


async def test_a_batch_that_is_cancelled_leaves_nobody_waiting() -> None:
    """As all are when their event loop ends, which waits for them."""
    store = with_users(2)
    store.may_answer.clear()
    found = loaders(store)
    before = asyncio.all_tasks()

    async def user(number: int) -> object:
        return await found.user(f"user-{number}")

    waiting = [asyncio.create_task(user(number)) for number in range(2)]
    await store.asked.wait()
    batches = asyncio.all_tasks() - before - {*waiting}
    for task in (*batches, *waiting):
        task.cancel()

    done, _ = await asyncio.wait(waiting, timeout=5)
    assert done == {*waiting}
    assert all(task.cancelled() for task in waiting)
    store.may_answer.set()
    assert await found.user("user-1") == items.user(1)


async def test_a_batch_that_is_cancelled_before_it_began_leaves_nobody_waiting() -> None:
    store = with_users(2)
    found = loaders(store)

    async def user(number: int) -> object:
        return await found.user(f"user-{number}")

    before = asyncio.all_tasks()
    waiting = [asyncio.create_task(user(number)) for number in range(2)]
    for _ in range(10):
        await asyncio.sleep(0)
        if batches := asyncio.all_tasks() - before - {*waiting}:
            break
    for task in batches:
        task.cancel()

    done, _ = await asyncio.wait(waiting, timeout=5)
    assert done == {*waiting}
    assert all(task.cancelled() for task in waiting)
    assert keys_asked(store) == []
    assert await found.user("user-1") == items.user(1)
    assert keys_asked(store) == [1]


async def test_a_page_outlives_who_asked_for_it_as_well() -> None:
    store = shop_of(products.row(KEYS, items.product(0)))
    store.may_answer.clear()  # holds back the products behind the keys of the index
    found = loaders(store)
    request = PageRequest(by_price(), 5)

    async def load() -> Any:
        return await found.pages.load(request)

    cancelled, waiting = asyncio.create_task(load()), asyncio.create_task(load())
    await store.asked.wait()
    cancelled.cancel()
    store.may_answer.set()
    page = await waiting
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    assert [entry.item for entry in page.entries] == [items.product(0)]
    assert len(store.named("query")) == 1


async def test_a_batch_that_failed_is_asked_for_once_until_it_is_forgotten() -> None:
    store = with_users(2)
    found = loaders(store)
    store.refused.add("batch_get_item")
    answers = await asyncio.gather(
        found.user("user-0"), found.user("user-1"), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StoreError, StoreError]
    store.refused.clear()
    with pytest.raises(StoreError):
        await found.user("user-0")
    assert keys_asked(store) == []
    found.forget()
    assert await found.user("user-0") == items.user(0)


async def test_a_page_that_failed_fails_no_other() -> None:
    store = shop_of(*(reviews.row(KEYS, items.review(n, PRODUCT)) for n in range(3)))
    store.refused.add(KEYS.reviews_of(OTHER)[0])
    found = loaders(store)
    good, bad = await asyncio.gather(
        found.pages.load(of_product(PRODUCT)),
        found.pages.load(of_product(OTHER)),
        return_exceptions=True,
    )
    assert isinstance(bad, StoreError)
    assert not isinstance(good, BaseException)
    assert len(good.entries) == 3


# --- pages -----------------------------------------------------------------------------------


def of_product(product_id: str, size: int = 5) -> PageRequest:
    return PageRequest(reviews.of_product(KEYS, "Product.reviews", product_id), size)


def by_price() -> products.PriceListing:
    listing = products.of_category_by_price(
        KEYS, "products", "electronics", ProductStatus.ACTIVE, (None, None), descending=False
    )
    assert isinstance(listing, products.PriceListing)
    return listing


async def test_the_same_page_twice_is_one_call_and_another_size_is_not() -> None:
    store = shop_of(*(reviews.row(KEYS, items.review(n, PRODUCT)) for n in range(3)))
    found = loaders(store)
    pages = await asyncio.gather(
        found.pages.load(of_product(PRODUCT)),
        found.pages.load(of_product(PRODUCT)),
        found.pages.load(of_product(PRODUCT, 2)),
    )
    assert [len(page.entries) for page in pages] == [3, 3, 2]
    assert len(store.named("query")) == 2


async def test_what_a_page_has_shown_is_not_read_again() -> None:
    store = shop_of(*(reviews.row(KEYS, items.review(n, PRODUCT)) for n in range(3)))
    found = loaders(store)
    page = await found.pages.load(of_product(PRODUCT))
    for entry in page.entries:
        assert isinstance(entry.item, Review)
        assert await found.review(PRODUCT, entry.item.id) is entry.item
    assert keys_asked(store) == []


async def test_products_behind_several_pages_by_price_are_one_batch() -> None:
    made = [items.product(n, category=("books", "toys")[n % 2]) for n in range(6)]
    store = shop_of(*(products.row(KEYS, each) for each in made))
    found = loaders(store)
    requests = [
        PageRequest(
            products.of_category_by_price(
                KEYS, "products", slug, ProductStatus.ACTIVE, (None, None), descending=False
            ),
            10,
        )
        for slug in ("books", "toys")
    ]
    await asyncio.gather(*(found.pages.load(request) for request in requests))
    assert keys_asked(store) == [6]
    assert await found.product(made[0].id) == made[0]
    assert keys_asked(store) == [6]


async def test_a_new_operation_reads_anew() -> None:
    store = with_users(1)
    assert await loaders(store).user("user-0") == items.user(0)
    store.put([users.row(KEYS, items.user(0, username="renamed"))])
    found = await loaders(store).user("user-0")
    assert found is not None
    assert found.username == "renamed"


async def test_loaders_of_two_tenants_share_nothing() -> None:
    store = with_users(1)
    theirs = Loaders(store.table(), Keys("u", 2), read_budget=2_000)
    assert await theirs.user("user-0") is None


# --- the cache ------------------------------------------------------------------------------


def cached(store: Store, cache: MemoryCache, caller: Caller = None) -> Loaders:
    return Loaders(store.table(), KEYS, read_budget=2_000, cached=Cached(cache, caller))


async def test_what_is_in_the_cache_is_not_read_again_and_the_rest_is_one_call() -> None:
    store, cache = with_users(3), MemoryCache(time.monotonic, most=10)
    assert await cached(store, cache).user("user-0") == items.user(0)
    store.calls.clear()

    loaders = cached(store, cache)
    found = await asyncio.gather(*(loaders.user(f"user-{n}") for n in (2, 0, 1, 9)))
    assert found == [items.user(2), items.user(0), items.user(1), None]
    assert [len(call["RequestItems"]["shop"]["Keys"]) for _, call in store.calls] == [3]
    assert await cached(store, cache).user("user-1") == items.user(1)
    assert len(store.calls) == 1


async def test_who_has_written_reads_the_store() -> None:
    store, cache = with_users(1), MemoryCache(time.monotonic, most=10)
    me = ("t", "user-0")
    await cached(store, cache).user("user-0")
    await cache.wrote([], me)
    store.calls.clear()

    await cached(store, cache, me).user("user-0")
    assert len(store.calls) == 1
    await cached(store, cache).user("user-0")
    assert len(store.calls) == 1


async def test_a_read_that_took_long_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    store, cache = with_users(1), MemoryCache(time.monotonic, most=10)
    loop = asyncio.get_running_loop()
    now = loop.time
    store.may_answer.clear()
    reading = asyncio.ensure_future(cached(store, cache).user("user-0"))
    await store.asked.wait()
    monkeypatch.setattr(loop, "time", lambda: now() + PROMPT)
    store.may_answer.set()
    assert await reading == items.user(0)
    assert cache.size == 0


async def test_a_failed_read_is_not_kept() -> None:
    store, cache = with_users(1), MemoryCache(time.monotonic, most=10)
    store.refused.add("batch_get_item")
    with pytest.raises(StoreError):
        await cached(store, cache).user("user-0")

    store.refused.clear()
    assert await cached(store, cache).user("user-0") == items.user(0)
