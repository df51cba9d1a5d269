"""What several workers tell Prometheus, as one text."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from composition.scraping import merged


def told(amount: int) -> str:
    registry = CollectorRegistry()
    Counter("orders", "Orders placed.", ["how"], registry=registry).labels("by hand").inc(amount)
    Gauge("sockets", "Sockets that are open.", registry=registry).set(amount)
    Histogram("seconds", "Seconds it took.", registry=registry, buckets=[1]).observe(amount)
    return generate_latest(registry).decode()


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
