"""What several workers tell Prometheus, as one text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from composition.scraping import merged
from composition.watch import Parts
from datasources.metrics import StoreMetrics
from schema.guards.admission import Admission
from schema.guards.seats import Seats
from schema.operations.metrics import RequestMetrics
from streams.metrics import StreamMetrics


def told(amount: int) -> str:
    registry = CollectorRegistry()
    Counter("orders", "Orders placed.", ["how"], registry=registry).labels("by hand").inc(amount)
    Gauge("sockets", "Sockets that are open.", registry=registry).set(amount)
    Histogram("seconds", "Seconds it took.", registry=registry, buckets=[1]).observe(amount)
    return generate_latest(registry).decode()


def told_by_parts(admitted: int, records: int) -> str:
    """What a worker tells of its own: gauges, counters and histograms of all the ways in which
    the service makes them."""
    registry = CollectorRegistry()
    admission, seats = Admission(lambda: 0.0), Seats()
    admission.running, admission.refused = admitted, 10 * admitted
    seats.refused_to_one = admitted
    live: Any = SimpleNamespace(sockets=[], streams=[], groups=0, waiting=0)
    registry.register(Parts(live, live, live, admission, seats, None, None))
    requests, store, stream = RequestMetrics(), StoreMetrics(), StreamMetrics(registry)
    for _ in range(admitted):
        requests.ran("Shop", 0.02, ["FORBIDDEN"])
        store.batched("items", 3)
    registry.register(requests)
    registry.register(store)
    stream.dead_letters.labels("mail").inc(records)
    with stream.in_hand(records):
        return generate_latest(registry).decode()


def summed(text: str, name: str, **labels: str) -> float:
    """What `sum(name{...})` of Prometheus comes to, over the workers."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def samples(text: str, name: str) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["worker"], sample.labels.get("how", sample.labels.get("le", ""))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_each_sample_says_whose_it_is() -> None:
    text = merged([(1, told(7)), (0, told(5))]).decode()

    assert samples(text, "orders_total") == {("0", "by hand"): 5, ("1", "by hand"): 7}
    assert samples(text, "sockets") == {("0", ""): 5, ("1", ""): 7}
    assert samples(text, "seconds_bucket")["1", "+Inf"] == 1


@pytest.mark.parametrize("name", ["orders_total", "sockets", "seconds"])
def test_each_family_is_described_once(name: str) -> None:
    lines = merged([(0, told(1)), (1, told(1))]).decode().splitlines()

    for sign in ("# HELP", "# TYPE"):
        assert sum(line.startswith(f"{sign} {name} ") for line in lines) == 1


def test_a_worker_that_tells_nothing_is_left_out() -> None:
    text = merged([(0, told(5)), (1, "")]).decode()

    assert samples(text, "sockets") == {("0", ""): 5}


async def test_the_services_own_add_up_over_the_workers() -> None:
    text = merged([(0, told_by_parts(3, 7)), (1, told_by_parts(2, 5))]).decode()

    assert summed(text, "cartograph_operations") == 5
    assert summed(text, "cartograph_operations_refused_total") == 50
    assert summed(text, "cartograph_rate_limited_total", bucket="sockets") == 5
    assert summed(text, "cartograph_records_in_hand") == 12
    assert summed(text, "cartograph_dead_letters_total", reaction="mail") == 12
    assert summed(text, "cartograph_request_errors_total", code="FORBIDDEN") == 5
    assert summed(text, "cartograph_request_seconds_bucket", operation="Shop", le="0.01") == 0
    assert summed(text, "cartograph_request_seconds_bucket", operation="Shop", le="+Inf") == 5
    assert summed(text, "cartograph_request_seconds_sum") == pytest.approx(0.1)
    assert summed(text, "cartograph_loader_batch_keys_sum", loader="items") == 15


async def test_a_family_is_of_the_kind_that_its_worker_tells() -> None:
    def kinds(text: str) -> dict[str, str]:
        return {family.name: family.type for family in text_string_to_metric_families(text)}

    alone = told_by_parts(3, 7)
    assert kinds(merged([(0, alone), (1, told_by_parts(2, 5))]).decode()) == kinds(alone)
    assert {"counter", "gauge", "histogram"} == set(kinds(alone).values())
