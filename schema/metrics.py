"""What is counted of the plans by which operations run."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from schema.execution import Checks, PlanCache


class PlanMetrics(Collector):
    """Reads the counts when they are scraped, so that they cost a request nothing more."""

    def __init__(self, plans: PlanCache, checks: Checks) -> None:
        self._plans = plans
        self._checks = checks

    def collect(self) -> Iterator[CounterMetricFamily]:
        plans, checks = self._plans, self._checks
        yield _family(
            "plan_searches",
            "Searches for the plan of an operation, by what came of them.",
            "outcome",
            hit=plans.hits,
            first=plans.first,
            compiled=plans.compiled,
            unplanned=plans.unplanned,
        )
        yield _family(
            "plan_runs_given_up",
            "Operations that had a plan and were still graphql-core's to run, for their errors.",
            count=plans.given_up,
        )
        yield _family(
            "plan_checks",
            "Answers by plan that were held against graphql-core's.",
            "outcome",
            alike=checks.alike,
            different=checks.different,
        )


def _family(
    name: str, meaning: str, label: str | None = None, **counts: int
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"cartograph_{name}", meaning, labels=[label] if label else [])
    for value, count in counts.items():
        family.add_metric([value] if label else [], count)
    return family
