"""Nothing that clients send, rows hold or settings keep secret is told to those who run the
service: canaries are planted, all goes wrong that can, and then logs, metrics, traces and dead
letters are searched."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic.alias_generators import to_camel

from composition.logs import FIELDS
from streams.dead_letters import DeadLetter
from tests.e2e.around import around
from tests.e2e.canaries import (
    ALLOWED,
    EMAIL,
    MARK,
    SECRETS,
    SHOP,
    World,
    canary,
    misspeak,
    read,
    spoil,
    suffer,
    talk,
    write,
)
from tests.e2e.support import elsewhere, processing, serving, until
from tests.support.broker import SERVER, broker


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        found = stack.enter_context(around())
        redis = stack.enter_context(broker(tmp_path / "redis")) if SERVER else None
        settings = elsewhere(
            tmp_path,
            found.proxy.endpoint.url or "",
            **SECRETS,
            **found.settings(),
            **({"REDIS_URL": redis.url} if redis else {}),
            LOG_LEVEL="debug",
            LOG_FORMAT="json",
            LOG_REQUESTS="all",
            MAIL_FROM="shop@example.com",
            DEADLINE=1,
            WRITE_DEADLINE=1,
        )
        settings |= found.tracing()
        settings |= {
            "AWS_ACCESS_KEY_ID": canary("access-key"),
            "AWS_SECRET_ACCESS_KEY": canary("secret-key"),
            "AWS_SESSION_TOKEN": canary("session-token"),
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={canary('otlp-key')}",
            "PYTHONASYNCIODEBUG": "1",
        }
        said: list[str] = []
        processes = stack.enter_context(ExitStack())
        if redis:
            processes.enter_context(processing(settings, "--port", "0", said=said))
        service = processes.enter_context(serving(settings))
        client = stack.enter_context(httpx.Client(base_url=service.url, timeout=30))
        yield World(found, service, client, redis, said, processes)


def test_nothing_that_clients_rows_or_settings_hold_is_told_to_who_watches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(world)
    read(world)
    misspeak(world)
    asyncio.run(talk(world))
    asyncio.run(spoil(world))
    suffer(world, monkeypatch)
    # More, if a reaction met an error of the store that does not pass.
    until(lambda: world.given_up("mail") >= 4 and world.given_up("reading") >= 2)
    if world.broker:
        world.broker.kill()
        world.ask(SHOP, world.customer)
    until(lambda: "Node" in world.around.collector.text)
    told = world.told()

    found = {
        where: [text[max(0, at - 100) : at + 100] for at in places_of(world.planted, text)]
        for where, text in told.items()
    }
    assert found == {where: [] for where in told}
    lines = [line for line in world.said if not line.startswith("cartograph: ")]
    assert [line for line in lines if not json.loads(line).keys() <= set(FIELDS)] == []
    assert_that_it_was_told_what_happened(world, told)


def places_of(planted: set[str], text: str) -> list[int]:
    """Where one of them stands, written as it may be."""
    return [
        found.start()
        for each in planted
        for found in re.finditer(re.escape(each), text, re.IGNORECASE)
    ]


def assert_that_it_was_told_what_happened(world: World, told: dict[str, str]) -> None:
    """Or there would be nothing to be found anyhow."""
    log = told["log"]
    for sign in (
        f'"request_id":"{ALLOWED}"',
        '"error":"StoreError (ValidationException)',
        '"error":"StoreError"',
        *("DEADLINE_EXCEEDED", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "THROTTLED"),
        *("mail failed: StoreError", "reading failed: StoreError"),
        *(["Rates are counted by each process alone"] if world.broker else []),
    ):
        assert sign in log
    for code in ("UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED"):
        assert f'code="{code}"' in told["metrics"]
    assert all(told.values())
    assert any(EMAIL in mail for mail in world.around.sinks.mails)
    assert any(MARK in seen.body.decode() for seen in world.around.proxy.seen)
    letters = json.loads(told["dead letters"])
    assert len(letters) >= 6
    for letter in letters:
        assert letter.keys() == {to_camel(name) for name in DeadLetter.model_fields}
