import json
from typing import Any

import pytest

from datasources.items import Address, OrderStatus
from datasources.keys import LOADED
from streams.reactions.notifications import event_of, notifications
from tests.support.items import NOW, category, new_id, order, product, review, user
from tests.unit.streams.reactions.outside import Rows, Sent, change_of
from tests.unit.streams.scripted import row

HOME = Address(
    recipient="Secret Name",
    line1="Secret Street",
    city="Secret City",
    postal_code="Secret Code",
    country_code="JP",
)
JANE = user(1, first_name="Secret", last_name="Secret", email="secret@example.com")
OPINION = review(3, new_id(1, "product"), "user-1", title="Secret", comment="Secret")


def message(old: Any = None, new: Any = None, **settings: int) -> dict[str, object]:
    event = event_of(change_of(old, new), **settings)
    assert event is not None
    return event.message


def envelope(kind: str, entity_id: str) -> dict[str, object]:
    return {
        "type": kind,
        "eventId": "event-1",
        "tenant": "t",
        "entityId": entity_id,
        "occurredAt": "2026-11-20T12:00:00.000Z",
    }


def test_a_new_user_is_news() -> None:
    assert message(new=JANE) == envelope("user-created", "user-1")


def test_a_new_order_is_news() -> None:
    placed = order(1, "user-1", shipping_address=HOME)
    assert message(new=placed) == {
        **envelope("order-created", placed.id),
        "orderNumber": "NO-1",
        "userId": "user-1",
        "status": "PENDING",
        "totalMinor": 1000,
    }


def test_a_new_status_is_news_with_the_old_one() -> None:
    before, after = order(1), order(1, status=OrderStatus.PAID)
    assert message(before, after) == {
        **envelope("order-status-changed", after.id),
        "orderNumber": "NO-1",
        "userId": "user-0",
        "oldStatus": "PENDING",
        "newStatus": "PAID",
    }


def test_a_new_review_is_news() -> None:
    assert message(new=OPINION) == {
        **envelope("review-created", OPINION.id),
        "productId": OPINION.product_id,
        "userId": "user-1",
        "rating": 4,
    }


def test_stock_that_gets_low_is_news() -> None:
    assert message(product(1, inventory=6), product(1, inventory=4)) == {
        **envelope("stock-low", product(1).id),
        "inventory": 4,
        "threshold": 5,
    }


@pytest.mark.parametrize(
    ("before", "after", "threshold", "is_news"),
    [
        (6, 5, 5, True),
        (100, 0, 5, True),
        (1, 0, 0, True),
        (7, 6, 5, False),
        (5, 4, 5, False),
        (5, 5, 5, False),
        (4, 5, 5, False),
        (4, 9, 5, False),
        (12, 10, 10, True),
    ],
)
def test_stock_is_news_once_a_crossing(
    before: int, after: int, threshold: int, is_news: bool
) -> None:
    change = change_of(product(1, inventory=before), product(1, inventory=after))
    assert (event_of(change, threshold) is not None) is is_news


@pytest.mark.parametrize(
    "new", [JANE, order(1, "user-1", shipping_address=HOME), OPINION, product(1)]
)
def test_no_event_tells_of_a_person(new: Any) -> None:
    event = event_of(change_of(new=new))
    assert event is None or "secret" not in json.dumps(event.message).lower()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (JANE, JANE.changed(first_name="Joan")),
        (JANE, None),
        (order(1), order(1, version=2)),
        (order(1), None),
        (OPINION, OPINION.changed(rating=1)),
        (None, product(1, inventory=0)),
        (product(1, inventory=9), None),
        (None, category("books")),
        *((None, {**row(each), LOADED: True}) for each in (JANE, order(1), OPINION)),
    ],
)
def test_other_changes_are_no_news(old: Any, new: Any) -> None:
    assert event_of(change_of(old, new)) is None


async def test_news_is_published_once_under_the_threshold_that_was_set() -> None:
    sent, marks = Sent(), Rows()
    reaction = notifications(sent, marks.table, lambda: NOW, low_stock=20)
    change = change_of(product(1, inventory=21), product(1, inventory=20))
    for _ in range(3):
        await reaction.react(change)
    [event] = sent.events
    assert event.facts["threshold"] == 20
