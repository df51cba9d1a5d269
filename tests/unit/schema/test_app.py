"""The application around the endpoint: routes, probes, and other origins."""

from __future__ import annotations

import re

import pytest

from tests.support.endpoint import HELLO, Service


@pytest.fixture
def service() -> Service:
    return Service()


async def test_graphql_is_answered_without_a_redirect(service: Service) -> None:
    assert (await service.post(HELLO)).history == []
    assert (await service.send("GET", "/nowhere")).status_code == 404


async def test_health_does_not_ask_the_store_and_readiness_does(service: Service) -> None:
    ready = await service.send("GET", "/readyz")
    service.readiness = "The store did not answer."
    unready = await service.send("GET", "/readyz")
    healthy = await service.send("GET", "/healthz")

    assert ready.status_code == 200
    assert (unready.status_code, unready.json()["reason"]) == (503, "The store did not answer.")
    assert healthy.status_code == 200


async def test_only_allowed_origins_may_read_answers() -> None:
    service = Service(origins=("https://shop.example",))
    preflight = {"access-control-request-method": "POST"}

    allowed = await service.post(HELLO, origin="https://shop.example")
    stranger = await service.post(HELLO, origin="https://evil.example")
    asked = await service.send("OPTIONS", headers=preflight | {"origin": "https://shop.example"})
    refused = await service.send("OPTIONS", headers=preflight | {"origin": "https://evil.example"})

    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "x-request-id" in allowed.headers["access-control-expose-headers"].lower()
    assert re.search(r"\bOrigin\b", allowed.headers["vary"])
    assert "access-control-allow-origin" not in stranger.headers
    assert asked.status_code == 200
    assert refused.status_code == 400


async def test_without_allowed_origins_no_origin_is_allowed(service: Service) -> None:
    response = await service.post(HELLO, origin="https://shop.example")

    assert "access-control-allow-origin" not in response.headers
