"""Items that are kept between operations, so that what many ask for is read once.

The stream of changes keeps them true, not time alone: an item leaves when a change of it is heard
of, and after LIFE at the latest. One that has left does not come back for SETTLING: a read may have
begun before the change, PROMPT ago at most, for what came later is not kept; and one that begins
after may still be answered by a replica that has not heard of it. Who has written reads past the
cache for as long as anything in it can be older than that. Operations that write never read from
it, and orders, which money depends on, are never in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from datasources.items import Category, Item, Product, Review, User
from datasources.keys import Key, Keys

KEPT = (Category, Product, Review, User)
LIFE = 30.0  # seconds
PROMPT = 5.0  # seconds that a read may have taken of which something is kept
SETTLING = 8.0  # seconds: PROMPT, and what a replica lags behind
LARGEST = 16_384  # bytes of an item, as JSON; 20,000 such are 330 MB

# Who reads or has written: a tenant and a user's ID; None: nobody that could have.
Caller = tuple[str, str] | None


class ItemCache(Protocol):
    """What readers and writers need of it never fails: what cannot be told is not there."""

    async def find(self, keys: Sequence[Key], caller: Caller) -> Mapping[Key, Item]:
        """Those that are kept and that this caller may be told of."""

    def keep(self, read: Mapping[Key, object]) -> None:
        """This has been read just now, within PROMPT; what is of another kind than is kept, or
        larger than LARGEST, is passed over."""

    async def wrote(self, keys: Iterable[Key], caller: Caller) -> None:
        """The caller has written these; to be awaited before that is answered."""

    async def changed(self, keys: Sequence[Key]) -> None:
        """Changes of these have been heard of. Raises StoreError where the cache is away."""

    async def lost(self) -> None:
        """Changes may have passed unheard. Raises as `changed`."""


class Cached(NamedTuple):
    """A cache, as one caller reads from it."""

    cache: ItemCache
    caller: Caller

    async def find(self, keys: Sequence[Key]) -> Mapping[Key, Item]:
        return await self.cache.find(keys, self.caller)

    def keep(self, read: Mapping[Key, object], took: float) -> None:
        """This has been read by a call of so many seconds."""
        if took <= PROMPT:
            self.cache.keep(read)

    async def wrote(self, keys: Iterable[Key]) -> None:
        await self.cache.wrote(keys, self.caller)


def encoded(item: object) -> bytes | None:
    """An item of a kind that is kept, as JSON; None for what is not to be kept."""
    if not isinstance(item, KEPT):
        return None
    text = msgspec.json.encode(item)
    return text if len(text) <= LARGEST else None


def key_of(keys: Keys, item: Item) -> Key | None:
    """The key of an item of a kind that is kept."""
    match item:
        case Product():
            return keys.product(item.id)
        case Review():
            return keys.review(item.product_id, item.id)
        case User():
            return keys.user(item.id)
        case Category():
            return keys.category(item.slug)
        case _:
            return None


class MemoryCache:
    """Of one process: at most `most` items, those that were asked for last. `clock` counts
    seconds and never goes back."""

    def __init__(self, clock: Callable[[], float], most: int) -> None:
        self._clock = clock
        self._most = most
        self._items: OrderedDict[Key, tuple[Item, float]] = OrderedDict()
        self._away: OrderedDict[Key, float] = OrderedDict()  # until when, the soonest first
        self._writers: OrderedDict[Caller, float] = OrderedDict()  # likewise
        self._settled = 0.0  # when what is read may be kept again

    @property
    def size(self) -> int:
        """How many items there are."""
        return len(self._items)

    async def find(self, keys: Sequence[Key], caller: Caller) -> Mapping[Key, Item]:
        now = self._clock()
        if caller is not None and self._writers.get(caller, 0.0) > now:
            return {}
        found = {}
        for key in keys:
            item, until = self._items.get(key, _NOTHING)
            if item is None:
                continue
            if until <= now:
                del self._items[key]
            else:
                self._items.move_to_end(key)
                found[key] = item
        return found

    def keep(self, read: Mapping[Key, object]) -> None:
        now = self._clock()
        if now < self._settled:
            return
        for key, item in read.items():
            if self._away.get(key, 0.0) > now or not isinstance(item, KEPT):
                continue
            if encoded(item):
                self._items[key] = item, now + LIFE
                self._items.move_to_end(key)
        while len(self._items) > self._most:
            self._items.popitem(last=False)

    async def wrote(self, keys: Iterable[Key], caller: Caller) -> None:
        await self.changed(list(keys))
        if caller is not None:
            _note(self._writers, caller, self._clock(), LIFE)

    async def changed(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._items.pop(key, None)
            _note(self._away, key, self._clock(), SETTLING)

    async def lost(self) -> None:
        self._items.clear()
        self._settled = self._clock() + SETTLING


K = TypeVar("K")

_NOTHING: tuple[None, float] = (None, 0.0)


def _note(notes: OrderedDict[K, float], name: K, now: float, seconds: float) -> None:
    """Notes a name for so long, which is the same for all of them, and drops what is over."""
    notes[name] = now + seconds
    notes.move_to_end(name)
    while next(iter(notes.values())) <= now:
        notes.popitem(last=False)
