"""Who may open a websocket, and how all of them end."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.sockets import ADD, SLOW, TICKS, Closed, Peer, World, connected, within

AT_ONCE = 0.01  # seconds


@pytest.fixture
def world() -> World:
    return World()


async def closed(peer: Peer) -> int:
    """The code with which a socket is closed, whatever is said before."""
    while not isinstance(heard := await peer.hear(), Closed):
        pass
    assert 0 < len(heard.reason.encode()) <= 123
    return heard.code


# --- who may connect ------------------------------------------------------------------------


async def test_only_the_one_subprotocol_is_spoken(world: World) -> None:
    async with connected(world.sockets(), "graphql-ws", "chat") as peer:
        accepted = await peer.hear()
        assert isinstance(accepted, dict)
        assert accepted["subprotocol"] is None
        assert await closed(peer) == 4406


async def test_the_subprotocol_is_found_among_others(world: World) -> None:
    async with connected(world.sockets(), "chat", "graphql-transport-ws") as peer:
        accepted = await peer.hear()
        assert isinstance(accepted, dict)
        assert accepted["subprotocol"] == "graphql-transport-ws"


@pytest.mark.parametrize(
    "origin", ["http://shop", "https://SHOP", "https://app.example", "https://shop"]
)
async def test_pages_of_this_and_of_allowed_origins_may_connect(world: World, origin: str) -> None:
    endpoint = world.sockets(origins=("https://app.example",))
    async with connected(endpoint, "graphql-transport-ws", origin=origin) as peer:
        accepted = await peer.hear()
        assert isinstance(accepted, dict)
        assert accepted["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "shop", "https://shop.evil.example", "https://[", "//"],
)
async def test_pages_of_other_origins_are_refused_before_they_are_accepted(
    world: World, origin: str
) -> None:
    endpoint = world.sockets(origins=("https://app.example",))
    async with connected(endpoint, "graphql-transport-ws", origin=origin) as peer:
        assert isinstance(await peer.hear(), Closed)  # and nothing was said before: HTTP 403


# --- the end --------------------------------------------------------------------------------


async def test_draining_completes_subscriptions_and_closes_with_1012(world: World) -> None:
    endpoint = world.sockets()
    async with connected(endpoint) as peer, connected(endpoint) as idle:
        peer.subscribe("1", TICKS)
        results = await world.source.next()
        await within(endpoint.drain(AT_ONCE))
        assert await peer.hear() == {"id": "1", "type": "complete"}
        assert await closed(peer) == 1012
        assert await closed(idle) == 1012
        assert results.closed.is_set()


async def test_draining_lets_queries_and_mutations_end_and_takes_no_others(
    world: World,
) -> None:
    endpoint = world.sockets()
    async with connected(endpoint) as peer:
        peer.subscribe("1", SLOW)
        peer.subscribe("2", ADD)
        for _ in range(2):
            await within(world.store.started.acquire())
        draining = asyncio.create_task(endpoint.drain(0.0))
        await within(endpoint.draining.wait())
        peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}
        peer.subscribe("3", "{ hello }")
        peer.say({"type": "ping"})
        assert await peer.hear() == {"type": "pong"}
        world.store.gate.set()
        heard = [await peer.hear() for _ in range(5)]
        await within(draining)
    said = {(one["id"], one["type"]) for one in heard if isinstance(one, dict)}
    assert said == {("1", "next"), ("1", "complete"), ("2", "next"), ("2", "complete")}
    assert isinstance(heard[-1], Closed)
    assert heard[-1].code == 1012


async def test_a_socket_that_comes_while_others_are_drained_is_closed(world: World) -> None:
    endpoint = world.sockets()
    await endpoint.drain()
    async with connected(endpoint, initialised=False) as peer:
        assert await closed(peer) == 1012


async def test_draining_is_spread_over_the_time_it_has(world: World) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        asked.append((least, most))
        return 0.0

    endpoint = world.sockets()
    object.__setattr__(endpoint, "uniform", uniform)
    async with connected(endpoint), connected(endpoint):
        await within(endpoint.drain())
    assert asked == [(0, 2 / 50)] * 2
