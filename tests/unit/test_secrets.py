"""Secrets are nowhere to be seen: not in help, in reprs, nor in what is said of wrong settings."""

from __future__ import annotations

import asyncio
import dataclasses
import pkgutil
import re
import time
import traceback
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

import aiohttp
import jwt
import msgspec
import pytest
from botocore.credentials import ReadOnlyCredentials
from pydantic import BaseModel
from redis.asyncio import Redis

import server
import settings
from composition.live import Feed
from datasources.cursor import CursorCodec
from datasources.errors import ConfigurationError, ServiceUnavailable
from datasources.fast.signing import Signer
from datasources.jwks import download
from resolvers.errors import TokenRefused
from resolvers.tokens import TokenVerifier, identify
from schema.browser.explorer import Identity
from schema.guards.buckets import Rate
from schema.guards.redis_buckets import RedisBuckets
from schema.live.messages import Init
from streams.nudges import Nudges
from streams.patience import Patience
from streams.redis_journal import RedisJournal
from streams.redis_writer import RedisWriter
from tests.support.items import NOW

ROOT = Path(__file__).parents[2]
SECRET = "swordfish-swordfish-swordfish-sw"


# What a value of each setting that is a secret may look like; all of them are here.
GIVEN = {
    "jwt_secret": SECRET,
    "cursor_keys": SECRET,
    "redis_url": f"redis://{SECRET}:{SECRET}@127.0.0.1",
}
# Fields by whose name something secret is in them, but for the settings above: where they are
# shown nevertheless, and why.
SECRETIVE = re.compile(r"(^|_)(authorization|credentials?|password|secrets?|token)$")
SHOWN = {
    "Iterator.token": "a place in a shard",
    "Recount.new_token": "a function",
    "TableReaction.new_token": "a function",
    "PurchaseReaction.new_token": "a function",
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GIVEN.items():
        monkeypatch.setenv(f"CARTOGRAPH_{name.upper()}", value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"api-key={SECRET}")
    return monkeypatch


def test_all_settings_that_are_secrets_are_known_here() -> None:
    fields = settings.Settings.model_fields
    assert {n for n, field in fields.items() if "SecretStr" in str(field.annotation)} == set(GIVEN)


def test_the_settings_show_none(secrets: pytest.MonkeyPatch) -> None:
    found = settings.load()
    assert found.redis_url
    assert SECRET in found.redis_url.get_secret_value()
    shown = [repr(found), str(found), found.model_dump_json(), repr(found.model_dump())]
    shown += [repr(settings.describe()), *(str(value) for _, value in found)]
    assert [each for each in shown if SECRET in each] == []


def test_no_command_shows_any_in_its_help(
    secrets: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ["serve", "schema", "token", "table", "seed", "process", "recount", "erase"]
    for command in ([], *([name] for name in commands)):
        with pytest.raises(SystemExit):
            server.parser().parse_args([*command, "--help"])
    told = capsys.readouterr().out
    assert "CARTOGRAPH_JWT_SECRET" in told
    assert all(name in told for name in commands)
    assert SECRET not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", f"http://:{SECRET}@127.0.0.1"),
        ("REDIS_URL", SECRET),
        ("CURSOR_KEYS", f"{SECRET},short"),
        ("STORE", f"http://key:{SECRET}@127.0.0.1"),
        ("JWKS_URL", "https://id.example/keys"),
        ("JWKS_URL", f"https://key:{SECRET}@id.example/keys"),
        ("SINK_ENDPOINT", f"http://key:{SECRET}@127.0.0.1"),
        ("DEAD_LETTER_QUEUE", f"http://key:{SECRET}@127.0.0.1/queue"),
        ("SHARDS", "0"),
    ],
)
def test_a_wrong_setting_is_said_without_them(
    secrets: pytest.MonkeyPatch, name: str, value: str
) -> None:
    secrets.setenv(f"CARTOGRAPH_{name}", value)
    with pytest.raises(ConfigurationError) as refused:
        settings.load()
    error = refused.value
    assert "swordfish" not in f"{error!r} {''.join(traceback.format_exception(error))}"


async def test_what_is_made_of_them_shows_none() -> None:
    verifier = TokenVerifier(SECRET, now=time.time, issuer=None, audience=None)
    signer = Signer("here")
    signer.sign({}, "127.0.0.1", b"", ReadOnlyCredentials("key", SECRET, None))
    token = jwt.encode({"sub": "u"}, "another secret of thirty-two or more", algorithm="HS256")
    with pytest.raises(TokenRefused) as refused:
        await verifier.verify(token)

    redis = Redis.from_url(GIVEN["redis_url"])
    patience = Patience(asyncio.sleep, max)
    journal = RedisJournal(redis, "shop", ["default"], patience, lambda: NOW)
    made = [
        *(verifier, signer, CursorCodec([SECRET])),
        *(Identity("Staff", SECRET), Init(SECRET, None)),
        *(Nudges(redis, "shop", patience), RedisWriter(redis, "shop", ["default"])),
        *(journal, Feed(journal, lambda: None, lambda: None, redis)),
        RedisBuckets(redis, "shop", Rate(1, 1), time.monotonic),
        partial(identify, verifier=verifier, tenants=["default"]),
    ]
    shown = f"{made!r} {refused.value!r} {''.join(traceback.format_exception(refused.value))}"
    assert SECRET not in shown
    assert token not in shown


@pytest.mark.parametrize(
    "error", [aiohttp.InvalidURL(f"http://127.0.0.1/?key={SECRET}"), aiohttp.ClientError(SECRET)]
)
async def test_why_the_key_set_cannot_be_read_is_said_without_its_url(error: Exception) -> None:
    class Session:
        def get(self, *_: object, **__: object) -> None:
            raise error

    with pytest.raises(ServiceUnavailable) as refused:
        await download(cast("aiohttp.ClientSession", Session()), f"http://127.0.0.1/?key={SECRET}")
    assert refused.value.message == type(error).__name__


def shown_fields(found: type) -> Iterator[str]:
    """The fields that the repr of a class shows, made by who makes classes of fields."""
    if dataclasses.is_dataclass(found):
        yield from (each.name for each in dataclasses.fields(found) if each.repr)
    elif issubclass(found, BaseModel):
        yield from (name for name, each in found.model_fields.items() if each.repr)
    elif issubclass(found, tuple | msgspec.Struct):
        yield from getattr(found, "_fields", getattr(found, "__struct_fields__", ()))


def secretive(found: type) -> list[str]:
    return [f"{found.__name__}.{name}" for name in shown_fields(found) if SECRETIVE.search(name)]


def classes() -> Iterator[type]:
    for folder in ("composition", "datasources", "resolvers", "schema", "streams"):
        for name in (m.name for m in pkgutil.walk_packages([str(ROOT / folder)], f"{folder}.")):
            module = import_module(name)
            yield from (
                each
                for each in vars(module).values()
                if isinstance(each, type) and each.__module__ == name
            )


def test_no_class_shows_a_field_that_holds_a_secret() -> None:
    found = [field for each in classes() for field in secretive(each)]
    assert sorted(set(found)) == sorted(SHOWN)


def test_a_class_that_shows_one_is_noticed() -> None:
    @dataclasses.dataclass
    class Plain:
        token: str
        client_secret: str = dataclasses.field(repr=False)

    class Pair(NamedTuple):
        user: str
        password: str

    class Model(BaseModel):
        jwt_secret: str

    class Packed(msgspec.Struct):
        credentials: object

    found = [field for each in (Plain, Pair, Model, Packed) for field in secretive(each)]
    assert found == ["Plain.token", "Pair.password", "Model.jwt_secret", "Packed.credentials"]
