"""What the simulations of keys and of Regions come to where that can be told beforehand."""

from __future__ import annotations

from random import Random
from xml.etree import ElementTree

import pytest

from bench import regions, skew
from bench.regions import STOCK, arrivals, oversold, sell
from bench.skew import EXPONENTS, LINES, PRODUCTS, SHARDS, WRITES, Places, Shop, ceilings, zipf
from datasources.keys import Keys


def test_shares_are_a_whole_and_fall_by_rank() -> None:
    shares = zipf(1_000, 1.0)

    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(2 * shares[1])
    assert zipf(4, 0) == [0.25] * 4


def test_one_shard_takes_what_one_partition_key_takes() -> None:
    found = ceilings([1.0], [1], draws=1)[1.0][1]

    assert found["all products"] == pytest.approx(WRITES / LINES)
    assert found["orders by month"] == pytest.approx(WRITES)


def test_a_best_seller_is_bounded_by_its_own_row_whatever_the_shards() -> None:
    found = ceilings([1.2], [1, 8], draws=1)[1.2]

    share = zipf(PRODUCTS, 1.2)[0]
    for by_list in found.values():
        assert by_list["a product's row"] == pytest.approx(WRITES / (share * LINES * skew.ROW))


def test_shards_give_less_the_more_sales_are_of_a_few() -> None:
    found = ceilings([0.0, 1.0], [1, 8], draws=2)
    gains = [
        by_shards[8]["all products"] / by_shards[1]["all products"] for by_shards in found.values()
    ]

    even, skewed = gains
    assert 6 < even <= 8
    assert skewed < 5


def test_orders_spread_over_shards_whoever_buys_what() -> None:
    found = ceilings([0.0, 1.2], [4], draws=1)

    assert found[0.0][4]["orders by status"] == found[1.2][4]["orders by status"]


def test_keys_are_those_of_the_table() -> None:
    shop, keys = Shop.drawn(1), Keys("t", 4)
    places = Places.of(shop, keys)

    assert {every for _, _, every in places.products} == set(keys.products("ACTIVE"))
    assert {status for status, _ in places.orders} == set(keys.orders("PENDING"))


def test_the_figure_has_a_line_for_each_exponent() -> None:
    lines = {s: dict.fromkeys(SHARDS, 1.0) for s in EXPONENTS}

    drawn = ElementTree.fromstring(skew.figure(lines))  # noqa: S314 it is ours

    dots = [one for one in drawn.iter() if one.tag.endswith("circle")]
    assert len(dots) == len(SHARDS) * len(EXPONENTS)


def test_the_last_one_is_sold_twice_by_two_regions_that_have_not_heard_of_each_other() -> None:
    outcome = sell(1, [(0.0, 0), (0.3, 1)], lag=1.0)

    assert outcome.sold == 2
    assert [replica.stock for replica in outcome.replicas] == [0, 0]


def test_it_is_sold_once_where_the_second_order_has_heard_of_the_first() -> None:
    assert sell(1, [(0.0, 0), (1.5, 1)], lag=1.0).sold == 1


def test_one_of_two_sales_is_forgotten_by_both_replicas() -> None:
    outcome = sell(10, [(0.0, 0), (0.3, 1)], lag=1.0)

    assert [replica.stock for replica in outcome.replicas] == [9, 9]


@pytest.mark.parametrize("rate", regions.RATES)
def test_one_region_never_sells_what_there_is_not(rate: float) -> None:
    assert oversold(rate, 1, runs=5) == 0


def test_two_regions_sell_more_the_more_is_ordered_while_a_write_is_on_its_way() -> None:
    few, many = (oversold(rate, 2, runs=20) for rate in (0.1, 10))

    assert 0 < few < many < STOCK * 3


def test_arrivals_come_as_often_as_they_are_to() -> None:
    orders = arrivals(50, 10_000, 2, Random(3))  # noqa: S311 no secret

    assert orders[-1][0] == pytest.approx(200, rel=0.05)
    assert {region for _, region in orders} == {0, 1}
