"""More calls than connections: who waits too long for one is told so, and the store not blamed."""

from __future__ import annotations

import asyncio

import pytest

from datasources.breaker import NotAsked
from datasources.client import Endpoint, open_client
from datasources.keys import Key
from datasources.table import Table
from tests.integration.datasources.fast.test_transport import server

CONNECTIONS = 64


@pytest.mark.parametrize("fast", [True, False])
async def test_the_wait_for_a_connection_ends_after_a_second(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    taken = asyncio.Semaphore(0)

    async def behave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken.release()
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with server(behave) as port:
        endpoint = Endpoint("eu-west-1", f"http://127.0.0.1:{port}", fast=fast)
        async with open_client(endpoint) as client, asyncio.TaskGroup() as group:
            table = Table(client, "shop", loop.time() + 60)
            hanging = [
                group.create_task(table.batch_get([Key("hangs", str(n))]))
                for n in range(CONNECTIONS)
            ]
            for _ in hanging:
                await taken.acquire()
            began = loop.time()
            with pytest.raises(NotAsked):
                await table.batch_get([Key("waits", "here")])
            for one in hanging:
                one.cancel()

    assert loop.time() - began > 0.9
