"""What is charged, to whom, and what is said to who has no more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError

from datasources.table import Meter
from schema.guards.buckets import MemoryBuckets, Rate
from schema.guards.throttle import PREPARING, RateLimited, Throttle, points_of
from schema.limits import Limits
from schema.operations.operation import Executor, Operation, Refused

ME, ADDRESS = ("default", "me"), ("", "192.0.2.1")


@strawberry.type
class Thing:
    name: str = "x"


@strawberry.type
class Query:
    @strawberry.field
    def thing(self) -> Thing:
        return Thing()

    @strawberry.field
    def user_by_email(self, email: str) -> Thing | None:
        return None if email else Thing()


@strawberry.type
class Mutation:
    @strawberry.mutation
    def create_user(self, email: str) -> Thing:
        return Thing(name=email)


EXECUTOR = Executor(strawberry.Schema(Query, Mutation), limits=Limits(), introspection=True)


def operation(query: str, requested: int = 1) -> Operation:
    return replace(EXECUTOR.prepare(query, None, {}), requested=requested)


def thing(requested: int) -> Operation:
    return operation("{ thing { name } }", requested)


@dataclass
class World:
    seconds: float = 1_000.0
    cost: MemoryBuckets = field(init=False)
    emails: MemoryBuckets = field(init=False)
    throttle: Throttle = field(init=False)

    def __post_init__(self) -> None:
        self.cost = MemoryBuckets(Rate(100, 10), self.now)
        self.emails = MemoryBuckets(Rate(3, 0.5), self.now)
        preparing = MemoryBuckets(PREPARING, self.now)
        self.throttle = Throttle(self.cost, self.emails, preparing, self.now)

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def world() -> World:
    return World()


async def refused(world: World, asked: Operation, caller: tuple[str, str] = ME) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await world.throttle.admit(caller, ADDRESS, asked)
    extensions = extensions_of(caught.value)
    assert (extensions["code"], extensions["retryable"]) == ("RATE_LIMITED", True)
    assert extensions["retryAfterMs"] == round(caught.value.retry_after * 1000)
    return caught.value


def extensions_of(refusal: RateLimited) -> dict[str, Any]:
    (error,) = refusal.errors
    assert error.extensions
    return error.extensions


# --- cost -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter", "points"),
    [
        (Meter(), 1),
        (Meter(1, 0.5, 0), 1),
        (Meter(44, 30.5, 0), 44),
        (Meter(1, 12.5, 0), 13),
        (Meter(3, 2, 20), 22),
    ],
)
def test_an_operation_has_cost_its_calls_or_its_units(meter: Meter, points: int) -> None:
    assert points_of(meter) == points


async def test_what_it_could_cost_is_taken_and_what_it_has_cost_is_charged(world: World) -> None:
    charge = await world.throttle.admit(ME, ADDRESS, thing(80))
    assert charge.throttle() == {
        "maximumAvailable": 100,
        "currentlyAvailable": 20,
        "restoreRate": 10,
    }
    charge.settle(Meter(2, 12.5, 0))
    assert charge.throttle()["currentlyAvailable"] == 87


async def test_an_operation_that_cost_more_is_charged_more(world: World) -> None:
    charge = await world.throttle.admit(ME, ADDRESS, thing(1))
    charge.settle(Meter(1, 0, 130))

    assert charge.throttle()["currentlyAvailable"] == 0
    refusal = await refused(world, thing(1))
    assert refusal.retry_after == pytest.approx(3.1, abs=0.002)


async def test_who_has_too_little_left_is_told_when_there_will_be_enough(world: World) -> None:
    await world.throttle.admit(ME, ADDRESS, thing(70))

    refusal = await refused(world, thing(50))
    assert refusal.requested == 50
    assert refusal.throttle == {
        "maximumAvailable": 100,
        "currentlyAvailable": 30,
        "restoreRate": 10,
    }
    assert refusal.retry_after == pytest.approx(2, abs=0.002)
    assert refusal.errors[0].message == (
        "The operation could cost 50, and 30 are left of 100; 10 come back each second."
    )
    world.seconds += refusal.retry_after
    await world.throttle.admit(ME, ADDRESS, thing(50))


async def test_operations_at_once_are_held_to_what_they_could_cost_together(world: World) -> None:
    charges = [await world.throttle.admit(ME, ADDRESS, thing(25)) for _ in range(4)]
    await refused(world, thing(1))
    for charge in charges:
        charge.settle(Meter(1))

    await world.throttle.admit(ME, ADDRESS, thing(96))
    await refused(world, thing(1))


async def test_one_that_could_cost_more_than_a_bucket_runs_when_it_is_full(world: World) -> None:
    charge = await world.throttle.admit(ME, ADDRESS, thing(5_000))
    charge.settle(Meter(10))

    refusal = await refused(world, thing(5_000))
    assert refusal.retry_after == pytest.approx(1, abs=0.01)


async def test_others_are_not_affected(world: World) -> None:
    await world.throttle.admit(ME, ADDRESS, thing(100))

    await world.throttle.admit(("default", "other"), ADDRESS, thing(100))
    await world.throttle.admit(("elsewhere", "me"), ADDRESS, thing(100))


# --- email addresses ------------------------------------------------------------------------

SIGN_UP = 'mutation { createUser(email: "a") { name } }'


@pytest.mark.parametrize("query", [SIGN_UP, '{ userByEmail(email: "a") { name } }'])
async def test_claiming_and_looking_up_an_address_has_a_smaller_bucket(
    world: World, query: str
) -> None:
    for _ in range(3):
        await world.throttle.admit(ME, ADDRESS, operation(query))
    left = world.cost.left(ME)

    refusal = await refused(world, operation(query))
    assert refusal.retry_after == pytest.approx(2, abs=0.002)
    assert refusal.throttle is None
    assert world.cost.left(ME) == pytest.approx(left)  # nothing ran
    await world.throttle.admit(ME, ADDRESS, thing(1))
    world.seconds += 2
    await world.throttle.admit(ME, ADDRESS, operation(query))


async def test_new_principals_do_not_help_at_the_same_address(world: World) -> None:
    for number in range(3):
        await world.throttle.admit(("default", str(number)), ADDRESS, operation(SIGN_UP))

    await refused(world, operation(SIGN_UP), ("default", "another"))
    await world.throttle.admit(("default", "another"), ("", "192.0.2.2"), operation(SIGN_UP))


@pytest.mark.parametrize(
    ("query", "uses"),
    [
        ('{ a: userByEmail(email: "a") { name } b: userByEmail(email: "b") { name } }', 2),
        ("{ ...A ...A } fragment A on Query { ...B ...B } fragment B on Query { "
         'userByEmail(email: "a") { name } ... { x: userByEmail(email: "a") { name } } }', 2),
        ('{ thing { name } ... on Query { userByEmail(email: "a") { name } } }', 1),
        ("{ userByEmail: thing { name } }", 0),
    ],
)  # fmt: skip
async def test_each_use_counts_wherever_it_stands(world: World, query: str, uses: int) -> None:
    await world.throttle.admit(ADDRESS, ADDRESS, operation(query))

    assert world.emails.left(ADDRESS) == pytest.approx(3 - uses)


async def test_operations_are_told_apart_however_many_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.guards.throttle._MOST_OPERATIONS", 2)
    plain, looking = thing(1), operation('{ userByEmail(email: "b") { name } }')
    for number in range(3):
        asked = operation(f"{{ thing {{ a{number}: name }} }}")
        for each in (asked, plain):
            await world.throttle.admit(ADDRESS, ADDRESS, each)
        await world.throttle.admit(ADDRESS, ADDRESS, looking)

    await refused(world, looking, ADDRESS)


# --- documents ------------------------------------------------------------------------------


def test_documents_that_take_long_to_read_use_up_a_time_whether_or_not_they_run(
    world: World,
) -> None:
    def slowly() -> str:
        world.seconds += 0.5
        raise Refused(GraphQLError("no"))

    # Each takes half a second, of which half comes back meanwhile.
    for _ in range(20):
        with pytest.raises(Refused, match="no"):
            world.throttle.prepare(ME, slowly)

    with pytest.raises(RateLimited) as caught:
        world.throttle.prepare(ME, slowly)
    assert 0 < caught.value.retry_after <= 1
    world.throttle.prepare(("default", "other"), lambda: "ready")
    world.seconds += caught.value.retry_after
    assert world.throttle.prepare(ME, lambda: "ready") == "ready"


def test_documents_that_are_known_use_up_nothing(world: World) -> None:
    for _ in range(1_000):
        assert world.throttle.prepare(ME, lambda: "ready") == "ready"
    assert len(world.throttle._preparing or ()) == 0


def test_nobody_need_count_the_time(world: World) -> None:
    throttle = Throttle(world.cost, world.emails, None, world.now)

    def slowly() -> str:
        world.seconds += 100
        return "ready"

    assert [throttle.prepare(ME, slowly) for _ in range(3)] == ["ready"] * 3


async def test_refusals_are_counted_by_what_there_was_too_much_of(world: World) -> None:
    assert world.throttle.refused == {"cost": 0, "emails": 0, "preparing": 0}
    await refused_by(world, thing(60), 2)
    await refused_by(world, operation(SIGN_UP), 4, caller=("default", "another"))
    world.throttle.prepare(ME, lambda: spend(world, 6))
    for _ in range(2):
        with pytest.raises(RateLimited):
            world.throttle.prepare(ME, lambda: None)

    assert world.throttle.refused == {"cost": 1, "emails": 1, "preparing": 2}


async def refused_by(
    world: World, asked: Operation, times: int, caller: tuple[str, str] = ME
) -> None:
    """Asks so often, and is refused at the last."""
    for _ in range(times - 1):
        await world.throttle.admit(caller, ADDRESS, asked)
    await refused(world, asked, caller)


def spend(world: World, seconds: float) -> None:
    world.seconds += seconds
