"""Credentials of an assumed role: had when they are needed, renewed before they end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from datasources import assumed
from datasources.assumed import Assumed, AssumedCredentials, RoleUnavailableError
from datasources.breaker import NotAsked
from datasources.client import CLIENT_ERRORS, as_store_error

HOUR = 3_600.0
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")


@dataclass
class Role:
    """Gives credentials for an hour, each time others; the time is what it is set to."""

    time: float = 1_000_000.0
    asked: int = 0
    fails: Exception | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    async def assume(self) -> Assumed:
        self.asked += 1
        number = self.asked
        await self.answers.wait()
        if self.fails:
            raise self.fails
        return Assumed(ReadOnlyCredentials(f"key-{number}", "secret", "token"), self.time + HOUR)

    def credentials(self) -> AssumedCredentials:
        return AssumedCredentials("tenant t", self.assume, lambda: self.time)


async def key(credentials: AssumedCredentials) -> str | None:
    return (await credentials.get_frozen_credentials()).access_key


async def settled() -> None:
    """When what is under way and waits for nothing has ended."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_the_role_is_assumed_once_for_all_that_need_it_at_a_time() -> None:
    role = Role()
    role.answers.clear()
    credentials = role.credentials()
    calls = [asyncio.create_task(key(credentials)) for _ in range(20)]
    await settled()
    role.answers.set()
    assert await asyncio.gather(*calls) == ["key-1"] * 20
    assert role.asked == 1


async def test_credentials_are_renewed_while_the_old_ones_are_used() -> None:
    role = Role()
    credentials = role.credentials()
    assert await key(credentials) == "key-1"
    role.time += HOUR - 901
    assert await key(credentials) == "key-1"
    assert role.asked == 1
    role.time += 2
    role.answers.clear()
    assert [await key(credentials) for _ in range(3)] == ["key-1"] * 3
    role.answers.set()
    await settled()
    assert (await key(credentials), role.asked) == ("key-2", 2)


async def test_credentials_that_are_about_to_end_are_waited_for() -> None:
    role = Role()
    credentials = role.credentials()
    await key(credentials)
    role.time += HOUR - 59
    assert await key(credentials) == "key-2"


async def test_who_cannot_renew_goes_on_until_the_end_and_then_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    role = Role()
    credentials = role.credentials()
    await key(credentials)
    role.time += HOUR - 30
    role.fails = DENIED
    with caplog.at_level(logging.WARNING):
        assert await key(credentials) == "key-1"
    [line] = caplog.records
    assert "tenant t" in line.getMessage()
    assert line.exc_info is None
    role.time += 30
    with pytest.raises(RoleUnavailableError, match="AccessDenied"):
        await key(credentials)


async def test_a_refused_role_is_asked_for_again_after_a_pause_and_not_before() -> None:
    role = Role(fails=DENIED)
    credentials = role.credentials()
    for _ in range(5):
        with pytest.raises(RoleUnavailableError):
            await key(credentials)
    assert role.asked == 1
    role.time += 5
    role.fails = None
    assert (await key(credentials), role.asked) == ("key-2", 2)


async def test_nobody_waits_for_long_and_the_attempt_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assumed, "_PATIENCE", 0.01)
    role = Role()
    role.answers.clear()
    credentials = role.credentials()
    with pytest.raises(RoleUnavailableError, match="takes long"):
        await key(credentials)
    role.answers.set()
    await settled()
    assert (await key(credentials), role.asked) == ("key-1", 1)


async def test_a_caller_that_gives_up_ends_nobody_elses_attempt() -> None:
    role = Role()
    role.answers.clear()
    credentials = role.credentials()
    first, second = (asyncio.create_task(key(credentials)) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    role.answers.set()
    assert (await second, role.asked) == ("key-1", 1)


async def test_what_is_closed_asks_for_no_more() -> None:
    role = Role()
    role.answers.clear()
    credentials = role.credentials()
    call = asyncio.create_task(key(credentials))
    await settled()
    credentials.close()
    with pytest.raises(RoleUnavailableError):
        await call


def test_a_call_without_credentials_was_not_made_and_its_error_tells_clients_nothing() -> None:
    error = RoleUnavailableError(why="arn:aws:iam::1:role/secret is not to be had")
    assert isinstance(error, CLIENT_ERRORS)
    told = as_store_error(error)
    assert isinstance(told, NotAsked)  # which the breaker does not count
    assert (told.code, told.retryable) == ("SERVICE_UNAVAILABLE", True)
    assert "arn" not in told.message
