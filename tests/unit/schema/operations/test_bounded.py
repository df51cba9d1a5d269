"""A cache that strangers fill."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.operations.bounded import BoundedCache


def test_the_least_recently_used_goes_first() -> None:
    gone: list[int] = []
    cache = BoundedCache[int](most=2, most_weight=100, gone=gone.append)
    cache.put("a", 1, 1)
    cache.put("b", 2, 1)

    assert cache.get("a") == 1
    cache.put("c", 3, 1)

    assert gone == [2]
    assert [cache.get(name) for name in "abc"] == [1, None, 3]


def test_as_many_go_as_weigh_what_comes() -> None:
    gone: list[int] = []
    cache = BoundedCache[int](most=10, most_weight=10, gone=gone.append)
    for number in range(3):
        cache.put(str(number), number, 3)

    cache.put("heavy", 9, 7)

    assert gone == [0, 1]
    assert len(cache) == 2


def test_what_alone_is_too_heavy_is_not_kept_and_drives_nothing_out() -> None:
    cache = BoundedCache[int](most=10, most_weight=10)
    cache.put("a", 1, 10)

    cache.put("b", 2, 11)

    assert cache.get("a") == 1
    assert cache.get("b") is None


def test_a_name_keeps_its_first_value() -> None:
    cache = BoundedCache[int](most=10, most_weight=10)

    cache.put("a", 1, 1)
    cache.put("a", 2, 1)

    assert cache.get("a") == 1


@given(st.lists(st.tuples(st.text("abcd", min_size=1, max_size=2), st.integers(0, 12))))
def test_it_never_holds_more_than_it_may(puts: list[tuple[str, int]]) -> None:
    weights: dict[str, int] = {}
    cache = BoundedCache[str](most=3, most_weight=20, gone=weights.__delitem__)
    for name, weight in puts:
        if cache.get(name) is None:
            weights[name] = weight
        cache.put(name, name, weight)

        assert len(cache) == len(weights) <= 3
        assert sum(weights.values()) <= 20
        assert cache.get(name) == name
