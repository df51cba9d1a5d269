"""What is counted of operations, and of the plans by which they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from datasources.metrics import Distribution, histogram
from schema.execution import Checks, PlanCache

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0)
_LONGEST_NAME = 64  # characters

ANONYMOUS = "anonymous"
OTHER = "other"
REFUSED = "refused"


class RequestMetrics(Collector):
    """Queries and mutations, by the name of the operation: clients choose it, so that only the
    first `most` names have labels of their own, and all others share one."""

    def __init__(self, most: int = 50) -> None:
        self._most = most
        self._seconds: dict[str, Distribution] = {}
        self._errors: dict[str, Counter[str]] = {}

    def ran(self, name: str | None, seconds: float, codes: Iterable[str]) -> None:
        """An operation has been answered; `codes` are those of its errors."""
        label = ANONYMOUS if name is None else name
        found = self._seconds.get(label)
        if found is None:
            label, found = self._first(label)
        found.add(seconds)
        if codes:
            self._count(label, codes)

    def refused(self, codes: Iterable[str]) -> None:
        """A request did not run: the name it gives is anybody's word."""
        self._count(REFUSED, codes)

    def _first(self, label: str) -> tuple[str, Distribution]:
        if len(self._seconds) >= self._most or len(label) > _LONGEST_NAME:
            label = OTHER
        return label, self._seconds.setdefault(label, Distribution(_SECONDS))

    def _count(self, label: str, codes: Iterable[str]) -> None:
        self._errors.setdefault(label, Counter()).update(codes)

    def collect(self) -> Iterator[Metric]:
        yield histogram(
            "request_seconds", "How long operations took that ran.", "operation", self._seconds
        )
        errors = CounterMetricFamily(
            "cartograph_request_errors",
            "Errors that clients were told, by operation and code.",
            labels=["operation", "code"],
        )
        for operation, codes in self._errors.items():
            for code, count in codes.items():
                errors.add_metric([operation, code], count)
        yield errors


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
