"""Tokens: what a bearer token must be to be believed, and the principal that it makes."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from datasources.errors import ConfigurationError
from datasources.jwks import KeySet
from resolvers.errors import TenantRefused, TokenRefused
from resolvers.principal import Principal

LEEWAY = 30  # seconds that the clocks of issuer and service may be apart
MAX_LENGTH = 8192  # characters of a token
MAX_SUBJECT = 128  # characters
CACHED_TOKENS = 1024
# How long a key may have left the provider's set while a token signed with it still passes.
CACHED_FOR = 60.0

# RFC 7515, section 3.1: base64url without padding.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# 2**53 s is far beyond any date and still exact as a float; NaN and infinities are not below it.
_FAR = 2.0**53

_MALFORMED = "The token is malformed."
_SENTENCES: dict[type[jwt.PyJWTError], str] = {
    jwt.InvalidAlgorithmError: "The token is not signed with an algorithm accepted here.",
    jwt.InvalidSignatureError: "The token's signature is wrong.",
    jwt.InvalidIssuerError: "The token is from another issuer.",
    jwt.InvalidAudienceError: "The token is meant for another audience.",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. Times are epoch seconds, without leeway."""

    subject: str
    is_staff: bool
    tenant: str | None
    expires_at: float
    valid_from: float


class TokenVerifier:
    """Believes the tokens of one signer.

    `keys` is a secret (HS256 alone), a provider's key set (RS256 and ES256 alone), or None,
    which refuses every token. `now` gives epoch seconds. Raises ConfigurationError for a
    secret that is no secret, such as a public key.
    """

    def __init__(
        self,
        keys: str | KeySet | None,
        *,
        now: Callable[[], float],
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._keys = _checked(keys) if isinstance(keys, str) else keys
        self._now = now
        self._issuer = issuer
        self._audience = audience
        self._cache: OrderedDict[str, tuple[Claims, float]] = OrderedDict()
        self._warned = False

    async def verify(self, token: str) -> Claims:
        """The claims of a token that is genuine and valid now.

        Raises TokenRefused for any other, and ServiceUnavailable where the keys to tell
        them apart cannot be had.
        """
        if claims := self._recall(token):
            return claims
        claims = _claims(await self._payload(token))
        now = self._now()
        if claims.expires_at + LEEWAY <= now:
            raise TokenRefused("The token has expired.")
        if claims.valid_from - LEEWAY > now:
            raise TokenRefused("The token is not valid yet.")
        self._remember(token, claims, now)
        return claims

    async def _payload(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_LENGTH or not _COMPACT.fullmatch(token):
            raise TokenRefused(_MALFORMED)
        try:
            key, algorithms = await self._key_for(token)
            return jwt.decode(
                token,
                key,
                algorithms=algorithms,
                issuer=self._issuer,
                audience=self._audience,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self._audience is not None,
                    # PyJWT would ask its own clock; `_claims` and `verify` see to the rest.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.MissingRequiredClaimError as error:
            raise TokenRefused(f"The token has no {error.claim}.") from None
        except jwt.PyJWTError as error:
            raise TokenRefused(_SENTENCES.get(type(error), _MALFORMED)) from None

    async def _key_for(self, token: str) -> tuple[str | jwt.PyJWK, Sequence[str]]:
        if isinstance(self._keys, str):
            return self._keys, ["HS256"]
        if self._keys is None:
            if not self._warned:
                _log.warning("Tokens are refused: neither JWT_SECRET nor JWKS_URL is set.")
                self._warned = True
            raise TokenRefused("Tokens are not accepted here.")
        header = jwt.get_unverified_header(token)
        algorithms = ["RS256", "ES256"]
        # Before the key is looked for, so that no such token can cause a fetch.
        if header.get("alg") not in algorithms:
            raise jwt.InvalidAlgorithmError
        key = await self._keys.find(header.get("kid"), header["alg"])
        if key is None:
            raise TokenRefused("The token is not signed with a key of the provider.")
        return key, algorithms

    def _recall(self, token: str) -> Claims | None:
        claims, good_until = self._cache.get(token, (None, 0.0))
        if claims is None:
            return None
        if good_until <= self._now():
            del self._cache[token]
            return None
        self._cache.move_to_end(token)
        return claims

    def _remember(self, token: str, claims: Claims, now: float) -> None:
        good_until = claims.expires_at + LEEWAY
        if isinstance(self._keys, KeySet):
            good_until = min(good_until, now + CACHED_FOR)
        self._cache[token] = claims, good_until
        if len(self._cache) > CACHED_TOKENS:
            self._cache.popitem(last=False)


async def identify(
    authorization: str | None,
    tenant: str | None,
    *,
    verifier: TokenVerifier,
    tenants: Sequence[str],
) -> Principal:
    """The principal of a request, from the values of `Authorization` and `X-Tenant`.

    The tenant is the token's, else the one named, else the first of `tenants`. Without
    `authorization` the caller is anonymous; with one that is no good, never. Raises
    TokenRefused, TenantRefused, and ServiceUnavailable as `TokenVerifier.verify` does.
    """
    claims = None if authorization is None else await verifier.verify(_bearer(authorization))
    if claims and claims.tenant is not None and claims.tenant not in tenants:
        raise TokenRefused("The token is for a tenant that is not served here.")
    if tenant is not None and tenant not in tenants:
        raise TenantRefused("The tenant named is not served here.")
    if claims is None:
        return Principal.anonymous(tenant or tenants[0])
    if tenant and claims.tenant and tenant != claims.tenant:
        raise TenantRefused("The tenant named is not the token's.")
    return Principal(
        user_id=claims.subject,
        tenant=claims.tenant or tenant or tenants[0],
        is_staff=claims.is_staff,
        expires_at=claims.expires_at,
    )


def mint(
    secret: str,
    *,
    sub: str,
    staff: bool,
    tenant: str | None,
    now: Callable[[], float],
    lifetime: int = 86_400,
    issuer: str | None = None,
    audience: str | None = None,
) -> str:
    """An HS256 token for development, good for `lifetime` seconds from `now` (epoch seconds).

    `sub` is a raw user ID. Raises ConfigurationError where no verifier would take it.
    """
    if not _is_subject(sub):
        raise ConfigurationError(f"--sub: should be 1 to {MAX_SUBJECT} printable characters.")
    issued = int(now())
    claims: dict[str, object] = {"sub": sub, "iat": issued, "exp": issued + lifetime}
    optional = {
        "roles": ["staff"] if staff else None,
        "tenant": tenant,
        "iss": issuer,
        "aud": audience,
    }
    claims.update({name: value for name, value in optional.items() if value is not None})
    return jwt.encode(claims, _checked(secret), algorithm="HS256")


def _bearer(authorization: str) -> str:
    """The token of an `Authorization` value (RFC 6750; schemes ignore case, RFC 9110)."""
    scheme, _, token = authorization.strip(" \t").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenRefused("Authorization must be of the Bearer scheme.")
    return token.lstrip(" ")


def _claims(payload: dict[str, Any]) -> Claims:
    """The claims that count, each of its type; others are ignored."""
    subject, roles = payload["sub"], payload.get("roles", [])
    tenant = payload.get("tenant")
    if not isinstance(subject, str) or not _is_subject(subject):
        raise TokenRefused(f"The token's sub is not 1 to {MAX_SUBJECT} printable characters.")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TokenRefused("The token's roles are not a list of names.")
    if not isinstance(tenant, str) and "tenant" in payload:
        raise TokenRefused("The token's tenant is not a name.")
    return Claims(
        subject=subject,
        is_staff="staff" in roles,
        tenant=tenant,
        expires_at=_seconds(payload, "exp"),
        valid_from=max(
            (_seconds(payload, name) for name in ("nbf", "iat") if name in payload), default=0.0
        ),
    )


def _seconds(payload: dict[str, Any], claim: str) -> float:
    value = payload[claim]
    # JSON's true is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FAR:
        raise TokenRefused(f"The token's {claim} is not a time.")
    return float(value)


def _is_subject(text: str) -> bool:
    return 1 <= len(text) <= MAX_SUBJECT and text.isprintable()


def _checked(secret: str) -> str:
    """The secret, refused where it is a public key: whoever reads that could forge tokens."""
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ConfigurationError(
            "CARTOGRAPH_JWT_SECRET: should be random text, not a key of another kind."
        ) from None
    return secret
