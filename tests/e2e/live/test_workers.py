"""Several workers behind one address, with nothing between them but the store and the broker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.live.fleet import Fleet
from tests.e2e.live.peers import PATIENCE, connected
from tests.e2e.live.shelves import CHANGES, add_one, inventory, new_product, stock
from tests.e2e.support import (
    Service,
    children,
    elsewhere,
    needs_proc,
    one_line,
    run,
    serving,
    until,
)
from tests.support.broker import needs_redis


def sockets(service: Service) -> dict[str, float]:
    """How many websockets each worker has, by what whichever is asked tells."""
    families = text_string_to_metric_families(service.get("/metrics").text)
    (family,) = (each for each in families if each.name == "cartograph_websockets")
    return {sample.labels["worker"]: sample.value for sample in family.samples}


@needs_redis
@needs_proc
async def test_two_workers_serve_as_one(running: Fleet) -> None:
    with serving(running.settings, "--workers", "2") as service:
        await asyncio.to_thread(until, lambda: sockets(service) == {"0": 0, "1": 0})
        async with (
            connected(service.url, running.staff) as writer,
            connected(service.url, running.staff) as listener,
        ):
            assert sockets(service) == {"0": 1, "1": 1}
            product = await new_product(writer)
            after, _ = await stock(writer, product)
            await listener.subscribe(CHANGES, id=product, after=after)
            added = await add_one(writer, product)
            assert inventory(await listener.event()) == added
        first, second = children(service.process.pid)

        os.kill(first, signal.SIGKILL)

        await asyncio.to_thread(until, lambda: first not in children(service.process.pid))
        assert service.get("/readyz").status_code == 200
        await asyncio.to_thread(until, lambda: set(sockets(service)) == {"0", "1"})
        assert second in children(service.process.pid)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE) == 0

    assert "Traceback" not in "".join(service.said)


def test_what_keeps_workers_from_serving_is_told_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = elsewhere(tmp_path, f"http://127.0.0.1:{port}", REDIS_URL="redis://127.0.0.1:1")

    line = one_line(run("serve", "--port", "0", "--workers", "2", environment=settings))

    assert "CARTOGRAPH_STORE" in line
