from typing import Any

import pytest

from datasources.items import ProductStatus
from datasources.keys import LOADED
from datasources.writes import PRESENT
from streams.changes import read_change
from streams.reactions.product_counts import effects
from tests.support.items import new_id, product, review
from tests.unit.streams.scripted import KEYS, record, row

ACTIVE, DRAFT, ARCHIVED = ProductStatus.ACTIVE, ProductStatus.DRAFT, ProductStatus.ARCHIVED


def sold(category: str | None, status: ProductStatus = ACTIVE, **changes: Any) -> Any:
    return product(1, category=category, status=status, **changes)


def deltas(old: Any = None, new: Any = None) -> dict[str, object]:
    change = read_change(record(1, old, new))
    assert change is not None
    by_key = {KEYS.category(slug): slug for slug in ("books", "toys")}
    return {by_key[update.key]: update.values[":by"] for update in effects(change)}


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        (None, sold("books"), {"books": 1}),
        (sold("books"), None, {"books": -1}),
        (sold("books"), sold("toys"), {"books": -1, "toys": 1}),
        (sold("books"), sold(None), {"books": -1}),
        (sold(None), sold("toys"), {"toys": 1}),
        (sold("books", DRAFT), sold("books"), {"books": 1}),
        (sold("books"), sold("books", ARCHIVED), {"books": -1}),
        (sold("books", ARCHIVED), sold("toys"), {"toys": 1}),
        (sold("books"), sold("books", price=7, inventory=1), {}),
        (None, sold("books", DRAFT), {}),
        (sold("books", ARCHIVED), None, {}),
        (None, sold(None), {}),
        (None, review(1, new_id(1, "product")), {}),
    ],
)
def test_a_category_counts_what_is_active_in_it(old: Any, new: Any, counts: Any) -> None:
    assert deltas(old, new) == counts


def test_a_loaded_product_is_counted_already_but_not_what_follows() -> None:
    old, new = ({**row(sold(slug)), LOADED: True} for slug in ("books", "toys"))
    assert deltas(new=old) == {}
    assert deltas(old, new) == {"books": -1, "toys": 1}
    assert deltas(old=old) == {"books": -1}


def test_the_update_wants_a_category_that_is_there() -> None:
    change = read_change(record(1, new=sold("books")))
    assert change is not None
    [update] = effects(change)
    assert update.condition is PRESENT
    assert dict(update.names) == {"#count": "productCount"}
