"""How the parts of a service stand, as it is scraped."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from composition.watch import Parts
from datasources.breaker import Breaker, NotAsked, State
from datasources.errors import ServiceUnavailable
from datasources.retries import RetryBudget
from datasources.table import Guard
from schema.guards.admission import Admission, Places
from schema.guards.buckets import MemoryBuckets, Rate
from schema.guards.seats import NoSeat, SeatLimits, Seats
from schema.guards.throttle import Throttle

GAUGES = """breaker_state event_streams operations operations_limit operations_waiting seats_limit
    seats_taken subscription_groups tasks waiting_events websockets""".split()
COUNTERS = """breaker_opened operations_refused rate_limited seats_refused
    store_retries_refused""".split()


class World:
    """Parts of which a test may do something, and what is told of them."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.admission = Admission(self.now, Places(first=1, least=1))
        self.seats = Seats(SeatLimits(all=2, principal=1))
        self.guard = Guard(
            Breaker("shop", self.now, lambda low, _high: low, least=1, lasting=0),
            RetryBudget(self.now, reserve=1),
        )
        buckets = MemoryBuckets(Rate(1, 1), self.now)
        self.throttle: Throttle | None = Throttle(buckets, buckets, None, self.now)
        self.sockets: Any = SimpleNamespace(sockets={1, 2})
        self.streams: Any = SimpleNamespace(streams={1})
        self.live: Any = SimpleNamespace(groups=3, waiting=4)

    def now(self) -> float:
        return self.seconds

    @property
    def registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        parts = Parts(
            self.sockets,
            self.streams,
            self.live,
            self.admission,
            self.seats,
            self.throttle,
            self.guard,
        )
        registry.register(parts)
        return registry

    def told(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"cartograph_{name}", labels)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_only_grows_is_a_counter_and_all_else_a_gauge(world: World) -> None:
    families = text_string_to_metric_families(generate_latest(world.registry).decode())
    kinds = {family.name: family.type for family in families}
    expected = dict.fromkeys(GAUGES, "gauge") | dict.fromkeys(COUNTERS, "counter")
    assert kinds == {f"cartograph_{name}": kind for name, kind in expected.items()}


async def test_connections_are_told_with_how_many_there_may_be(world: World) -> None:
    world.seats.take(("", "192.0.2.1"))
    world.seats.take(("default", "u1"))
    with pytest.raises(NoSeat):
        world.seats.take(("default", "u2"))

    names = ("websockets", "event_streams", "subscription_groups", "waiting_events")
    assert [world.told(name) for name in names] == [2, 1, 3, 4]
    assert [world.told(f"seats_{each}") for each in ("taken", "limit")] == [2, 2]
    assert world.told("seats_refused_total") == 1


async def test_operations_are_told_with_how_many_there_may_be(world: World) -> None:
    assert await world.admission.enter()
    world.admission.refused = 5

    assert [world.told(f"operations{each}") for each in ("", "_limit", "_waiting")] == [1, 1, 0]
    assert world.told("operations_refused_total") == 5


async def test_who_had_too_much_of_what_is_told(world: World) -> None:
    assert world.throttle
    world.throttle.refused["cost"] = 3
    world.seats.refused_to_one = 2
    buckets = ("cost", "emails", "preparing", "sockets")

    assert [world.told("rate_limited_total", bucket=each) for each in buckets] == [3, 0, 0, 2]
    world.throttle = None
    assert [world.told("rate_limited_total", bucket=each) for each in buckets] == [
        *[None] * 3,
        2,
    ]


async def fail() -> None:
    raise ServiceUnavailable("away")


async def answer() -> None: ...


async def test_the_breaker_is_told_by_its_state_and_how_often_it_opened(world: World) -> None:
    breaker = world.guard.breaker
    assert (world.told("breaker_state"), world.told("breaker_opened_total")) == (0, 0)

    async def run(call: Callable[[], Any], expected: type[Exception]) -> None:
        with pytest.raises(expected):
            await breaker.run(call)

    await run(fail, ServiceUnavailable)
    await run(answer, NotAsked)
    assert (world.told("breaker_state"), world.told("breaker_opened_total")) == (1, 1)
    world.seconds += 60
    breaker.admit()
    assert breaker.state is State.HALF_OPEN
    assert world.told("breaker_state") == 0.5


async def test_what_the_budget_of_repetitions_refuses_is_told(world: World) -> None:
    assert [world.guard.retries.spend() for _ in range(3)] == [True, False, False]
    assert world.told("store_retries_refused_total") == 2
