"""Tokens of a provider that speaks HTTP on this machine."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from datasources.errors import ServiceUnavailable
from datasources.jwks import MAX_BYTES, KeySet, download
from resolvers.errors import TokenRefused
from resolvers.tokens import TokenVerifier, identify

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
ISSUER = "https://id.example"


class Provider:
    """Publishes the public halves of `keys`, by key ID, or whatever `answer` is."""

    def __init__(self) -> None:
        self.keys: dict[str, Private] = {"first": ec.generate_private_key(ec.SECP256R1())}
        self.answer: web.StreamResponse | None = None
        self.hangs = False
        self.fetches = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        if self.hangs:
            await asyncio.Event().wait()
        return self.answer or web.json_response({"keys": [*map(self._jwk, self.keys)]})

    def _jwk(self, kid: str) -> dict[str, object]:
        key = self.keys[kid]
        if isinstance(key, rsa.RSAPrivateKey):
            public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return public | {"kid": kid, "use": "sig"}

    def token(self, kid: str) -> str:
        key = self.keys[kid]
        claims = {"sub": "u1", "exp": time.time() + 60, "iss": ISSUER, "roles": ["staff"]}
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


class Running:
    """A provider that answers at `url`, and a verifier that asks it."""

    def __init__(self, session: aiohttp.ClientSession, server: TestServer) -> None:
        self.server = server
        self.url = str(server.make_url("/keys"))
        self.session = session
        self.verifier = self.fresh_verifier()

    def fresh_verifier(self, within: float = 5.0) -> TokenVerifier:
        fetch = partial(download, self.session, self.url, within)
        return TokenVerifier(KeySet(fetch, time.monotonic), now=time.time, issuer=ISSUER)


@asynccontextmanager
async def running(provider: Provider) -> AsyncIterator[Running]:
    app = web.Application()
    app.router.add_get("/keys", provider.serve)
    app.router.add_get("/elsewhere", provider.serve)
    server = TestServer(app, host="127.0.0.1")
    async with server, aiohttp.ClientSession() as session:
        yield Running(session, server)


async def test_a_token_of_the_provider_makes_a_principal() -> None:
    provider = Provider()
    async with running(provider) as at:
        caller = await identify(
            f"Bearer {provider.token('first')}", None, verifier=at.verifier, tenants=["shop"]
        )
        assert (caller.user_id, caller.tenant, caller.is_staff) == ("u1", "shop", True)


async def test_rotated_keys_are_taken_up_without_a_restart() -> None:
    provider = Provider()
    async with running(provider) as at:
        await at.verifier.verify(provider.token("first"))
        provider.keys["second"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert (await at.verifier.verify(provider.token("second"))).subject == "u1"
        assert provider.fetches == 2


async def test_many_callers_at_once_cause_one_fetch() -> None:
    provider = Provider()
    async with running(provider) as at:
        token = provider.token("first")
        await asyncio.gather(*(at.verifier.verify(token) for _ in range(50)))
        assert provider.fetches == 1


async def test_a_flood_of_forged_key_ids_reaches_the_provider_once() -> None:
    provider, forger = Provider(), Provider()
    async with running(provider) as at:
        await at.verifier.verify(provider.token("first"))
        for n in range(50):
            forger.keys[f"forged-{n}"] = forger.keys["first"]
            with pytest.raises(TokenRefused):
                await at.verifier.verify(forger.token(f"forged-{n}"))
        assert provider.fetches == 2


async def test_a_provider_that_goes_down_leaves_known_keys_working() -> None:
    provider = Provider()
    async with running(provider) as at:
        await at.verifier.verify(provider.token("first"))
        known, unknown = provider.token("first"), Provider()
        unknown.keys["new"] = unknown.keys["first"]
        await at.server.close()
        with pytest.raises(TokenRefused):
            await at.verifier.verify(unknown.token("new"))
        assert (await at.verifier.verify(known)).subject == "u1"


async def test_a_provider_that_is_down_from_the_start_is_unavailable() -> None:
    provider = Provider()
    async with running(provider) as at:
        await at.server.close()
        with pytest.raises(ServiceUnavailable):
            await at.verifier.verify(provider.token("first"))


async def test_a_provider_that_hangs_is_unavailable_once_the_time_is_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider = Provider()
    provider.hangs = True
    async with running(provider) as at:
        with pytest.raises(ServiceUnavailable):
            await at.fresh_verifier(within=0.05).verify(provider.token("first"))
    assert "did not answer in 0.05 s" in caplog.text


async def test_a_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    provider = Provider()
    provider.answer = web.Response(status=302, headers={"Location": "/elsewhere"})
    async with running(provider) as at:
        with pytest.raises(ServiceUnavailable):
            await at.verifier.verify(provider.token("first"))
    assert provider.fetches == 1
    assert "answered 302" in caplog.text


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_key_set_that_is_too_large_is_not_read(
    encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider()
    public = json.dumps({"keys": [provider._jwk("first")], "filler": "x" * MAX_BYTES})
    provider.answer = web.Response(text=public)
    provider.answer.enable_compression(web.ContentCoding(encoding))
    async with running(provider) as at:
        with pytest.raises(ServiceUnavailable):
            await at.verifier.verify(provider.token("first"))
    assert f"over {MAX_BYTES} bytes" in caplog.text


@pytest.mark.parametrize("status", [201, 404, 500, 503])
async def test_any_status_but_200_is_no_key_set(status: int) -> None:
    provider = Provider()
    async with running(provider) as at:
        provider.answer = web.json_response({"keys": [provider._jwk("first")]}, status=status)
        with pytest.raises(ServiceUnavailable):
            await at.verifier.verify(provider.token("first"))


async def test_no_token_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = Provider()
    async with running(provider) as at:
        token = provider.token("first")
        await at.verifier.verify(token)
        with pytest.raises(TokenRefused) as raised:
            await at.verifier.verify(token[:-8] + "AAAAAAAA")
    for part in token.split("."):
        assert part[:-8] not in caplog.text + raised.value.message
