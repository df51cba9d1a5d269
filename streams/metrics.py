"""What is counted of a stream while it is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge

# Seconds without a word of a shard whose end was reached: it is asked once a second.
_QUIET = 5.0


class StreamMetrics:
    """The numbers of one process; `registry` is where they are scraped from, `clock` counts
    seconds."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = monotonic) -> None:
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
        self._in_hand = Gauge(
            "cartograph_records_in_hand",
            "Records read from the stream whose effects are not all there yet.",
            registry=registry,
        )
        lag = Gauge(
            "cartograph_stream_lag_seconds",
            "Age of the first record that is not done with, of the shard that is furthest behind; "
            "0 where there is none, and seconds since that was known if nobody answers.",
            registry=registry,
        )
        lag.set_function(self._furthest)
        self._clock = clock
        self._lags: dict[str, tuple[float, float]] = {}  # and when each was told

    @contextmanager
    def in_hand(self, records: int) -> Iterator[None]:
        """Around what is done with so many records."""
        self._in_hand.inc(records)
        try:
            yield
        finally:
            self._in_hand.dec(records)

    def lag(self, shard: str, seconds: float) -> None:
        """How old the next record of a shard is, which is about to be seen to; 0 where there is
        none."""
        self._lags[shard] = seconds, self._clock()

    def forget(self, shard: str) -> None:
        """That the shard is followed no longer."""
        self._lags.pop(shard, None)

    def _furthest(self) -> float:
        now = self._clock()
        return max((_behind(lag, now - at) for lag, at in self._lags.values()), default=0.0)


def _behind(lag: float, since: float) -> float:
    """A record that waits grows older, and what is not heard of may have some that do."""
    return lag + since if lag or since > _QUIET else 0.0
