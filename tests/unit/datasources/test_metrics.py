"""What is counted of the calls of the store."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from datasources.calls import Call
from datasources.metrics import StoreMetrics


def call(operation: str = "Query", **changes: Any) -> Call:
    values: dict[str, Any] = {
        "operation": operation,
        "table": "shop",
        "index": None,
        "keys": 1,
        "items": 0,
        "left": 0,
        "units": 0.5,
        "began": 0.0,
        "seconds": 0.004,
        "attempt": 1,
        "error": None,
    }
    return Call(**(values | changes))


@pytest.fixture
def metrics() -> StoreMetrics:
    return StoreMetrics()


def scraped(metrics: StoreMetrics, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(f"cartograph_{name}", labels)


def test_calls_are_counted_by_operation_with_their_time_and_units(metrics: StoreMetrics) -> None:
    for seconds in (0.004, 0.005, 0.2):
        metrics.called(call(seconds=seconds))
    metrics.called(call("BatchGetItem", seconds=9.0))

    def below(bound: str, operation: str) -> float | None:
        return scraped(metrics, "store_call_seconds_bucket", operation=operation, le=bound)

    assert scraped(metrics, "store_call_seconds_count", operation="Query") == 3
    assert scraped(metrics, "store_call_seconds_sum", operation="Query") == pytest.approx(0.209)
    assert [below(bound, "Query") for bound in ("0.0025", "0.005", "0.25", "+Inf")] == [0, 2, 3, 3]
    assert [below(bound, "BatchGetItem") for bound in ("2.5", "+Inf")] == [0, 1]
    assert scraped(metrics, "store_units_total", operation="Query") == 1.5


def test_retries_and_throttles_are_counted(metrics: StoreMetrics) -> None:
    metrics.called(call(error="Throttled"))
    metrics.called(call(error="TransactionThrottled", attempt=2))
    metrics.called(call(left=3, attempt=3))
    metrics.called(call(error="ServiceUnavailable"))

    assert scraped(metrics, "store_retries_total", operation="Query") == 2
    assert scraped(metrics, "store_throttles_total", operation="Query") == 3
    assert scraped(metrics, "store_errors_total", operation="Query", error="Throttled") == 1


def test_batches_are_counted_by_loader_and_size(metrics: StoreMetrics) -> None:
    for size in (1, 2, 40):
        metrics.batched("items", size)

    assert scraped(metrics, "loader_batch_keys_sum", loader="items") == 43
    assert scraped(metrics, "loader_batch_keys_bucket", loader="items", le="2.0") == 2


def test_what_is_scraped_is_prometheus_text_also_before_the_first_call() -> None:
    registry = CollectorRegistry()
    registry.register(StoreMetrics())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    assert {family.name for family in families} >= {
        "cartograph_store_call_seconds",
        "cartograph_store_errors",
        "cartograph_loader_batch_keys",
    }
