"""A second engine, so that what works does not work by the grace of the first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from datasources.client import Endpoint, open_client
from datasources.operating.provision import provision
from datasources.table import BATCH_WRITE_ROWS, Table
from tests.support import engines
from tests.support.shop import TestShop

TEMPLATE = Path(__file__).parents[3] / "infra" / "template.yaml"
REGION = "ap-northeast-1"


@pytest.fixture
def moto() -> Iterator[Endpoint]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Endpoint(REGION, f"http://{host}:{port}", local=True)
    server.stop()


async def test_another_engine_answers_alike(moto: Endpoint, shop: TestShop) -> None:
    rows = engines.rows(shop.keys)
    await shop.put_rows(rows)
    async with open_client(moto) as client:
        await provision(client, "second", TEMPLATE)
        assert await provision(client, "second", TEMPLATE) == []
        table = Table(client, "second", asyncio.get_running_loop().time() + 60)
        for start in range(0, len(rows), BATCH_WRITE_ROWS):
            await table.batch_write(rows[start : start + BATCH_WRITE_ROWS])
        answers = await engines.everything(table, shop.keys)
    assert answers == await engines.everything(shop.table(), shop.keys)
    assert len(answers[0]) == len(rows)
