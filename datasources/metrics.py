"""What is counted of the calls of the store.

Plain numbers, made into Prometheus' families only when they are scraped: a counter of
prometheus_client takes a lock for each of the several counts of a call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from datasources.calls import Call

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_KEYS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_THROTTLES = frozenset({"Throttled", "TransactionThrottled"})


class Distribution:
    """How many values lie at or below each bound, and above the last."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each with all that lies below."""
        bounds = [*map(str, map(float, self._bounds)), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))


class _Calls:
    """The calls of one operation."""

    __slots__ = ("errors", "retries", "seconds", "throttles", "units")

    def __init__(self) -> None:
        self.seconds = Distribution(_SECONDS)
        self.units = 0.0
        self.retries = 0
        self.throttles = 0
        self.errors: Counter[str] = Counter()


class StoreMetrics(Collector):
    """An observer of tables (`datasources.calls`). Its labels are the names of operations, of
    classes of errors and of loaders, of which there are few."""

    def __init__(self) -> None:
        self._calls: dict[str, _Calls] = defaultdict(_Calls)
        self._batches: dict[str, Distribution] = defaultdict(lambda: Distribution(_KEYS))
        self._kept = self._asked = 0

    def called(self, call: Call) -> None:
        calls = self._calls[call.operation]
        calls.seconds.add(call.seconds)
        calls.units += call.units
        if call.attempt > 1:
            calls.retries += 1
        if call.left:
            calls.throttles += 1
        if call.error:
            calls.errors[call.error] += 1
            calls.throttles += call.error in _THROTTLES

    def batched(self, loader: str, size: int) -> None:
        self._batches[loader].add(size)

    def found(self, kept: int, asked: int) -> None:
        self._kept += kept
        self._asked += asked

    def collect(self) -> Iterator[Metric]:
        yield histogram(
            "store_call_seconds", "How long calls of DynamoDB took.", "operation", self._seconds()
        )
        yield self._counter(
            "store_units", "Capacity units, as DynamoDB reported them.", lambda calls: calls.units
        )
        yield self._counter(
            "store_retries", "Calls that were made again.", lambda calls: calls.retries
        )
        yield self._counter(
            "store_throttles",
            "Calls that DynamoDB refused, or left a part of, for their pace.",
            lambda calls: calls.throttles,
        )
        errors = CounterMetricFamily(
            "cartograph_store_errors",
            "Calls that failed or were answered no, by what came of them.",
            labels=["operation", "error"],
        )
        for operation, calls in self._calls.items():
            for error, count in calls.errors.items():
                errors.add_metric([operation, error], count)
        yield errors
        for name, meaning, count in (
            ("asked", "Items that loaders asked the cache for.", self._asked),
            ("found", "Items that were in the cache.", self._kept),
        ):
            yield CounterMetricFamily(f"cartograph_cache_{name}", meaning, count)
        yield histogram(
            "loader_batch_keys",
            "Keys that loaders gather before they ask.",
            "loader",
            self._batches,
        )

    def _seconds(self) -> dict[str, Distribution]:
        return {operation: calls.seconds for operation, calls in self._calls.items()}

    def _counter(
        self, name: str, meaning: str, count: Callable[[_Calls], float]
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(f"cartograph_{name}", meaning, labels=["operation"])
        for operation, calls in self._calls.items():
            family.add_metric([operation], count(calls))
        return family


def histogram(
    name: str, meaning: str, label: str, found: dict[str, Distribution]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"cartograph_{name}", meaning, labels=[label])
    for value, each in found.items():
        family.add_metric([value], each.buckets(), each.total)
    return family
