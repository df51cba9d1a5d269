"""A change has left the cache before anybody hears of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from datasources.cache import MemoryCache
from datasources.errors import ServiceUnavailable
from datasources.keys import Key
from streams.changes import Change
from streams.freshness import FreshJournal
from tests.support import items
from tests.support.changes import change


class Journal:
    """Notes what is still in the cache when it is told of a change."""

    def __init__(self, cache: MemoryCache) -> None:
        self.cache = cache
        self.left: list[int] = []
        self.lost = 0

    async def append(self, changes: Sequence[Change]) -> None:
        self.left += [self.cache.size] * len(changes)

    async def lose(self) -> None:
        self.lost += 1
        self.left.append(self.cache.size)


class Away(MemoryCache):
    async def changed(self, keys: Sequence[Key]) -> None:
        raise ServiceUnavailable("The broker does not answer.")


def filled() -> tuple[MemoryCache, list[Change]]:
    """A cache with three items, of which two change and one order beside."""
    cache = MemoryCache(time.monotonic, most=10)
    keys = change(None, items.user(0)).keys
    user, product, category = items.user(0), items.product(0), items.category("books")
    known = (keys.user(user.id), user), (keys.product(product.id), product)
    cache.keep(dict([*known, (keys.category("books"), category)]))
    return cache, [
        change(user, items.user(0, username="another")),
        change(product, None),
        change(None, items.order(0)),
    ]


async def test_what_has_changed_has_left_before_the_journal_tells_of_it() -> None:
    cache, changes = filled()
    journal = Journal(cache)

    await FreshJournal(journal, cache).append(changes)
    assert journal.left == [1, 1, 1]


async def test_where_changes_were_lost_all_leaves_before_the_journal_tells_of_it() -> None:
    cache, _ = filled()
    journal = Journal(cache)

    await FreshJournal(journal, cache).lose()
    assert (journal.lost, journal.left) == (1, [0])


async def test_nobody_is_told_of_a_change_while_the_cache_cannot_be() -> None:
    _, changes = filled()
    away = Away(time.monotonic, most=10)
    journal = Journal(away)

    with pytest.raises(ServiceUnavailable):
        await FreshJournal(journal, away).append(changes)
    assert journal.left == []
