"""The Dockerfile's steps in a plain folder, then compose.yaml with processes for containers.

`python -m tests.containers` ends with exit code 0 where all of it holds. It needs npm, haproxy and
redis-server, which stands in for Valkey. No container engine is asked for anything, so what only an
engine does is not seen here: images, networks, volumes, a file system that is mounted read-only.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import httpx

from tests.containers.build import Folder, build
from tests.containers.world import IS_ROOT, World, open_world

LISTED = "{ products(first: 1) { nodes { id inventory } } }"
FOLLOW = "subscription { productChanged { kind product { id } } }"
ADJUST = """mutation($id: ID!) { adjustInventory(input: {productId: $id, delta: 1}) {
  product { inventory } userErrors { code } } }"""
PATIENCE = 30.0


def main(kept: Path | None) -> None:
    began = time.monotonic()
    with TemporaryDirectory(prefix="containers-") as name:
        built = Folder(kept or Path(name) / "built")
        Path(name).chmod(0o755)
        if not built.path.exists():
            built.path.mkdir(parents=True)
            build(built)
            say(f"all steps ran in {time.monotonic() - began:.0f} s")
        if not IS_ROOT:
            say("only root can make file systems read-only: it is not seen that nothing is written")
        with open_world(built, Path(name)) as world:
            say("store, processor, two instances and the proxy are up")
            asyncio.run(speak(world))
            end(world)
            world.start("store")
            world.well("store")
            assert "Wrote" not in world.run("prepare")
            say("what was saved is there again, and is not seeded again")
            world.end("store")
    say(f"it holds, in {time.monotonic() - began:.0f} s")


async def speak(world: World) -> None:
    token = world.run("service-1", "token", "--sub", "staff", "--role", "staff").strip()
    signed = {"authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(base_url=world.url, headers=signed) as client:

        async def ask(query: str, **variables: Any) -> Any:
            body = {"query": query, "variables": variables}
            async with client.post("/graphql", json=body) as answer:
                assert answer.status == 200, await answer.text()
                said = await answer.json()
            assert "errors" not in said, said
            return said["data"]

        async with client.get("/graphql", headers={"accept": "text/html"}) as page:
            assert page.status == 200
            assert "graphiql" in (await page.text()).lower()
        product = (await ask(LISTED))["products"]["nodes"][0]
        async with client.ws_connect("/graphql", protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json({"type": "connection_init", "payload": signed})
            assert (await heard(socket))["type"] == "connection_ack"
            body = {"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}
            await socket.send_json(body)
            # A subscription is not acknowledged, but what is sent behind it is answered later.
            await socket.send_json({"type": "ping"})
            assert (await heard(socket))["type"] == "pong"
            assert not (await ask(ADJUST, id=product["id"]))["adjustInventory"]["userErrors"]
            told = await heard(socket)
        assert told["payload"]["data"]["productChanged"]["product"]["id"] == product["id"], told
        say("a change came by the processor and the broker through a websocket of the proxy")
        await roll(world, client)


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await socket.receive_json()


async def roll(world: World, client: aiohttp.ClientSession) -> None:
    """Each instance is ended and started again; who asks meanwhile sees nothing of it."""
    ending, asked = asyncio.Event(), 0

    async def keep_asking() -> None:
        nonlocal asked
        while not ending.is_set():
            async with client.post("/graphql", json={"query": LISTED}) as answer:
                assert answer.status == 200, await answer.text()
                asked += 1

    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(keep_asking()) for _ in range(4)]
        for name in ("service-1", "service-2"):
            seconds = await asyncio.to_thread(world.end, name)
            say(f"{name} was told to end, and did after {seconds:.1f} s")
            world.start(name)
            await asyncio.to_thread(world.well, name)
            # The proxy looks each second.
            await asyncio.sleep(3)
        ending.set()
    assert all(one.exception() is None for one in callers)
    say(f"meanwhile {asked:,} requests were answered, and none was not")


def end(world: World) -> None:
    world.running.pop("proxy").terminate()
    for name in ("service-1", "service-2", "processor", "store"):
        say(f"{name} ended {world.end(name):.1f} s after SIGTERM")
    try:
        httpx.get(f"{world.url}/healthz")
    except httpx.TransportError:
        return
    raise AssertionError("somebody still answers")


def say(line: str) -> None:
    print(f"containers: {line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kept", type=Path, nargs="?", help="where what was built is, or is kept")
    main(parser.parse_args().kept)
