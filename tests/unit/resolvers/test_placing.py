"""Placing an order on a store that answers by a script: conflicts, throttling, lost answers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from datasources import idempotency, orders, products
from datasources.attributes import encode_row
from datasources.cursor import CursorCodec
from datasources.errors import Conflict, ServiceUnavailable, Throttled
from datasources.items import Idempotency, OrderStatus, Product, ProductStatus
from datasources.keys import Keys
from datasources.table import ATTEMPTS
from resolvers import inputs, placing
from resolvers.context import Context, Shop
from resolvers.errors import Rejected, UserErrorCode
from resolvers.global_ids import of
from resolvers.money import Currency
from resolvers.principal import Principal
from streams.journal import MemoryJournal
from tests.support import items
from tests.support.scripted import Answer, ScriptedStore, cancelled, disconnected, throttled
from tests.support.shop import rows_of

JPY = Currency("JPY", 0)
KEYS = Keys("t", 4)
IDEMPOTENCY_KEY = "the-key-of-this-order"
RECORD = KEYS.idempotency("user-0", "placeOrder", IDEMPOTENCY_KEY)
GOODS = [items.product(n) for n in range(3)]
BEFORE = items.order(7)


def told_of(record: Mapping[str, Any]) -> Exception:
    """Cancelled, since the key has a record."""
    return cancelled("ConditionalCheckFailed", "None", "None", rows={0: record})


def stock(product: Product, **changes: Any) -> dict[str, Any]:
    """A product's row, other than it was read."""
    return products.row(KEYS, product.changed(**changes))


def store(*script: Answer | Exception) -> ScriptedStore:
    made = ScriptedStore(script=script or (Answer.CARRIED_OUT,))
    made.put(row for item in (items.user(0), *GOODS) for row in rows_of(KEYS, item))
    return made


def context(client: ScriptedStore, *, seconds: float = 10) -> Context:
    """An operation of a customer, whose clock goes on by a minute whenever it is read."""
    minutes = itertools.count()
    shop = Shop(
        journal=MemoryJournal(lambda: items.NOW),
        client=client.as_client(),
        table="shop",
        shards=4,
        currency=JPY,
        cursors=CursorCodec(["a key of sixteen or more"]),
        deadline=seconds,
        write_deadline=seconds,
        read_budget=100,
        now=lambda: items.NOW + timedelta(minutes=next(minutes)),
    )
    made = shop.operation(Principal("user-0", "t", False, None), "request-1", writes=True)
    made.table.jitter = lambda *_: 0
    return made


def line(number: int, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"productId": of(GOODS[number]), "quantity": quantity, **more}


def yen(amount: int) -> dict[str, Any]:
    return {"amount": Decimal(amount), "currencyCode": "JPY"}


def wanted(*lines: dict[str, Any]) -> inputs.PlaceOrder:
    given = {"items": list(lines or (line(0),)), "idempotencyKey": IDEMPOTENCY_KEY}
    return inputs.parse(inputs.PlaceOrder, given, JPY)


async def place(
    client: ScriptedStore, *lines: dict[str, Any], seconds: float = 10
) -> placing.Placed:
    return await placing.place_order(context(client, seconds=seconds), wanted(*lines))


async def refusal(client: ScriptedStore, *lines: dict[str, Any]) -> list[tuple[str, str]]:
    """The codes of a refused order, each with its path below `input`."""
    with pytest.raises(Rejected) as refused:
        await place(client, *lines)
    return [(error.code, ".".join(error.field or ())) for error in refused.value.errors]


def before(client: ScriptedStore, *, lifetime: timedelta = idempotency.LIFETIME) -> None:
    """Puts what an earlier call with the key has placed."""
    record = Idempotency(
        fingerprint=idempotency.fingerprint(wanted().canonical()),
        result=BEFORE.id,
        ttl=int((items.NOW + lifetime).timestamp()),
    )
    client.put(
        [
            {"PK": RECORD.pk, "SK": RECORD.sk, **record.to_attributes()},
            orders.row(KEYS, BEFORE),
        ]
    )


# --- what is tried again --------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
)
async def test_a_conflict_is_tried_again_with_the_same_token_and_payload(code: str) -> None:
    obstacle = cancelled("None", "None", code)
    client = store(*[obstacle] * 9, Answer.CARRIED_OUT)

    placed = await place(client)

    assert not placed.replayed
    assert len(client.payloads) == 10
    assert len(client.tokens) == 1
    assert len(set(client.payloads)) == 1
    assert [row["id"] for row in client.orders()] == [placed.order.id]


async def test_after_lost_answers_the_same_bytes_are_sent_although_time_goes_on() -> None:
    client = store(Answer.LOST, disconnected(), Answer.CARRIED_OUT)

    placed = await place(client)

    assert len(client.payloads) == ATTEMPTS
    assert len(set(client.payloads)) == 1
    assert len(client.orders()) == 1
    assert not placed.replayed


@pytest.mark.parametrize(
    ("code", "kind"), [("TransactionConflict", Conflict), ("ThrottlingError", Throttled)]
)
async def test_at_the_deadline_a_conflict_is_the_callers_to_repeat(
    code: str, kind: type[Conflict | Throttled]
) -> None:
    client = store(cancelled(code, "None", "None"))
    given = context(client)
    # The sixth attempt would be made long after the deadline.
    given.table.jitter = lambda *_: 0 if len(client.payloads) < 5 else 60

    with pytest.raises(kind) as raised:
        await placing.place_order(given, wanted())

    assert raised.value.retryable
    assert len(client.payloads) == 5
    assert len(set(client.payloads)) == 1


async def test_conflicts_do_not_use_up_the_attempts_at_a_store_that_hangs_up() -> None:
    conflict = cancelled("TransactionConflict", "None", "None")
    client = store(*[conflict] * 5, disconnected(), conflict, disconnected(), Answer.CARRIED_OUT)

    assert not (await place(client)).replayed


async def test_after_conflicts_a_store_that_hangs_up_is_given_up_all_the_same() -> None:
    client = store(*[cancelled("TransactionConflict", "None", "None")] * 5, disconnected())

    with pytest.raises(ServiceUnavailable):
        await place(client)

    assert len(client.payloads) == 5 + ATTEMPTS


# --- what is an answer ----------------------------------------------------------------------


async def test_a_condition_that_failed_beside_a_conflict_is_the_answer() -> None:
    client = store(
        cancelled(
            *("None", "None", "TransactionConflict", "ConditionalCheckFailed"),
            rows={3: stock(GOODS[1], inventory=0)},
        )
    )

    refused = await refusal(client, line(0), line(1))

    assert refused == [(UserErrorCode.OUT_OF_STOCK, "input.items.1.quantity")]
    assert len(client.payloads) == 1


async def test_each_product_that_would_not_give_its_stock_is_named() -> None:
    failed = "ConditionalCheckFailed"
    client = store(
        cancelled(
            *("None", "None", failed, failed, failed),
            rows={
                2: stock(GOODS[2], inventory=1),
                4: stock(GOODS[1], status=ProductStatus.ARCHIVED),
            },
        )
    )

    refused = await refusal(client, line(2, 1), line(0), line(2, 1), line(1))

    assert refused == [
        (UserErrorCode.OUT_OF_STOCK, "input.items.0.quantity"),
        (UserErrorCode.PRODUCT_UNAVAILABLE, "input.items.1.productId"),  # it is gone
        (UserErrorCode.PRODUCT_UNAVAILABLE, "input.items.3.productId"),
    ]


async def test_a_price_that_has_changed_in_between_is_read_again() -> None:
    dearer = GOODS[0].changed(price=9_999)
    client = store(
        cancelled("None", "None", "ConditionalCheckFailed", rows={2: stock(dearer)}),
        Answer.CARRIED_OUT,
    )
    client.meanwhile = lambda: client.put([stock(dearer)])

    placed = await place(client)

    assert placed.order.total == 9_999
    assert len(client.tokens) == 2


async def test_an_expected_price_that_has_changed_in_between_is_an_answer() -> None:
    dearer = stock(GOODS[0], price=9_999)
    client = store(cancelled("None", "None", "ConditionalCheckFailed", rows={2: dearer}))
    client.meanwhile = lambda: client.put([dearer])

    refused = await refusal(client, line(0, expectedUnitPrice=yen(GOODS[0].price)))

    assert refused == [(UserErrorCode.PRICE_CHANGED, "input.items.0.expectedUnitPrice")]


async def test_a_price_that_never_holds_still_is_the_callers_to_repeat() -> None:
    client = store(
        cancelled("None", "None", "ConditionalCheckFailed", rows={2: stock(GOODS[0], price=1)})
    )

    given = context(client)
    # The tenth attempt would be made long after the deadline.
    given.table.jitter = lambda *_: 0 if len(client.payloads) < 9 else 60

    with pytest.raises(Conflict) as raised:
        await placing.place_order(given, wanted())

    assert raised.value.retryable
    assert len(client.payloads) == 9


# --- answers that were lost -----------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [Answer.LOST],
        [Answer.LOST, disconnected(), disconnected()],
        [Answer.LOST, throttled(), throttled()],
        [disconnected(), Answer.LOST, throttled()],
    ],
)
async def test_an_order_whose_answer_was_lost_is_found_by_its_record(
    script: list[Answer | Exception],
) -> None:
    client = store(*script)

    placed = await place(client)

    assert not placed.replayed
    assert [row["id"] for row in client.orders()] == [placed.order.id]
    assert len(client.payloads) == ATTEMPTS
    last = client.named("batch_get_item")[-1]["RequestItems"]["shop"]
    assert last["ConsistentRead"]
    assert last["Keys"] == [encode_row({"PK": RECORD.pk, "SK": RECORD.sk})]


async def test_an_answer_that_does_not_come_before_the_deadline_is_found_by_the_record() -> None:
    client = store(Answer.NEVER)

    placed = await place(client, seconds=0.05)

    assert not placed.replayed
    assert [row["id"] for row in client.orders()] == [placed.order.id]


async def test_an_order_that_was_not_placed_is_not_said_to_be() -> None:
    client = store(disconnected())

    with pytest.raises(ServiceUnavailable):
        await place(client)

    assert client.orders() == []


async def test_where_the_record_cannot_be_read_either_the_same_key_finds_the_order() -> None:
    client = store(Answer.LOST)
    client.meanwhile = lambda: setattr(client, "unreadable", True)
    with pytest.raises(ServiceUnavailable):
        await place(client)
    [order] = client.orders()

    client.meanwhile, client.unreadable = (lambda: None), False
    client.script = [told_of(client.rows[RECORD])]
    again = await place(client)

    assert again.replayed
    assert again.order.id == order["id"]
    assert again.order.status is OrderStatus.PENDING


async def test_an_attempt_that_meets_its_own_record_has_placed_the_order() -> None:
    client = store(Answer.LOST)

    def forget_the_token() -> None:
        client.script = [told_of(client.rows[RECORD])]

    client.meanwhile = forget_the_token
    placed = await place(client)

    assert len(client.payloads) == 2
    assert not placed.replayed
    assert [row["id"] for row in client.orders()] == [placed.order.id]


# --- another call with the same key ---------------------------------------------------------


async def test_the_order_of_another_call_is_found_although_answers_were_lost() -> None:
    client = store(disconnected())
    client.meanwhile = lambda: before(client)

    placed = await place(client)

    assert placed.replayed
    assert placed.order.id == BEFORE.id


@pytest.mark.parametrize("known", ["as it is read", "as it is written"])
async def test_the_order_that_took_the_last_unit_is_given_to_its_own_key(known: str) -> None:
    gone = stock(GOODS[0], inventory=0)
    client = store(
        cancelled("TransactionConflict", "None", "ConditionalCheckFailed", rows={2: gone})
    )
    before(client)
    if known == "as it is read":
        client.put([gone])

    placed = await place(client)

    assert placed.replayed
    assert placed.order.id == BEFORE.id


async def test_another_input_is_told_so_even_where_it_could_not_be_placed() -> None:
    client = store()
    before(client)

    refused = await refusal(client, line(0, 6))

    assert refused == [(UserErrorCode.IDEMPOTENCY_KEY_REUSED, "input.idempotencyKey")]
    assert client.payloads == []


async def test_a_record_that_has_outlived_itself_gives_no_order() -> None:
    client = store()
    before(client, lifetime=timedelta(0))

    refused = await refusal(client, line(0, 6))

    assert refused == [(UserErrorCode.OUT_OF_STOCK, "input.items.0.quantity")]


async def test_a_claim_gives_way_to_no_record_that_lives() -> None:
    client = store()

    await place(client)

    [sent] = client.named("transact_write_items")
    claim = sent["TransactItems"][0]["Put"]
    assert claim["ConditionExpression"] == "attribute_not_exists(#pk) OR #ttl <= :now"
    now = int(claim["ExpressionAttributeValues"][":now"]["N"])
    assert int(claim["Item"]["ttl"]["N"]) == now + 24 * 60 * 60


# --- lines ----------------------------------------------------------------------------------


async def test_equal_lines_are_one_action_and_one_line_at_their_first_place() -> None:
    client = store()

    placed = await place(client, line(1, 2), line(0), line(1, 3))

    assert [(each.product_id, each.quantity) for each in placed.order.items] == [
        (GOODS[1].id, 5),
        (GOODS[0].id, 1),
    ]
    [sent] = client.named("transact_write_items")
    assert len(sent["TransactItems"]) == 4  # the record, the order, two products


async def test_more_than_999_of_a_product_in_all_lines_is_invalid_where_it_is_passed() -> None:
    client = store()

    refused = await refusal(client, line(0, 999), line(1), line(0, 1))

    assert refused == [(UserErrorCode.INVALID, "input.items.2.quantity")]
    assert client.calls == []


async def test_all_that_is_wrong_with_the_lines_is_told_at_once() -> None:
    client = store()
    client.put([stock(GOODS[2], status=ProductStatus.DRAFT)])

    refused = await refusal(
        client, line(0, 4), line(1, expectedUnitPrice=yen(1)), line(2), line(0, 4)
    )

    assert refused == [
        (UserErrorCode.OUT_OF_STOCK, "input.items.0.quantity"),
        (UserErrorCode.PRICE_CHANGED, "input.items.1.expectedUnitPrice"),
        (UserErrorCode.PRODUCT_UNAVAILABLE, "input.items.2.productId"),
    ]
    assert client.payloads == []
