"""The public keys of an OpenID Connect provider: fetched, kept, and fetched again in measure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from datasources.errors import ServiceUnavailable

MAX_BYTES = 256 * 1024
MIN_RSA_BITS = 2048  # RFC 7518, section 3.3
REFRESH = 3600.0  # seconds from one fetch to the next, when nothing calls for it sooner
UNKNOWN_PAUSE = 30.0  # seconds between fetches made for keys that are not in the set
RETRY_WITH_KEYS = 30.0  # seconds from a failed fetch to the next
RETRY_WITHOUT = 1.0

_log = logging.getLogger(__name__)


class KeySet:
    """The keys of one provider, by key ID (`kid`) and algorithm (RS256 or ES256).

    `download` gives the key set's document and raises ServiceUnavailable where it cannot;
    `clock` counts seconds from any fixed moment and never goes back.
    """

    def __init__(
        self, download: Callable[[], Awaitable[bytes]], clock: Callable[[], float]
    ) -> None:
        self._download = download
        self._clock = clock
        self._keys: list[jwt.PyJWK] | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._due = self._due_for_unknown = clock()

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key that a token names, None if the provider has none such.

        A token without `kid` gets the only key of its algorithm, if there is exactly one.
        Raises ServiceUnavailable while no key set was ever read.
        """
        key = self._match(kid, algorithm)
        if self._is_fetching:
            if key is None:
                await self._refresh()
        elif self._is_due(known=key is not None):
            await self._refresh()
        if self._keys is None:
            raise ServiceUnavailable("The provider of signing keys does not answer; try again.")
        return self._match(kid, algorithm)

    def _match(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        keys = [key for key in self._keys or () if key.algorithm_name == algorithm]
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.key_id == kid), None)

    @property
    def _is_fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    def _is_due(self, *, known: bool) -> bool:
        now = self._clock()
        if now >= self._due:
            return True
        # Rotated keys are looked for at once; forged key IDs must not become the provider's load.
        if known or self._keys is None or now < self._due_for_unknown:
            return False
        self._due_for_unknown = now + UNKNOWN_PAUSE
        return True

    async def _refresh(self) -> None:
        if self._fetch is None or self._fetch.done():
            self._fetch = asyncio.create_task(self._read())
        # Shielded: others wait for the same fetch when this caller goes away.
        await asyncio.shield(self._fetch)

    async def _read(self) -> None:
        try:
            keys = _usable_keys(await self._download())
        except ServiceUnavailable as error:
            _log.warning("The key set could not be read: %s", error)
            pause = RETRY_WITHOUT if self._keys is None else RETRY_WITH_KEYS
            self._due = self._clock() + pause
        else:
            if not keys:
                _log.warning("The key set holds no RSA or P-256 key to verify signatures with.")
            self._keys = keys
            self._due = self._clock() + REFRESH


async def download(session: aiohttp.ClientSession, url: str, within: float = 5.0) -> bytes:
    """The document at `url`, at most MAX_BYTES of it, `within` so many seconds.

    Raises ServiceUnavailable for anything but a 200: a redirect could lead to any host.
    """
    try:
        async with session.get(
            url, timeout=aiohttp.ClientTimeout(total=within), allow_redirects=False
        ) as response:
            if response.status != 200:
                raise ServiceUnavailable(f"the provider answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(16 * 1024):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ServiceUnavailable(f"the key set is over {MAX_BYTES} bytes")
            return bytes(body)
    except TimeoutError:
        raise ServiceUnavailable(f"the provider did not answer in {within:g} s") from None
    except aiohttp.ClientConnectorError as error:
        raise ServiceUnavailable(f"{type(error).__name__}: {error}") from None
    except aiohttp.ClientError as error:  # whose text may be the URL, with a key in its query
        raise ServiceUnavailable(type(error).__name__) from None


def _usable_keys(document: bytes) -> list[jwt.PyJWK]:
    """The keys of a JWK set; those of no use here are passed over (RFC 7517, section 5)."""
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        parsed = None
    match parsed:
        case {"keys": [*members]}:
            found = (_usable_key(member) for member in members if isinstance(member, dict))
            return [key for key in found if key]
    raise ServiceUnavailable("the answer is no JWK set")


def _usable_key(member: dict[str, Any]) -> jwt.PyJWK | None:
    """The member as a public signature key, None where it is anything else.

    A member with a private part (`d`) has been given away, so nothing that it signs is believed.
    """
    match member:
        case {"d": _}:
            return None
        case {"kty": "RSA"}:
            algorithm = "RS256"
        case {"kty": "EC", "crv": "P-256"}:
            algorithm = "ES256"
        case _:
            return None
    if member.get("use", "sig") != "sig" or member.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK(member, algorithm)
    except jwt.PyJWTError:
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS:
        return None
    return key
