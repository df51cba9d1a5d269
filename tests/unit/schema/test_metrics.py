"""The counts of plans as they are scraped."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from schema.build import build_schema
from schema.execution import Checks, PlanCache, Planner
from schema.metrics import PlanMetrics


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
