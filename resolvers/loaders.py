"""Loaders: what the fields of one operation ask for becomes few calls, each thing once.

They live for one operation, never longer: what they hold is as old as the operation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import NamedTuple, Self, TypeVar, cast

from aiodataloader import DataLoader, Loader, failed_dispatch

from datasources.cache import Cached
from datasources.errors import StoreError
from datasources.items import (
    Category,
    Item,
    Order,
    Product,
    Review,
    Reviewed,
    Row,
    Unique,
    User,
    from_row,
)
from datasources.keys import GSI3, Key, Keys, entity_of
from datasources.listing import Bound, Listing, Page, read_page
from datasources.table import Table

K = TypeVar("K")
V = TypeVar("V")


class SharedFuture(asyncio.Future[V]):
    """A future that no one of those who wait for it can cancel: it ends with its batch, and only
    then a task that was cancelled meanwhile. (A shield for each of them would cost more than
    all else that a loader does.)

    `batch` ends when all futures of its batch have: who waits for many waits for that."""

    __slots__ = ("batch",)

    batch: asyncio.Future[None]

    def cancel(self, msg: object = None) -> bool:
        return False


class SharingLoader(DataLoader[K, V]):
    """A loader whose futures outlive those who wait for them.

    The executor cancels the siblings of a field that failed. That must not cancel the future
    that other fields share, for the loader would keep it: the key would stay poisoned.

    What is primed gets a future only when it is asked for: of a page's items few are.
    """

    @staticmethod
    def get_cache_key(key: K) -> K:
        return key

    def __init__(self) -> None:
        super().__init__()
        self._primed: dict[K, V] = {}
        self._brought: list[Iterable[tuple[K, V]]] = []
        self._batch: asyncio.Future[None]

    def load(self, key: K) -> asyncio.Future[V]:
        found: asyncio.Future[V] | None = self._cache.get(key)
        if found is None:
            found = self._cache[key] = SharedFuture(loop=self.loop)
            if self._brought:
                self._take_in()
            if key in self._primed:
                found.set_result(self._primed[key])
            else:
                self.do_resolve_reject(key, found)
        return found

    def do_resolve_reject(self, key: K, future: asyncio.Future[V]) -> None:
        """Queues a key. The first of a batch has it read by a task, two turns of the event loop
        from now as the library does it, so that what runs now can still ask."""
        if not self._queue:
            self._batch = self.loop.create_future()
            self.loop.call_soon(self._begin)
        self._queue.append(Loader(key, future))
        if isinstance(future, SharedFuture):
            future.batch = self._batch

    def _begin(self) -> None:
        queue, batch = self._queue, self._batch
        ended = self.loop.create_task(self._load_queue(queue, batch))
        ended.add_done_callback(partial(self._end, queue, batch))

    async def _load_queue(self, queue: list[Loader], batch: asyncio.Future[None]) -> None:
        """As the library has it, but for what types say as well."""
        self._queue = []
        try:
            values = await self.batch_load_fn([key for key, _ in queue])
            for (_, future), value in zip(queue, values, strict=True):
                if future.done():
                    continue
                if isinstance(value, Exception):
                    future.set_exception(value)
                else:
                    future.set_result(value)
        except Exception as error:
            failed_dispatch(self, queue, error)
        batch.set_result(None)  # at once, for whoever waits for all of it

    def _end(
        self, queue: list[Loader], batch: asyncio.Future[None], ended: asyncio.Future[None]
    ) -> None:
        if not ended.cancelled():
            return
        # By the end of the event loop, which waits for who waits here.
        if self._queue is queue:
            self._queue = []
        for key, future in queue:
            self.clear(key)
            asyncio.Future.cancel(future)
        batch.set_result(None)

    def prime_all(self, pairs: Iterable[tuple[K, V]]) -> None:
        """Values that came with something else; not even looked at before somebody loads."""
        self._brought.append(pairs)

    def _take_in(self) -> None:
        brought, self._brought = self._brought, []
        for pairs in brought:
            for key, value in pairs:
                self._primed.setdefault(key, value)

    def clear(self, key: K) -> Self:
        self._take_in()
        self._primed.pop(key, None)
        super().clear(key)
        return self

    def clear_all(self) -> Self:
        self._brought.clear()
        self._primed.clear()
        super().clear_all()
        return self


class ItemLoader(SharingLoader[Key, "Item | None"]):
    """Rows of any kind by key: all that is asked for at once is one BatchGetItem, but for what
    is in the cache, where there is one."""

    def __init__(self, table: Table, cached: Cached | None = None) -> None:
        super().__init__()
        self._table = table
        self._cached = cached

    async def batch_load_fn(self, keys: list[Key]) -> list[Item | None]:
        if self._cached is None:
            return await self._read(keys)
        kept = await self._cached.find(keys)
        if observer := self._table.observer:
            observer.found(len(kept), len(keys))
        missing = [key for key in keys if key not in kept]
        began = self.loop.time()
        read = dict(zip(missing, await self._read(missing), strict=True)) if missing else {}
        self._cached.keep(read, self.loop.time() - began)
        return [kept[key] if key in kept else read[key] for key in keys]

    async def _read(self, keys: list[Key]) -> list[Item | None]:
        if observer := self._table.observer:
            observer.batched("items", len(keys))
        try:
            rows = await self._rows(keys)
        except StoreError as error:
            # Kept, as what was found is: who asks again within the operation, as the executor
            # does that tells what a plan came upon, hears the same and asks no store in need.
            return cast("list[Item | None]", [error] * len(keys))
        # The loader hands an error in the list to whoever asked for that row alone.
        return [cast("Item | None", _parsed(rows.get(key))) for key in keys]

    async def _rows(self, keys: list[Key]) -> Mapping[Key, Item | Row]:
        kind = Item.entities.get(entity_of(keys) or "")
        if kind is None:
            return await self._table.batch_get(keys)
        return await self._table.batch_items(keys, kind)


def _parsed(row: Item | Row | None) -> Item | StoreError | None:
    if row is None or isinstance(row, Item):
        return row
    try:
        return from_row(row)
    except StoreError as error:
        return error


class PageRequest(NamedTuple):
    """At most `size` entries of a list from `start` on; `backward` is against its own order."""

    listing: Listing
    size: int
    backward: bool = False
    start: Bound | None = None


class PageLoader(SharingLoader[PageRequest, Page]):
    """Pages of lists: what is asked for at once is read side by side and arrives together, so
    that what is then loaded for all of it is one batch; the same page twice is one call."""

    def __init__(self, table: Table, items: ItemLoader, *, read_budget: int) -> None:
        super().__init__()
        self._table = table
        self._items = items
        self._budget = read_budget

    async def batch_load_fn(self, requests: list[PageRequest]) -> list[Page]:
        if observer := self._table.observer:
            observer.batched("pages", len(requests))
        pages = await asyncio.gather(*map(self._read, requests), return_exceptions=True)
        return cast("list[Page]", pages)

    async def _read(self, request: PageRequest) -> Page:
        page = await read_page(
            self._table,
            request.listing,
            request.size,
            backward=request.backward,
            start=request.start,
            hydrate=self._hydrate,
            budget=self._budget,
        )
        # Rows of an index may lag behind what an operation that writes must see.
        whole = request.listing.index != GSI3
        if whole and not (self._table.consistent and request.listing.index):
            self._items.prime_all((entry.key, entry.item) for entry in page.entries)
        return page

    async def _hydrate(self, keys: Sequence[Key]) -> Sequence[Item | None]:
        return await self._items.load_many(keys) if keys else []


class Loaders:
    """The loaders of one operation."""

    def __init__(
        self, table: Table, keys: Keys, *, read_budget: int, cached: Cached | None = None
    ) -> None:
        self._table = table
        self._keys = keys
        self._budget = read_budget
        self.cached = cached
        self.items = ItemLoader(table, cached)

    @cached_property
    def pages(self) -> PageLoader:
        """Made when first asked for, since many operations read no list."""
        return PageLoader(self._table, self.items, read_budget=self._budget)

    def forget(self) -> None:
        """Drops what was loaded, since it has been written over."""
        self.items.clear_all()
        self.pages.clear_all()

    def user(self, user_id: str) -> Awaitable[User | None]:
        return cast("Awaitable[User | None]", self.items.load(self._keys.user(user_id)))

    def category(self, slug: str) -> Awaitable[Category | None]:
        return cast("Awaitable[Category | None]", self.items.load(self._keys.category(slug)))

    def product(self, product_id: str) -> Awaitable[Product | None]:
        key = self._keys.product(product_id)
        return cast("Awaitable[Product | None]", self.items.load(key))

    def order(self, user_id: str, order_id: str) -> Awaitable[Order | None]:
        key = self._keys.order(user_id, order_id)
        return cast("Awaitable[Order | None]", self.items.load(key))

    def review(self, product_id: str, review_id: str) -> Awaitable[Review | None]:
        key = self._keys.review(product_id, review_id)
        return cast("Awaitable[Review | None]", self.items.load(key))

    async def review_by(self, user_id: str, product_id: str) -> Review | None:
        """The one review that a user has written of a product."""
        mark = await self.items.load(self._keys.reviewed(user_id, product_id))
        if not isinstance(mark, Reviewed):
            return None
        return await self.review(product_id, mark.review_id)

    async def holder(self, key: Key) -> User | None:
        """The user whom a uniqueness row names."""
        mark = await self.items.load(key)
        return await self.user(mark.user_id) if isinstance(mark, Unique) else None
