"""Secrets and tokens: what they are signed with, and who the explorer can ask as."""

from __future__ import annotations

import time
import warnings
from functools import partial

import aiohttp
from jwt.warnings import InsecureKeyLengthWarning

from composition.store import ROOT
from datasources.errors import ConfigurationError
from datasources.jwks import KeySet, download
from datasources.secrets import embedded_secret
from datasources.seed.demo import HANAKO, STAFF, TARO
from resolvers import global_ids
from resolvers.tokens import TokenVerifier, mint
from schema.browser.explorer import Explorer, Identity
from settings import Settings

EXPLORER = ROOT / "schema" / "graphiql" / "dist"
# Whom the explorer can ask as, over the demo data: label, subject, and whether staff.
IDENTITIES = (
    ("Customer: 太郎 田中", TARO, False),
    ("Customer: 花子 佐藤", HANAKO, False),
    ("Staff: 健一 鈴木", STAFF, True),
)


def allow_short_secrets() -> None:
    """Without a warning for each token: `serve` says so in a line of its own."""
    warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)


def jwt_secret(settings: Settings) -> str | None:
    if settings.jwt_secret:
        return settings.jwt_secret.get_secret_value()
    if settings.is_embedded and not settings.jwks_url:
        return embedded_secret(settings.state_dir, "jwt-secret")
    return None


def cursor_keys(settings: Settings) -> list[str]:
    keys = [key.get_secret_value() for key in settings.cursor_keys]
    return keys or [embedded_secret(settings.state_dir, "cursor-key")]


def token_verifier(settings: Settings, session: aiohttp.ClientSession) -> TokenVerifier:
    signer: str | KeySet | None = jwt_secret(settings)
    if settings.jwks_url:
        signer = KeySet(partial(download, session, settings.jwks_url), time.monotonic)
    return TokenVerifier(
        signer, now=time.time, issuer=settings.jwt_issuer, audience=settings.jwt_audience
    )


def mint_token(settings: Settings, sub: str, *, staff: bool, tenant: str | None) -> str:
    secret = jwt_secret(settings)
    if secret is None:
        raise ConfigurationError(
            "CARTOGRAPH_JWT_SECRET: should be set, or there is nothing to sign a token with."
        )
    if tenant is not None and tenant not in settings.tenants:
        raise ConfigurationError(f"--tenant: should be one of {', '.join(settings.tenants)}.")
    return mint(
        secret,
        sub=global_ids.subject(sub),
        staff=staff,
        tenant=tenant,
        now=time.time,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


def explorer(settings: Settings, *, trusting: bool) -> Explorer | None:
    """GraphiQL; over the embedded store with tokens of customers and staff, unless others than
    this machine can come and take them."""
    if not settings.graphiql:
        return None

    def identities() -> list[Identity]:
        known = [Identity("Anonymous", None)]
        if trusting and settings.is_embedded and jwt_secret(settings):
            for label, sub, staff in IDENTITIES:
                token = mint_token(settings, sub, staff=staff, tenant=None)
                known.append(Identity(label, token))
        return known

    return Explorer(EXPLORER, identities)
