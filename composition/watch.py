"""What the parts of the service are asked when it is scraped: how they stand, and what they have
counted. It costs a request nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from datasources.breaker import State
from datasources.table import Guard
from schema.guards.admission import Admission
from schema.guards.seats import Seats
from schema.guards.throttle import Throttle
from schema.live.sockets import SocketEndpoint
from schema.live.sse import EventStreams
from schema.live.subscriptions import Live

_BREAKER = {State.CLOSED: 0.0, State.HALF_OPEN: 0.5, State.OPEN: 1.0}


@dataclass(slots=True, eq=False)
class Parts(Collector):
    """Those of one process. Scraped in its event loop."""

    sockets: SocketEndpoint
    streams: EventStreams
    live: Live
    admission: Admission
    seats: Seats
    throttle: Throttle | None
    guard: Guard | None

    def collect(self) -> Iterator[Metric]:
        yield from self._connections()
        yield from self._operations()
        yield self._rate_limited()
        if self.guard:
            yield from _guarded(self.guard)
        yield _gauge("tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))

    def _connections(self) -> Iterator[Metric]:
        seats, live = self.seats, self.live
        yield _gauge("websockets", "Websockets that are open.", len(self.sockets.sockets))
        yield _gauge(
            "event_streams",
            "Answers in server-sent events that are open.",
            len(self.streams.streams),
        )
        yield _gauge("seats_taken", "Websockets and event streams together.", seats.taken)
        yield _gauge("seats_limit", "How many of them may be open.", seats.limits.all)
        yield _counter("seats_refused", "Connections when all seats were taken.", seats.refused)
        yield _gauge(
            "subscription_groups", "Different answers that an event can come to.", live.groups
        )
        yield _gauge(
            "waiting_events", "Events that wait for subscribers to take them.", live.waiting
        )

    def _operations(self) -> Iterator[Metric]:
        places = self.admission
        yield _gauge("operations", "Operations that run.", places.running)
        yield _gauge("operations_limit", "Operations that may run at once.", places.limit)
        yield _gauge("operations_waiting", "Operations that wait for a place.", places.waiting)
        yield _counter("operations_refused", "Operations there was no place for.", places.refused)

    def _rate_limited(self) -> Metric:
        family = CounterMetricFamily(
            "cartograph_rate_limited",
            "Operations and connections refused, by what one caller had too much of.",
            labels=["bucket"],
        )
        counts = self.throttle.refused if self.throttle else {}
        for bucket, count in {**counts, "sockets": self.seats.refused_to_one}.items():
            family.add_metric([bucket], count)
        return family


def _guarded(guard: Guard) -> Iterator[Metric]:
    breaker, retries = guard
    yield _gauge(
        "breaker_state",
        "Whether calls of DynamoDB are made: 0 all, 0.5 one to see if it answers, 1 none.",
        _BREAKER[breaker.state],
    )
    yield _counter("breaker_opened", "Times that calls ceased to be made.", breaker.opened)
    yield _counter(
        "store_retries_refused",
        "Calls that were not made again, for a tenth of them had been already.",
        retries.refused,
    )


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"cartograph_{name}", meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(f"cartograph_{name}", meaning, value=value)
