"""What is counted of a stream while it is followed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class StreamMetrics:
    """The numbers of one process; `registry` is where they are scraped from."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events_lost = Counter(
            "cartograph_events_lost_total",
            "Times that records were gone from the stream before they were read.",
            registry=registry,
        )
        self.dead_letters = Counter(
            "cartograph_dead_letters_total",
            "Records given up, by the reaction that could not handle them.",
            ["reaction"],
            registry=registry,
        )
        self.changes = Counter(
            "cartograph_changes_total",
            "Changes read from the stream, by entity.",
            ["entity"],
            registry=registry,
        )
        self._lag = Gauge(
            "cartograph_stream_lag_seconds",
            "Age of the last record read of the shard that is furthest behind; 0 at the tip.",
            registry=registry,
        )
        self._lags: dict[str, float] = {}

    def lag(self, shard: str, seconds: float) -> None:
        """How old the last record of a shard was when it was read; 0 where there is none."""
        self._lags[shard] = seconds
        self._lag.set(max(self._lags.values()))

    def forget(self, shard: str) -> None:
        """That the shard is followed no longer."""
        self._lags.pop(shard, None)
        self._lag.set(max(self._lags.values(), default=0.0))
