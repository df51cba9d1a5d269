"""The counts of operations and of plans as they are scraped."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from schema.build import build_schema
from schema.execution import Checks, PlanCache, Planner
from schema.operations.metrics import PlanMetrics, RequestMetrics


def test_the_counts_are_those_at_the_time_of_the_scrape() -> None:
    plans, checks = PlanCache(Planner(build_schema())), Checks(1, lambda: 0.0)
    registry = CollectorRegistry()
    registry.register(PlanMetrics(plans, checks))
    plans.hits, plans.first, plans.compiled, plans.unplanned = 5, 4, 3, 2
    plans.give_up()
    checks.alike, checks.different = 7, 6

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"cartograph_{name}_total", labels)

    searches = [
        value("plan_searches", outcome=each) for each in ("hit", "first", "compiled", "unplanned")
    ]
    assert searches == [5, 4, 3, 2]
    assert value("plan_runs_given_up") == 1
    assert [value("plan_checks", outcome=each) for each in ("alike", "different")] == [7, 6]


def scraped(metrics: RequestMetrics, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(f"cartograph_request_{name}", labels)


def test_operations_are_counted_by_name_with_their_errors() -> None:
    metrics = RequestMetrics()
    metrics.ran("Storefront", 0.02, ())
    metrics.ran("Storefront", 0.3, ["THROTTLED", "FORBIDDEN", "FORBIDDEN"])
    metrics.ran(None, 0.1, ())
    metrics.refused(["GRAPHQL_PARSE_FAILED"])

    assert scraped(metrics, "seconds_count", operation="Storefront") == 2
    assert scraped(metrics, "seconds_bucket", operation="Storefront", le="0.025") == 1
    assert scraped(metrics, "seconds_count", operation="anonymous") == 1
    assert scraped(metrics, "errors_total", operation="Storefront", code="FORBIDDEN") == 2
    assert scraped(metrics, "errors_total", operation="refused", code="GRAPHQL_PARSE_FAILED") == 1


def test_the_names_that_clients_choose_cannot_become_labels_without_end() -> None:
    metrics = RequestMetrics(most=3)
    for number in range(1_000):
        metrics.ran(f"Name{number}", 0.1, ["FORBIDDEN"])
    metrics.ran("N" * 15_000, 0.1, ())

    assert scraped(metrics, "seconds_count", operation="Name2") == 1
    assert scraped(metrics, "seconds_count", operation="Name3") is None
    assert scraped(metrics, "seconds_count", operation="other") == 998
    assert scraped(metrics, "errors_total", operation="other", code="FORBIDDEN") == 997
