"""SIGTERM behind a balancer: the service says that it ends before it turns anybody away."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from tests.e2e.live.fleet import Fleet
from tests.e2e.live.shelves import new_shelf
from tests.e2e.support import PATIENCE, Service, serving, until
from tests.support import plain
from tests.support.broker import needs_redis

LONG = 5  # seconds, and the most that there are


def is_refused(service: Service) -> bool:
    try:
        service.get("/healthz")
    except httpx.ConnectError:
        return True
    except (httpx.ReadError, httpx.RemoteProtocolError):
        return False  # it was let in at the very end, and nothing of it was read any more
    return False


def lingers(service: Service) -> None:
    """That it says so at once, serves those who come meanwhile, and ends then in good order."""
    service.process.send_signal(signal.SIGTERM)
    until(lambda: service.get("/readyz").status_code == 503)  # each time a new connection
    answer = plain.post(f"{service.url}/graphql", json={"query": "{ viewer { id } }"})
    assert answer.json()["data"] == {"viewer": None}
    until(lambda: is_refused(service))
    assert service.process.wait(PATIENCE) == 0


@pytest.fixture
def lingering(store: str, tmp_path: Path) -> dict[str, str]:
    shelf = asyncio.run(new_shelf(store))
    return shelf.settings(tmp_path) | {"CARTOGRAPH_LINGER": str(LONG)}


def test_who_comes_after_sigterm_is_served_while_a_balancer_learns_of_it(
    lingering: dict[str, str],
) -> None:
    with serving(lingering) as service:
        lingers(service)


@needs_redis
def test_workers_linger_as_one_process_does(running: Fleet) -> None:
    with serving(running.settings | {"CARTOGRAPH_LINGER": str(LONG)}, "--workers", "2") as service:
        lingers(service)


def test_ctrl_c_does_not_linger(lingering: dict[str, str]) -> None:
    with serving(lingering) as service:
        service.process.send_signal(signal.SIGINT)
        until(lambda: is_refused(service))
        with pytest.raises(httpx.ConnectError):
            service.get("/readyz")
        assert service.process.wait(PATIENCE) == 0
