from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from datasources import categories, products, users
from datasources.cursor import CursorCodec
from datasources.items import (
    Category,
    Item,
    OrderStatus,
    Product,
    ProductStatus,
    User,
    UserStatus,
)
from datasources.keys import Keys
from resolvers.context import Shop
from resolvers.global_ids import of
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.build import build_schema
from schema.errors import told
from schema.limits import Limits
from schema.live.subscriptions import MOST_WAITING, Live, Subscription
from schema.operations.operation import Executor, Refused
from streams.changes import Change
from streams.journal import MemoryJournal
from tests.support import items
from tests.support.changes import change
from tests.support.items import NOW
from tests.support.memory import MemoryClient

KEYS = Keys("t", 2)
EXECUTOR = Executor(build_schema(), limits=Limits(), introspection=True)

ANYONE = Principal.anonymous("t")
TARO = Principal("taro", "t", False, None)
HANAKO = Principal("hanako", "t", False, None)
STAFF = Principal("staff", "t", True, None)

PRODUCT = items.product(1)
PRODUCTS = """subscription ($product: ID, $category: ID, $after: String) {
  productChanged(productId: $product, categoryId: $category, after: $after) {
    cursor kind changedFields productId previousInventory previousPrice { amount }
    product { name inventory status }
  }
}"""
CATEGORIES = "subscription { productChanged { product { category { name } } } }"
ORDERS = """subscription ($order: ID, $after: String) {
  orderChanged(orderId: $order, after: $after) {
    cursor kind changedFields orderId previousStatus order { status total { amount } }
  }
}"""
REVIEWS = """subscription ($product: ID!, $after: String) {
  reviewChanged(productId: $product, after: $after) {
    cursor kind changedFields reviewId review { rating author { username } }
  }
}"""


def with_stock(inventory: int, **more: Any) -> Any:
    return PRODUCT.changed(inventory=inventory, **more)


class Rig:
    """A shop over rows in memory, whose changes happen when a test says so."""

    def __init__(self, **journal: Any) -> None:
        self.store = MemoryClient()
        self.journal = MemoryJournal(lambda: NOW, **journal)
        self.shop = Shop(
            journal=self.journal,
            client=self.store.as_client(),
            table="shop",
            shards=2,
            currency=Currency("JPY", 0),
            cursors=CursorCodec(["a key of sixteen or more"]),
            deadline=60,
            read_budget=100,
            now=lambda: NOW,
        )
        self.live = Live(EXECUTOR, self.shop)

    def put(self, *rows: Item) -> None:
        for row in rows:
            match row:
                case User():
                    self.store.put([users.row(KEYS, row)])
                case Product():
                    self.store.put([products.row(KEYS, row)])
                case Category():
                    self.store.put([categories.row(KEYS, row)])

    async def happen(self, *changes: Change) -> None:
        """Each in turn, with time for the subscriptions to take it up."""
        for one in changes:
            await self.journal.append([one])
            await settle()

    async def subscribe(
        self, query: str, principal: Principal = ANYONE, **variables: Any
    ) -> Subscription:
        operation = EXECUTOR.prepare(query, None, variables)
        return await self.live.subscribe(operation, principal, "request-1")

    def cursor(self, principal: Principal = ANYONE) -> str:
        return self.shop.operation(principal, "request-1", writes=False).change_cursor()

    async def refusal(self, query: str, principal: Principal = ANYONE, **variables: Any) -> str:
        """The code with which a subscription is refused, at once or with its first event."""
        try:
            await anext(await self.subscribe(query, principal, **variables))
        except Refused as refused:
            return code(refused)
        raise AssertionError("not refused")


def code(refused: Refused) -> str:
    (error,) = told(refused.errors, "request-1")
    return str(error["extensions"]["code"])


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def event(subscription: Subscription) -> dict[str, Any]:
    """The next event: the one field of its data."""
    body = orjson.loads(await asyncio.wait_for(anext(subscription), 10))
    assert list(body) == ["data"], body
    (found,) = body["data"].values()
    return dict(found)


async def events(subscription: Subscription, count: int) -> list[dict[str, Any]]:
    return [await event(subscription) for _ in range(count)]


def is_silent(subscription: Subscription) -> bool:
    return not subscription._waiting and subscription._failure is None


def selling(*stock: int) -> Iterable[Change]:
    """A product's stock going down, each time from what it was to what is next."""
    for before, after in itertools.pairwise(stock):
        yield change(with_stock(before), with_stock(after))


# --- what an event says ---------------------------------------------------------------------


async def test_an_event_tells_what_changed_and_what_was_before() -> None:
    rig = Rig()
    subscription = await rig.subscribe(PRODUCTS, product=of(PRODUCT))
    await rig.happen(change(with_stock(5), with_stock(0)))
    told = await event(subscription)
    assert told.pop("cursor")
    assert told == {
        "kind": "UPDATED",
        "changedFields": ["inventory", "inStock"],
        "productId": of(PRODUCT),
        "previousInventory": 5,
        "previousPrice": {"amount": "1001"},
        "product": {"name": "Product 1", "inventory": 0, "status": "ACTIVE"},
    }


async def test_creations_and_deletions_have_one_side_and_no_changed_fields() -> None:
    rig = Rig()
    subscription = await rig.subscribe(PRODUCTS)
    await rig.happen(change(None, PRODUCT), change(PRODUCT, None))
    made, gone = await events(subscription, 2)
    assert (made["kind"], made["changedFields"], made["previousPrice"]) == ("CREATED", [], None)
    assert (gone["kind"], gone["changedFields"], gone["product"]) == ("DELETED", [], None)
    assert made["productId"] == gone["productId"] == of(PRODUCT)


async def test_what_hangs_on_the_object_is_read_anew_for_each_event() -> None:
    rig = Rig()
    subscription = await rig.subscribe(CATEGORIES)
    for name in ("Before", "After"):
        rig.put(items.category("electronics", name=name))
        await rig.happen(change(None, PRODUCT))
        assert (await event(subscription))["product"]["category"]["name"] == name


async def test_an_event_is_not_told_from_what_may_be_older_than_it() -> None:
    rig = Rig()
    older = MemoryClient().as_client()

    def client_of(_tenant: str, fresh: bool) -> Any:
        return rig.store if fresh else older

    rig.live = Live(EXECUTOR, replace(rig.shop, client_of=client_of))
    rig.put(items.category("electronics", name="Now"))
    subscription = await rig.subscribe(CATEGORIES)
    await rig.happen(change(None, PRODUCT))
    assert (await event(subscription))["product"]["category"]["name"] == "Now"


async def test_a_failure_below_the_event_is_told_with_it_and_the_next_is_whole() -> None:
    rig = Rig()
    query = "subscription { productChanged { product { viewerReview { id } name } } }"
    subscription = await rig.subscribe(query, TARO)
    broken = rig.store.batch_get_item
    rig.store.batch_get_item = None  # type: ignore[method-assign,assignment]
    await rig.happen(change(None, PRODUCT))
    body = orjson.loads(await anext(subscription))
    assert body["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert body["data"]["productChanged"]["product"]["name"] == "Product 1"
    rig.store.batch_get_item = broken  # type: ignore[method-assign]
    await rig.happen(change(None, PRODUCT))
    assert (await event(subscription))["product"]["viewerReview"] is None


# --- which events come ----------------------------------------------------------------------


async def test_one_product_one_category_or_all_can_be_followed() -> None:
    rig = Rig()
    toy = items.product(2, category="toys")
    by_id = await rig.subscribe(PRODUCTS, product=of(PRODUCT))
    by_category = await rig.subscribe(PRODUCTS, category=of(items.category("toys")))
    all_of_them = await rig.subscribe(PRODUCTS)
    await rig.happen(change(None, PRODUCT), change(None, toy))
    assert [one["productId"] for one in await events(all_of_them, 2)] == [of(PRODUCT), of(toy)]
    assert (await event(by_id))["productId"] == of(PRODUCT)
    assert (await event(by_category))["productId"] == of(toy)
    assert is_silent(by_id)
    assert is_silent(by_category)


async def test_a_product_that_leaves_a_category_is_told_of_there_and_where_it_goes() -> None:
    rig = Rig()
    rooms = [
        await rig.subscribe(PRODUCTS, category=of(items.category(slug)))
        for slug in ("electronics", "toys", "books")
    ]
    moved = PRODUCT.changed(category="toys")
    await rig.happen(change(PRODUCT, moved))
    for room in rooms[:2]:
        assert (await event(room))["changedFields"] == ["category"]
    assert is_silent(rooms[2])


async def test_a_bulk_load_is_no_news() -> None:
    rig = Rig()
    subscription = await rig.subscribe(PRODUCTS)
    await rig.happen(change(None, PRODUCT, loaded=True), *selling(5, 4))
    assert (await event(subscription))["kind"] == "UPDATED"


async def test_a_tenant_hears_nothing_of_another() -> None:
    rig = Rig()
    subscription = await rig.subscribe(PRODUCTS)
    await rig.happen(change(None, PRODUCT, tenant="u"))
    assert is_silent(subscription)


async def test_drafts_are_told_to_staff_alone_and_becoming_one_hides_the_product() -> None:
    rig = Rig()
    anyone, staff = await rig.subscribe(PRODUCTS), await rig.subscribe(PRODUCTS, STAFF)
    draft = with_stock(5, status=ProductStatus.DRAFT)
    await rig.happen(
        change(PRODUCT, draft),
        change(draft, with_stock(9, status=ProductStatus.DRAFT)),
        change(draft, PRODUCT),
    )
    hidden, shown = await events(anyone, 2)
    assert (hidden["product"], hidden["previousInventory"]) == (None, 5)
    assert (shown["product"]["status"], shown["previousInventory"]) == ("ACTIVE", None)
    assert is_silent(anyone)
    assert [one["product"]["status"] for one in await events(staff, 3)] == [
        "DRAFT",
        "DRAFT",
        "ACTIVE",
    ]


async def test_customers_are_told_of_their_own_orders_and_staff_of_all() -> None:
    rig = Rig()
    rig.put(items.user(0, id="taro"))
    own, all_of_them = await rig.subscribe(ORDERS, TARO), await rig.subscribe(ORDERS, STAFF)
    mine, other = items.order(1, "taro"), items.order(2, "hanako")
    paid = mine.changed(status=OrderStatus.PAID)
    await rig.happen(change(None, other), change(None, mine), change(mine, paid))
    placed, went_on = await events(own, 2)
    assert (placed["orderId"], placed["previousStatus"]) == (of(mine), None)
    assert (went_on["order"]["status"], went_on["previousStatus"]) == ("PAID", "PENDING")
    assert went_on["changedFields"] == ["status", "nextStatuses"]
    assert is_silent(own)
    assert len(await events(all_of_them, 3)) == 3


async def test_one_order_can_be_followed() -> None:
    rig = Rig()
    rig.put(items.user(0, id="taro"))
    first, second = items.order(1, "taro"), items.order(2, "taro")
    subscription = await rig.subscribe(ORDERS, TARO, order=of(second))
    await rig.happen(change(None, first), change(None, second))
    assert (await event(subscription))["orderId"] == of(second)
    assert is_silent(subscription)


async def test_who_is_erased_meanwhile_is_told_of_no_more_orders() -> None:
    rig = Rig()
    rig.put(items.user(0, id="taro"))
    subscription = await rig.subscribe(ORDERS, TARO)
    await rig.happen(change(None, items.order(1, "taro")))
    await event(subscription)
    rig.put(items.user(0, id="taro", status=UserStatus.DELETED))
    await rig.happen(change(None, items.order(2, "taro")))
    assert is_silent(subscription)


async def test_reviews_of_a_draft_are_told_to_staff_alone() -> None:
    rig = Rig()
    rig.put(PRODUCT, items.user(0))
    made = items.review(1, PRODUCT.id)
    anyone = await rig.subscribe(REVIEWS, product=of(PRODUCT))
    staff = await rig.subscribe(REVIEWS, STAFF, product=of(PRODUCT))
    await rig.happen(change(None, made))
    rig.put(with_stock(5, status=ProductStatus.DRAFT))
    await rig.happen(change(made, None), change(None, items.review(1, items.product(2).id)))
    assert (await event(anyone))["review"] == {"rating": 2, "author": {"username": "user0"}}
    assert is_silent(anyone)
    assert [one["kind"] for one in await events(staff, 2)] == ["CREATED", "DELETED"]


# --- who may subscribe ----------------------------------------------------------------------


async def test_orders_cannot_be_followed_by_those_who_may_not_see_them() -> None:
    rig = Rig()
    rig.put(items.user(0, id="taro", status=UserStatus.DELETED))
    of_hanako = of(items.order(1, "hanako"))
    assert await rig.refusal(ORDERS) == "UNAUTHENTICATED"
    assert await rig.refusal(ORDERS, order=of_hanako) == "UNAUTHENTICATED"
    assert await rig.refusal(ORDERS, HANAKO, order=of(items.order(1, "taro"))) == "FORBIDDEN"
    assert await rig.refusal(ORDERS, TARO) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        (PRODUCTS, {"product": "nonsense"}, "BAD_USER_INPUT"),
        (PRODUCTS, {"product": of(items.category("toys"))}, "BAD_USER_INPUT"),
        (
            PRODUCTS,
            {"product": of(PRODUCT), "category": of(items.category("toys"))},
            "BAD_USER_INPUT",
        ),
        (PRODUCTS, {"after": ""}, "INVALID_CURSOR"),
        (PRODUCTS, {"after": "nonsense"}, "INVALID_CURSOR"),
        (REVIEWS, {"product": of(items.user(0))}, "BAD_USER_INPUT"),
    ],
)
async def test_arguments_that_cannot_be_meant_are_refused(
    query: str, variables: dict[str, Any], expected: str
) -> None:
    assert await Rig().refusal(query, **variables) == expected


async def test_a_cursor_of_another_tenant_is_no_cursor() -> None:
    rig = Rig()
    cursor = rig.cursor(Principal.anonymous("u"))
    assert await rig.refusal(PRODUCTS, after=cursor) == "INVALID_CURSOR"


# --- resuming -------------------------------------------------------------------------------


async def test_what_was_missed_comes_first_then_what_happens_none_twice() -> None:
    rig = Rig()
    first = await rig.subscribe(PRODUCTS)
    await rig.happen(*selling(*range(50, 0, -1)))
    seen = await events(first, 49)
    resumed = await rig.subscribe(PRODUCTS, after=seen[9]["cursor"])
    again = await events(resumed, 20)
    await rig.happen(*selling(1, 0))
    again += await events(resumed, 20)
    assert again[:-1] == seen[10:]
    assert again[-1]["product"]["inventory"] == 0
    assert is_silent(resumed)


@pytest.mark.parametrize("after_events", range(12))
async def test_there_is_no_gap_and_no_double_at_the_seam(after_events: int) -> None:
    """What happens while the missed events are taken, at each of the places it can."""
    rig = Rig()
    begin = rig.cursor()
    await rig.happen(*selling(20, 19, 18, 17, 16, 15))
    resumed = await rig.subscribe(PRODUCTS, after=begin)
    later, seen = iter([*selling(15, 14, 13), *selling(13, 12, 11, 10, 9)]), []
    for number in range(11):
        if number == after_events:
            # Without a pause, as one page of the stream brings them.
            await rig.journal.append([next(later), next(later)])
        elif number > after_events and (one := next(later, None)):
            await rig.journal.append([one])
        if number < 5 or is_waiting(resumed):
            seen.append(await event(resumed))
    await rig.journal.append(list(later))
    await settle()
    seen += await events(resumed, 11 - len(seen))
    assert [one["product"]["inventory"] for one in seen] == list(range(19, 8, -1))
    assert is_silent(resumed)


def is_waiting(subscription: Subscription) -> bool:
    return bool(subscription._waiting)


async def test_the_change_cursor_closes_the_gap_between_reading_and_subscribing() -> None:
    rig = Rig()
    await rig.happen(*selling(9, 8))
    cursor = rig.cursor()
    await rig.happen(*selling(8, 7))
    resumed = await rig.subscribe(PRODUCTS, after=cursor)
    assert (await event(resumed))["product"]["inventory"] == 7
    await rig.happen(*selling(7, 6))
    assert (await event(resumed))["product"]["inventory"] == 6


async def test_one_cursor_serves_all_subscriptions() -> None:
    rig = Rig()
    rig.put(PRODUCT, items.user(0))
    subscription = await rig.subscribe(PRODUCTS)
    await rig.happen(change(None, PRODUCT))
    cursor = (await event(subscription))["cursor"]
    await rig.happen(change(None, items.review(1, PRODUCT.id)))
    reviews = await rig.subscribe(REVIEWS, product=of(PRODUCT), after=cursor)
    assert (await event(reviews))["kind"] == "CREATED"


async def test_a_position_that_is_gone_has_expired() -> None:
    rig = Rig(most_changes=3)
    begin = rig.cursor()
    await rig.happen(*selling(9, 8, 7, 6, 5))
    assert await rig.refusal(PRODUCTS, after=begin) == "CURSOR_EXPIRED"


async def test_a_cursor_from_before_a_restart_has_expired() -> None:
    before = Rig().cursor()
    assert await Rig().refusal(PRODUCTS, after=before) == "CURSOR_EXPIRED"


async def test_a_journal_that_is_lost_ends_every_subscription_as_expired() -> None:
    rig = Rig()
    live = await rig.subscribe(PRODUCTS)
    await rig.journal.lose()
    await settle()
    with pytest.raises(Refused) as refused:
        await anext(live)
    assert code(refused.value) == "CURSOR_EXPIRED"
    fresh = await rig.subscribe(PRODUCTS)
    await rig.happen(*selling(2, 1))
    assert (await event(fresh))["product"]["inventory"] == 1


# --- slow clients ---------------------------------------------------------------------------


async def test_who_does_not_keep_up_ends_with_the_last_cursor_and_resumes_there() -> None:
    rig = Rig()
    slow, quick = await rig.subscribe(PRODUCTS), await rig.subscribe(PRODUCTS)
    stock = range(MOST_WAITING + 10, 0, -1)
    seen, last = [], ""
    for number, one in enumerate(selling(*stock)):
        await rig.happen(one)
        seen.append(await event(quick))
        if number == 2:
            last = (await events(slow, 3))[-1]["cursor"]
    with pytest.raises(Refused) as refused:
        await anext(slow)
    (error,) = told(refused.value.errors, "request-1")
    assert error["extensions"] == {"code": "SLOW_CONSUMER", "cursor": last}
    resumed = await rig.subscribe(PRODUCTS, after=last)
    assert await events(resumed, len(stock) - 4) == seen[3:]


async def test_missed_events_wait_for_a_client_however_many_there_are() -> None:
    rig = Rig()
    begin = rig.cursor()
    count = 3 * MOST_WAITING
    await rig.journal.append(list(selling(*range(count, -1, -1))))
    resumed = await rig.subscribe(PRODUCTS, after=begin)
    assert len(await events(resumed, count)) == count


# --- one event, many listeners --------------------------------------------------------------

RUNS = "subscription ($after: String) { productChanged(after: $after) { product { name } } }"
PERSONAL = "subscription { productChanged { product { name viewerReview { rating } } } }"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Principal]:
    """For whom a document was run, each time that it was."""
    callers: list[Principal] = []
    run = Executor.run

    async def counted(self: Executor, operation: Any, context: Any, *rest: Any) -> Any:
        callers.append(context.principal)
        return await run(self, operation, context, *rest)

    monkeypatch.setattr(Executor, "run", counted)
    return callers


async def test_an_event_is_evaluated_once_for_all_who_ask_the_same(runs: list[Principal]) -> None:
    rig = Rig()
    several = [await rig.subscribe(RUNS, who) for who in (ANYONE, TARO, HANAKO, TARO)]
    assert rig.live.groups == 1
    await rig.happen(change(None, PRODUCT))
    payloads = [await anext(one) for one in several]
    assert len(runs) == 1
    assert all(payload is payloads[0] for payload in payloads)


async def test_where_to_begin_does_not_keep_subscriptions_apart(runs: list[Principal]) -> None:
    rig = Rig()
    first, begin = await rig.subscribe(RUNS), rig.cursor()
    await rig.happen(change(None, PRODUCT))
    again = [await rig.subscribe(RUNS, after=begin) for _ in range(3)]
    payloads = [await anext(one) for one in (first, *again)]
    assert rig.live.groups == 1
    assert len(runs) == 1
    assert len(set(payloads)) == 1


async def test_what_depends_on_who_asks_is_evaluated_for_each(runs: list[Principal]) -> None:
    rig = Rig()
    several = [await rig.subscribe(PERSONAL, who) for who in (TARO, HANAKO, TARO)]
    await rig.happen(change(None, PRODUCT))
    assert len({await anext(one) for one in several}) == 1
    assert sorted(str(one.user_id) for one in runs) == ["hanako", "taro"]


async def test_staff_and_others_never_share_an_answer(runs: list[Principal]) -> None:
    rig = Rig()
    several = [await rig.subscribe(RUNS, who) for who in (ANYONE, STAFF)]
    await rig.happen(change(None, PRODUCT))
    assert [await anext(one) for one in several]
    assert sorted(one.is_staff for one in runs) == [False, True]


@pytest.mark.parametrize("changed", ["document", "variables"])
async def test_another_document_or_other_variables_are_another_answer(changed: str) -> None:
    rig = Rig()
    await rig.subscribe(PRODUCTS, product=of(PRODUCT))
    other = PRODUCTS + " " if changed == "document" else PRODUCTS
    await rig.subscribe(other, product=of(items.product(2 if changed == "variables" else 1)))
    assert rig.live.groups == 2


async def test_the_last_to_leave_ends_the_group_and_what_it_listened_with() -> None:
    rig = Rig()
    several = [await rig.subscribe(RUNS) for _ in range(3)]
    several.append(await rig.subscribe(RUNS, after=rig.cursor()))
    for one in several:
        assert rig.live.groups == 1
        await one.aclose()
        await settle()
    assert rig.live.groups == 0
    assert not rig.journal._listeners._by_tenant["t"]


async def test_what_a_subscription_was_asked_with_is_freed_without_the_collector() -> None:
    rig = Rig()
    gc.collect()
    gc.disable()
    try:
        subscription = await rig.subscribe(PRODUCTS, product=of(PRODUCT))
        found = [
            each
            for each in gc.get_objects()
            if isinstance(each, StrawberryGraphQLCoreExecutionContext)
        ]
        assert found == []
        await subscription.aclose()
    finally:
        gc.enable()
