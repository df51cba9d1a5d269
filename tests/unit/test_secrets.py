"""Secrets are nowhere to be seen: not in help, in reprs, nor in what is said of wrong settings."""

from __future__ import annotations

import time

import jwt
import pytest
from botocore.credentials import ReadOnlyCredentials

import settings
from datasources.cursor import CursorCodec
from datasources.errors import ConfigurationError
from datasources.fast.signing import Signer
from resolvers.errors import TokenRefused
from resolvers.tokens import TokenVerifier
from schema.explorer import Identity
from schema.messages import Init

SECRET = "swordfish-swordfish-swordfish-sw"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("CARTOGRAPH_JWT_SECRET", SECRET)
    monkeypatch.setenv("CARTOGRAPH_CURSOR_KEYS", SECRET)
    monkeypatch.setenv("CARTOGRAPH_REDIS_URL", f"redis://:{SECRET}@127.0.0.1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return monkeypatch


def test_the_settings_show_none(secrets: pytest.MonkeyPatch) -> None:
    found = settings.load()
    assert found.redis_url
    assert SECRET in found.redis_url.get_secret_value()
    for shown in (repr(found), str(found), found.model_dump_json(), settings.help_text()):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", f"http://:{SECRET}@127.0.0.1"),
        ("REDIS_URL", SECRET),
        ("CURSOR_KEYS", f"{SECRET},short"),
        ("STORE", f"http://key:{SECRET}@127.0.0.1"),
        ("JWKS_URL", "https://id.example/keys"),
        ("SHARDS", "0"),
    ],
)
def test_a_wrong_setting_is_said_without_them(
    secrets: pytest.MonkeyPatch, name: str, value: str
) -> None:
    secrets.setenv(f"CARTOGRAPH_{name}", value)
    with pytest.raises(ConfigurationError) as refused:
        settings.load()
    assert "swordfish" not in repr(refused.value)


async def test_what_is_made_of_them_shows_none() -> None:
    verifier = TokenVerifier(SECRET, now=time.time, issuer=None, audience=None)
    signer = Signer("here")
    signer.sign({}, "127.0.0.1", b"", ReadOnlyCredentials("key", SECRET, None))
    token = jwt.encode({"sub": "u"}, "another secret of thirty-two or more", algorithm="HS256")
    with pytest.raises(TokenRefused) as refused:
        await verifier.verify(token)

    made = [verifier, signer, CursorCodec([SECRET]), Identity("Staff", SECRET), Init(SECRET, None)]
    shown = f"{made!r} {refused.value!r}"
    assert SECRET not in shown
    assert token not in shown
