from typing import Any

import pytest

from datasources.keys import LOADED
from datasources.writes import PRESENT
from streams.changes import read_change
from streams.reactions.ratings import effects
from tests.support.items import new_id, product, review
from tests.unit.streams.scripted import KEYS, record, row

PRODUCT = new_id(1, "product")


def deltas(old: Any = None, new: Any = None) -> list[list[object]]:
    change = read_change(record(1, old, new))
    assert change is not None
    return [list(update.values.values()) for update in effects(change)]


def rated(stars: int, **changes: Any) -> Any:
    return review(1, PRODUCT, rating=stars, **changes)


@pytest.mark.parametrize("stars", [1, 2, 3, 4, 5])
def test_a_review_counts_under_its_stars(stars: int) -> None:
    one = [int(stars == each) for each in (1, 2, 3, 4, 5)]
    assert deltas(new=rated(stars)) == [one]
    assert deltas(old=rated(stars)) == [[-each for each in one]]


def test_a_changed_rating_moves_its_count() -> None:
    assert deltas(rated(5), rated(2)) == [[0, 1, 0, 0, -1]]


def test_a_changed_text_counts_nothing() -> None:
    assert deltas(rated(5), rated(5, comment="Even better")) == []


def test_the_update_touches_the_histogram_of_a_product_that_is_there() -> None:
    change = read_change(record(1, new=rated(4)))
    assert change is not None
    [update] = effects(change)
    assert update.key == KEYS.product(PRODUCT)
    assert update.condition is PRESENT
    assert dict(update.names) == {"#h": "histogram"}
    assert [f"#h[{i}] = #h[{i}] + :by{i}" in update.expression for i in range(5)] == [True] * 5


def test_a_loaded_review_is_counted_already_but_not_what_follows() -> None:
    old, new = ({**row(rated(stars)), LOADED: True} for stars in (5, 1))
    assert deltas(new=old) == []
    assert deltas(old, new) == [[1, 0, 0, 0, -1]]
    assert deltas(old=old) == [[0, 0, 0, 0, -1]]


def test_other_items_count_nothing() -> None:
    assert deltas(new=product(1)) == []


def test_stars_that_there_are_not_count_nothing() -> None:
    assert deltas(rated(9), rated(3)) == [[0, 0, 1, 0, 0]]
