"""The close codes and limits of graphql-transport-ws, message by message."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.live.peers import PROTOCOL, connected
from tests.e2e.live.shelves import new_shelf
from tests.e2e.support import Service, serving

ANY_PRODUCT = "subscription { productChanged { cursor } }"
HELLO = "{ __typename }"


async def test_who_says_nothing_is_closed_with_4408(store: str, tmp_path: Path) -> None:
    settings = (await new_shelf(store)).settings(tmp_path, SOCKET_INIT=0.2)
    with serving(settings) as service:
        async with connected(service.url, initialised=False) as peer:
            assert await peer.end() == 4408


@pytest.mark.parametrize(
    "message",
    [
        b"{}",
        "",
        "{",
        "null",
        "[]",
        '"subscribe"',
        "1",
        "{}",
        '{"type": "greet"}',
        '{"type": 1}',
        '{"type": "connection_init", "payload": []}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
        '{"type": "complete"}',
        '{"type": "next", "id": "1", "payload": {}}',
        "[" * 5_000,
    ],
    ids=lambda message: message[:40] or "empty",
)
async def test_what_is_no_message_is_closed_with_4400(
    service: Service, message: str | bytes
) -> None:
    async with connected(service.url) as peer:
        await peer.say(message)

        assert await peer.end() == 4400


async def test_an_operation_before_the_acknowledgement_is_closed_with_4401(
    service: Service,
) -> None:
    async with connected(service.url, initialised=False) as peer:
        await peer.subscribe(HELLO)

        assert await peer.end() == 4401


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"], [f"{PROTOCOL}2", "soap"]])
async def test_another_protocol_is_closed_with_4406(
    service: Service, subprotocols: list[str] | None
) -> None:
    async with connected(service.url, initialised=False, subprotocols=subprotocols) as peer:
        assert await peer.end() == 4406


async def test_an_id_in_use_is_closed_with_4409(service: Service) -> None:
    async with connected(service.url) as peer:
        await peer.subscribe(ANY_PRODUCT, "same")
        await peer.subscribe(HELLO, "same")

        assert await peer.end() == 4409


async def test_a_second_initialisation_is_closed_with_4429(service: Service) -> None:
    async with connected(service.url) as peer:
        await peer.say({"type": "connection_init"})

        assert await peer.end() == 4429


@pytest.mark.parametrize("lifetime", [-10, 3_600])
async def test_a_token_that_is_forged_or_has_expired_is_closed_with_4403(
    service: Service, lifetime: int
) -> None:
    token = service.signed("taro", lifetime=lifetime)
    authorization = f"Bearer {token}" if lifetime < 0 else f"Bearer {token}x"
    async with connected(service.url, initialised=False) as peer:
        await peer.say({"type": "connection_init", "payload": {"authorization": authorization}})

        assert await peer.end() == 4403


async def test_a_token_closes_its_socket_with_4403_when_it_expires(service: Service) -> None:
    token = service.signed("taro", lifetime=3)
    expiry = jwt.decode(token, options={"verify_signature": False})["exp"]
    async with connected(service.url, token) as peer:
        await peer.subscribe("subscription { orderChanged { cursor } }")
        assert (await peer.ask(HELLO))["__typename"] == "Query"

        assert await peer.end() == 4403

    assert 0 <= time.time() - expiry < 2


async def test_a_21st_operation_is_refused_and_the_socket_stays(service: Service) -> None:
    async with connected(service.url) as peer:
        for number in range(20):
            await peer.subscribe(ANY_PRODUCT, f"operation {number}")
        await peer.subscribe(ANY_PRODUCT, "one too many")
        refusal = await peer.hear()
        await peer.say({"type": "complete", "id": "operation 0"})

        assert (refusal["id"], refusal["type"]) == ("one too many", "error")
        (error,) = refusal["payload"]
        assert error["extensions"] == {"code": "RATE_LIMITED", "retryable": True}
        assert await peer.ask(HELLO) == {"__typename": "Query"}


@pytest.mark.parametrize(("size", "passes"), [(65_536, True), (65_537, False)])
async def test_a_message_has_64_kilobytes_at_most(
    service: Service, size: int, passes: bool
) -> None:
    async with connected(service.url) as peer:
        bare = '{"type": "ping", "payload": {"": ""}}'
        message = bare.replace('""}', f'"{"x" * (size - len(bare))}"}}')
        assert len(message) == size
        await peer.say(message)

        if passes:
            assert (await peer.hear())["type"] == "pong"
        else:
            with pytest.raises(ConnectionClosed):
                await peer.hear()
            assert peer.connection.close_code == 1009
