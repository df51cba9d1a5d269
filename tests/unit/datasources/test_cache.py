"""The cache of a process: what is in it, for how long, and for whom."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from datasources.cache import LARGEST, LIFE, PROMPT, SETTLING, Cached, MemoryCache, key_of
from datasources.items import Item
from datasources.keys import Key, Keys
from tests.support import items

KEYS = Keys("t", 2)
ME, OTHER = ("t", "me"), ("t", "other")


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> MemoryCache:
    return MemoryCache(clock, most=3)


def product(number: int = 0) -> tuple[Key, Item]:
    item = items.product(number)
    return KEYS.product(item.id), item


async def test_what_was_read_is_found_by_all_until_its_life_is_over(
    cache: MemoryCache, clock: Clock
) -> None:
    key, item = product()
    cache.keep({key: item})

    clock.now += LIFE - 0.001
    assert await cache.find([key, Key("a", "b")], ME) == {key: item}
    assert await cache.find([key], None) == {key: item}
    clock.now += 0.001
    assert await cache.find([key], ME) == {}
    assert cache.size == 0


async def test_what_changes_leaves_and_comes_back_only_when_all_reads_are_new(
    cache: MemoryCache, clock: Clock
) -> None:
    key, item = product()
    cache.keep({key: item})

    await cache.changed([key])
    assert await cache.find([key], None) == {}
    clock.now += SETTLING - 0.001
    cache.keep({key: item})  # by a read that began before the change, for all that is known
    assert await cache.find([key], None) == {}
    clock.now += 0.001
    cache.keep({key: item})
    assert await cache.find([key], None) == {key: item}


async def test_who_has_written_reads_past_it_and_others_lose_but_what_was_written(
    cache: MemoryCache, clock: Clock
) -> None:
    written, other = product(0), product(1)
    cache.keep(dict([written, other]))

    await cache.wrote([written[0]], ME)
    assert await cache.find([written[0], other[0]], ME) == {}
    assert await cache.find([written[0], other[0]], OTHER) == dict([other])
    clock.now += LIFE
    cache.keep(dict([other]))
    assert await cache.find([other[0]], ME) == dict([other])


async def test_after_changes_were_lost_nothing_is_told_until_all_is_new(
    cache: MemoryCache, clock: Clock
) -> None:
    key, item = product()
    cache.keep({key: item})

    await cache.lost()
    cache.keep({key: item})
    assert await cache.find([key], None) == {}
    clock.now += SETTLING
    cache.keep({key: item})
    assert await cache.find([key], None) == {key: item}


async def test_of_too_many_those_stay_that_were_asked_for_last(cache: MemoryCache) -> None:
    first, second, third, fourth = (product(n) for n in range(4))
    cache.keep(dict([first, second, third]))
    await cache.find([first[0]], None)

    cache.keep(dict([fourth]))
    found = await cache.find([each[0] for each in (first, second, third, fourth)], None)
    assert found == dict([first, third, fourth])


async def test_orders_missing_items_and_errors_are_never_kept(cache: MemoryCache) -> None:
    order = items.order(0)
    keys = KEYS.order(order.user_id, order.id), Key("p", "missing"), Key("p", "broken")
    cache.keep(dict(zip(keys, (order, None, ValueError()), strict=True)))

    assert cache.size == 0
    assert key_of(KEYS, order) is None


async def test_an_item_that_is_very_large_is_not_kept(cache: MemoryCache) -> None:
    large = items.product(0, description="x" * LARGEST)
    cache.keep({KEYS.product(large.id): large})
    assert cache.size == 0


async def test_what_was_long_in_coming_is_not_kept(cache: MemoryCache) -> None:
    key, item = product()
    Cached(cache, ME).keep({key: item}, PROMPT + 0.001)
    assert cache.size == 0
    Cached(cache, ME).keep({key: item}, PROMPT)
    assert cache.size == 1


async def test_what_another_tenant_has_under_the_same_id_is_another_item(
    cache: MemoryCache,
) -> None:
    item = items.product(0)
    cache.keep({KEYS.product(item.id): item})
    assert await cache.find([Keys("u", 2).product(item.id)], None) == {}


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (items.user(0), KEYS.user(items.user(0).id)),
        (items.category("books"), KEYS.category("books")),
        (items.product(0), KEYS.product(items.product(0).id)),
    ],
)
def test_an_item_that_changed_has_the_key_it_is_loaded_by(item: Item, key: Key) -> None:
    assert key_of(KEYS, item) == key


def test_a_review_that_changed_has_the_key_it_is_loaded_by() -> None:
    review = items.review(0, items.product(0).id, "user-0")
    assert key_of(KEYS, review) == KEYS.review(review.product_id, review.id)


async def test_notes_of_changes_and_of_writers_go_when_they_are_over(
    cache: MemoryCache, clock: Clock
) -> None:
    for number in range(100):
        await cache.wrote([Key("p", str(number))], ("t", str(number)))
        clock.now += 1
    assert len(cache._away) <= SETTLING
    assert len(cache._writers) <= LIFE
