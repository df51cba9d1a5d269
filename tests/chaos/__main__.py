"""Sixteen customers and eight listeners for a minute in which everything fails.

`python -m tests.chaos [--seconds S] [--seed N]` ends with exit code 1 and a line for each thing
that cannot be: an order lost or doubled, stock that does not add up, an event lost, doubled or out
of order, a socket that was away for too long. It needs redis-server.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.chaos.clients import Customer, Listener, ended
from tests.chaos.history import SOON, History, Outcome, violations
from tests.chaos.world import PRODUCTS, World, open_world
from tests.support.proxy import Fault

CUSTOMERS = 16
LISTENERS = 8
SETTLING = 60.0  # seconds until all that is known has been told once nothing fails any more

Phase = Callable[[World, float], Awaitable[None]]


async def calm(_world: World, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def every_fault(world: World, seconds: float) -> None:
    world.proxy.odds = dict.fromkeys(Fault, 0.08)
    await asyncio.sleep(seconds)
    world.proxy.odds = {}


async def throttling(world: World, seconds: float) -> None:
    world.proxy.odds = {Fault.THROTTLE: 0.9}
    await asyncio.sleep(seconds)
    world.proxy.odds = {}


async def internal_errors(world: World, seconds: float) -> None:
    world.proxy.odds = {Fault.FAIL: 1.0}
    await asyncio.sleep(seconds)
    world.proxy.odds = {}


async def black_hole(world: World, seconds: float) -> None:
    world.proxy.vanish()
    await asyncio.sleep(seconds)
    world.proxy.reappear()


async def two_seconds_late(world: World, seconds: float) -> None:
    world.proxy.latency = 2.0
    await asyncio.sleep(seconds)
    world.proxy.latency = 0.0


async def hot_partition(world: World, seconds: float) -> None:
    world.heat(world.shelf.products[0])
    await asyncio.sleep(seconds)
    world.cool()


async def no_broker(world: World, seconds: float) -> None:
    world.broker.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(world.broker.start)


async def processor_killed(world: World, seconds: float) -> None:
    await world.replace_processor()
    await asyncio.sleep(seconds)


async def instance_killed(world: World, _seconds: float) -> None:
    world.restarting = True  # and until all of them are over
    await world.restart(1, signal.SIGKILL)


async def rolling_restart(world: World, _seconds: float) -> None:
    for number in range(len(world.services)):
        exit_code = await world.restart(number, signal.SIGTERM)
        if exit_code != 0:
            raise AssertionError(f"instance {number} ended with exit code {exit_code}")
    # Those who were told to leave come back meanwhile.
    await asyncio.sleep(SOON)
    world.restarting = False


# What happens, and its share of the time.
PHASES: tuple[tuple[Phase, float], ...] = (
    (calm, 0.05),
    (every_fault, 0.15),
    (throttling, 0.08),
    (calm, 0.05),
    (internal_errors, 0.08),
    (calm, 0.05),
    (black_hole, 0.1),
    (calm, 0.07),
    (two_seconds_late, 0.1),
    (calm, 0.05),
    (hot_partition, 0.07),
    (no_broker, 0.05),
    (processor_killed, 0.1),
    (instance_killed, 0.0),
    (rolling_restart, 0.0),
)


async def main(seconds: float, seed: int) -> list[str]:
    history, chance = History(), random.Random(seed)  # noqa: S311 no secret
    with TemporaryDirectory() as folder:
        async with open_world(Path(folder), CUSTOMERS) as world, aiohttp.ClientSession() as session:
            world.proxy.reseed(seed)
            before = await world.stock()
            listeners = [_listener(world, number, history, chance) for number in range(LISTENERS)]
            for listener in listeners:
                await listener.begin()
            closing = asyncio.Event()
            customers = [
                _customer(world, number, history, session, chance) for number in range(CUSTOMERS)
            ]
            listening = [asyncio.create_task(each.listen()) for each in listeners]
            shopping = [asyncio.create_task(each.shop(closing)) for each in customers]
            for phase, share in PHASES:
                await _run(phase, world, seconds * share, history)
            closing.set()
            async with asyncio.timeout(SETTLING):
                await asyncio.gather(*shopping)
            after = await world.stock()
            await _until_heard(listeners, history, after)
            await ended(listening)
            for listener in listeners:
                listener.leave()
            stored = await world.stored([each.name for each in customers])
            listens = {each.name: each.product for each in listeners}
            _report(history, world)
    return violations(history, Outcome(stored, before, after, listens))


def _customer(
    world: World,
    number: int,
    history: History,
    session: aiohttp.ClientSession,
    chance: random.Random,
) -> Customer:
    name = f"user-{number}"
    own = random.Random(chance.random())  # noqa: S311 no secret
    token = world.services[0].signed(name)
    # The list of addresses stays the same: instances come back to theirs.
    return Customer(name, token, world.urls, world.goods, history, session, own)


def _listener(world: World, number: int, history: History, chance: random.Random) -> Listener:
    own = random.Random(chance.random())  # noqa: S311 no secret
    staff = world.services[0].signed("staff", staff=True)
    product = world.goods[number % PRODUCTS]
    return Listener(
        f"listener-{number}",
        staff,
        world.urls,
        product,
        history,
        own,
        is_restarting=lambda: world.restarting,
    )


async def _run(phase: Phase, world: World, seconds: float, history: History) -> None:
    began, placed = time.monotonic(), len(history.placed)
    before = history.refusals.copy()
    await phase(world, seconds)
    took, met = time.monotonic() - began, dict(history.refusals - before)
    orders = len(history.placed) - placed
    print(f"{phase.__name__:17} {took:5.1f} s  {orders:4} orders  {met or ''}", flush=True)  # noqa: T201


async def _until_heard(listeners: list[Listener], history: History, stock: dict[str, int]) -> None:
    """Waits until everybody has heard of the last change, or for so long as it may take."""

    def is_heard(listener: Listener) -> bool:
        changes = history.heard[listener.name]
        return bool(changes) and changes[-1].after == stock[listener.product]

    end = time.monotonic() + SETTLING
    while time.monotonic() < end and not all(map(is_heard, listeners)):  # noqa: ASYNC110 others tell
        await asyncio.sleep(0.1)


def _report(history: History, world: World) -> None:
    gaps = [gap.seconds for gap in history.gaps if gap.restarting]
    events = sum(map(len, history.heard.values()))
    print(  # noqa: T201
        f"{len(history.placed)} orders, {len(history.cancelled)} of them cancelled; {events} events"
        f" heard by {LISTENERS}; sockets back within {max(gaps, default=0):.1f} s of a restart"
        f" ({len(gaps)} times); {len(world.proxy.seen)} requests to the store, "
        f"{sum(each.fault is not None for each in world.proxy.seen)} of them with a fault"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=60.0, help="of faults, restarts beside")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))  # noqa: S311
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201
    found = asyncio.run(main(given.seconds, given.seed))
    for violation in found:
        print(violation)  # noqa: T201
    raise SystemExit(1 if found else 0)
