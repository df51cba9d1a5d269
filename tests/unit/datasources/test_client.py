"""How the store is called: the times, the attempts and the connections of a client of AWS."""

from __future__ import annotations

from typing import Any

import pytest

from datasources import client as clients
from datasources.client import Endpoint, open_client
from datasources.fast.client import FastClient
from datasources.fast.transport import Limits, open_transport


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Limits]:
    """What the transports of fast clients were opened with."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    found: list[Limits] = []

    def noting(limits: Limits, *, secure: bool) -> Any:
        assert secure
        found.append(limits)
        return open_transport(limits, secure=secure)

    monkeypatch.setattr(clients, "open_transport", noting)
    return found


@pytest.mark.parametrize("fast", [True, False])
async def test_a_call_has_a_second_to_connect_and_two_to_be_answered_and_is_made_once(
    opened: list[Limits], fast: bool
) -> None:
    async with open_client(Endpoint("eu-central-1", fast=fast)) as client:
        config: Any = client.meta.config

    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.max_pool_connections == 64
    assert config.retries == {"total_max_attempts": 1, "mode": "standard"}
    assert isinstance(client, FastClient) is fast
    assert [
        (each.connect_timeout, each.read_timeout, each.connections, each.patience)
        for each in opened
    ] == [(1, 2, 64, 1.0)] * fast
