"""The cache of items, kept true by whoever reads the stream: before anybody is told of a change,
what has changed has left the cache, so that who reads it then, told by that, reads it anew."""

from __future__ import annotations

from collections.abc import Sequence

from datasources.cache import ItemCache, key_of
from streams.changes import Change
from streams.journal import JournalWriter


class FreshJournal:
    """A journal's writer that has changes leave the cache first. Raises StoreError as it does."""

    def __init__(self, journal: JournalWriter, cache: ItemCache) -> None:
        self._journal = journal
        self._cache = cache

    async def append(self, changes: Sequence[Change]) -> None:
        keys = [key_of(change.keys, change.item) for change in changes]
        await self._cache.changed([key for key in keys if key])
        await self._journal.append(changes)

    async def lose(self) -> None:
        await self._cache.lost()
        await self._journal.lose()
