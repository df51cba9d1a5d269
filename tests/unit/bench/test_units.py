"""What the account of units says, and what is made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import prices
from bench.asked import reads, writes
from bench.ledger import SYSTEM, Ledger, Sum, query_units, read_units, write_units
from bench.prices import MIX, TOKYO, Load, mixed
from bench.units import SELF, Found, page
from datasources.attributes import encode_row
from datasources.client import CLIENT_ERRORS
from datasources.keys import GSI2, PK, SK
from schema.build import build_schema

SMALL, LARGE = 100, 4_097
ROOT = Path(__file__).parents[3]
UNITS = (ROOT / "bench" / "UNITS.md").read_text(encoding="utf-8")
SCALING = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
# What docs/scaling.md has of it, in other words.
RETOLD = {
    "a product": "product",
    "its page, with 10 reviews and their authors": "product, its category and 10 reviews",
    "20 products of a category": "products of a category, 20 newest",
    "the same in a range of price": "products of a category, 20 in a range of price",
    "an order of 3 lines": "placeOrder, 3 lines",
    "a review": "addReview",
}


class Store:
    """Answers each call with what it was given, and keeps what it was asked."""

    def __init__(self, **answers: dict[str, Any] | Exception) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        async def answer(**parameters: Any) -> Any:
            self.asked.append(parameters)
            given = self.answers[name]
            if isinstance(given, Exception):
                raise given
            return given

        return answer


def row(size: int) -> dict[str, Any]:
    keys = {PK: "p", SK: "s"}
    names = sum(map(len, (*keys, *keys.values(), "a")))
    return dict(encode_row({**keys, "a": "x" * (size - names)}))


def ledger(**answers: dict[str, Any] | Exception) -> Ledger:
    return Ledger(Store(**answers), "shop-system")


@pytest.mark.parametrize(
    ("sizes", "consistent", "units"),
    [
        ([1], True, 1),
        ([4_096], True, 1),
        ([LARGE], True, 2),
        ([1, 1, LARGE], False, 2),
        ([0], False, 0.5),
    ],
)
def test_rows_read_by_key_are_rounded_up_each(
    sizes: list[int], consistent: bool, units: float
) -> None:
    assert read_units(sizes, consistent=consistent) == units


@pytest.mark.parametrize(("sizes", "units"), [([], 0.5), ([1_000] * 4, 0.5), ([1_000] * 5, 1)])
def test_rows_of_a_query_are_rounded_up_together(sizes: list[int], units: float) -> None:
    assert query_units(sizes, consistent=False) == units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1_024, 1), (1_025, 2)])
def test_a_write_in_a_transaction_counts_twice(size: int, units: float) -> None:
    assert write_units(size) == units
    assert write_units(size, transactional=True) == 2 * units


async def test_a_row_that_is_not_there_counts_as_the_smallest() -> None:
    raw = msgspec.Raw(msgspec.json.encode(row(LARGE)))
    account = ledger(batch_get_item={"Responses": {"shop": [raw]}, "UnprocessedKeys": {}})
    keys = [encode_row({PK: "p", SK: name}) for name in "st"]

    await account.batch_get_item(RequestItems={"shop": {"Keys": keys, "ConsistentRead": True}})

    assert Sum.of(account.take()).read == {"table": 3}


async def test_what_a_store_left_over_is_not_counted() -> None:
    left = {"shop": {"Keys": [encode_row({PK: "p", SK: "t"})]}}
    account = ledger(batch_get_item={"Responses": {"shop": [row(SMALL)]}, "UnprocessedKeys": left})
    keys = [encode_row({PK: "p", SK: name}) for name in "st"]

    await account.batch_get_item(RequestItems={"shop": {"Keys": keys}})

    assert Sum.of(account.take()).reads == 0.5


async def test_what_a_filter_leaves_out_has_been_read() -> None:
    store = Store(query={"Items": [row(LARGE)]})
    account = Ledger(store, "shop-system")

    await account.query(
        TableName="shop",
        IndexName=GSI2,
        KeyConditionExpression="#pk = :pk AND #sk BETWEEN :low AND :high",
        FilterExpression="#filter = :filter",
        ExpressionAttributeNames={"#pk": "GSI2PK", "#sk": "GSI2SK", "#filter": "status"},
        ExpressionAttributeValues={":pk": 1, ":low": 2, ":high": 3, ":filter": 4},
    )

    again = store.asked[1]
    assert "FilterExpression" not in again
    assert set(again["ExpressionAttributeNames"]) == {"#pk", "#sk"}
    assert set(again["ExpressionAttributeValues"]) == {":pk", ":low", ":high"}
    total = Sum.of(account.take())
    assert (total.requests, total.read) == (1, {GSI2: 1})


async def test_writes_are_as_the_store_reports_them_and_conditions_are_added() -> None:
    reported = [
        {
            "TableName": "shop",
            "CapacityUnits": 5.0,
            "GlobalSecondaryIndexes": {GSI2: {"CapacityUnits": 1.0}},
        },
        {"TableName": "shop-system", "CapacityUnits": 2.0},
    ]
    account = ledger(
        get_item={"Item": row(SMALL)}, transact_write_items={"ConsumedCapacity": reported}
    )
    check = {"ConditionCheck": {"TableName": "shop", "Key": {}}}

    await account.transact_write_items(TransactItems=[{"Put": {}}, check])

    assert Sum.of(account.take()).written == {"table": 6, GSI2: 1, SYSTEM: 2}


async def test_a_write_that_is_refused_is_not_passed_over_in_silence() -> None:
    [refusal, *_] = CLIENT_ERRORS
    account = ledger(put_item=refusal({"Error": {"Code": "No"}}, "PutItem"))

    with pytest.raises(refusal):
        await account.put_item(TableName="shop", Item={})

    assert (account.refused, account.take()) == (1, [])


def test_every_root_field_and_every_mutation_is_asked() -> None:
    schema = build_schema()._schema
    assert schema.query_type
    assert schema.mutation_type
    for kind, asked in ((schema.query_type, reads()), (schema.mutation_type, writes())):
        titles = {one.title.partition(",")[0].split()[0] for one in asked}
        assert titles == set(kind.fields)


def test_all_that_a_mix_is_made_of_is_asked() -> None:
    assert set(MIX) <= {one.title for one in (*reads(), *writes())}
    assert sum(MIX.values()) == 100


def test_a_mix_is_what_its_parts_are_on_average() -> None:
    loads = {"a": Load(4, 0), "b": Load(0, 10)}

    assert mixed(loads, {"a": 3, "b": 1}) == Load(3, 2.5)


def test_a_month_is_paid_by_the_unit_or_by_the_hour() -> None:
    second = Load(reads=1_000, writes=100)

    assert TOKYO.on_demand(second) == pytest.approx(2_628_000 * (0.0001425 + 0.0000715))
    assert TOKYO.provisioned(second, 1.0) == pytest.approx(730 * (0.1484 + 0.0742))
    assert TOKYO.provisioned(second, 0.5) == 2 * TOKYO.provisioned(second, 1.0)


@pytest.mark.parametrize("load", [Load(1, 0), Load(0, 1), Load(5, 2)])
def test_where_as_much_is_used_as_the_break_even_says_both_cost_the_same(load: Load) -> None:
    even = TOKYO.break_even(load)

    assert TOKYO.provisioned(load, even) == pytest.approx(TOKYO.on_demand(load))
    assert 0.28 < even < 0.30


def test_a_table_of_months_has_a_row_for_each_rate() -> None:
    rows = prices.months(TOKYO, Load(2, 1), (10, 1_000))

    assert [row[:3] for row in rows] == [["10", "20", "10"], ["1,000", "2,000", "1,000"]]


def test_a_page_says_of_a_write_what_it_takes_and_what_follows() -> None:
    own = Sum(2, {"table": 1.0}, {"table": 6.0, GSI2: 1.0})
    later = {"mail": Sum(3, {SYSTEM: 2.0}, {SYSTEM: 1.0})}
    every = [Found(title, Sum(1, {"table": 1.0}), {}) for title in MIX]
    cached = [Found(title, Sum(0), {}) for title in MIX]

    lines = list(page(every, cached, [Found("createUser", own, later)]))

    million = 8 * 0.715 + 3 * 0.1425
    expected = f"| createUser | 2 | 1 | 7 | 6 | 0 | 1 | 0 | 3 | 2 | 1 | ${million:.2f} |"
    assert expected in lines
    assert "| createUser | mail | 3 | 2 | 1 |" in lines
    assert "| viewer | 1 | 1 | 0 | $0.14 | 0 | 0 | $0.00 |" in lines


def test_what_an_operation_does_is_not_taken_for_what_follows_it() -> None:
    assert (
        Found("x", Sum(1, {}, {"table": 2.0}), {SELF: Sum(1, {}, {"table": 3.0})}).load.writes == 5
    )


# --- what docs/scaling.md says of it --------------------------------------------------------


def cells(page: str, title: str) -> list[str]:
    """What stands in the first row of a page's tables that begins so."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("title", RETOLD)
def test_what_is_retold_of_an_operation_is_what_was_counted(title: str) -> None:
    requests, read, written, then, cached, left = cells(SCALING, title)
    counted = cells(UNITS, RETOLD[title])
    assert [requests, read] == counted[:2]
    if written:
        assert written == counted[2]
        assert then == f"{counted[8]} read, {counted[9]} written"
        assert [cached, left] == counted[:2]  # nothing that writes reads from the cache
    else:
        assert [cached, left] == counted[4:6]


def test_what_is_retold_of_the_costs_is_what_was_counted() -> None:
    for rate in prices.RATES:
        assert cells(SCALING, f"{rate:,}") == cells(UNITS, f"{rate:,}")
    [request] = re.findall(r"takes ([\d.]+) read units and ([\d.]+) write units", UNITS)
    load = Load(*map(float, request))
    [best] = re.findall(r"in one it takes ([\d.]+) read units", UNITS)
    cached = Load(float(best), load.writes)
    million, least = TOKYO.million(load), TOKYO.million(cached)
    even = TOKYO.break_even(load)
    said = " ".join(SCALING.split())
    for sentence in (
        f"takes {request[0]} read and {request[1]} write units a request",
        f"**${million:.2f} a million requests**",
        f"to {best} read units and ${least:.2f}",
        f"spares ${(million - least) * prices.SECONDS / 1e6:.2f} a month",
        f"more than **{even:.0%}**".replace("%", " %"),
        f"below **{prices.TARGET / even:.1f} times**",
        f"${TOKYO.write * 1e6:g} a million write units, ${TOKYO.read * 1e6:g} a million read units",
        f"${TOKYO.write_hour:g} and ${TOKYO.read_hour:g} a unit and hour",
        f"${TOKYO.replicated * load.writes * 100 * prices.SECONDS:.0f} a month for each 100",
    ):
        assert sentence in said, sentence
