import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from datasources.errors import ConfigurationError, ServiceUnavailable
from datasources.jwks import KeySet
from resolvers.errors import TenantRefused, TokenRefused
from resolvers.principal import Principal
from resolvers.tokens import CACHED_FOR, CACHED_TOKENS, LEEWAY, TokenVerifier, identify, mint

SECRET = "a secret of the tests, long enough"
NOW = 1_750_000_000.0
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
TENANTS = ("default", "other")


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> float:
        return self.time


def by_secret(now: Callable[[], float] = lambda: NOW, **more: str) -> TokenVerifier:
    return TokenVerifier(SECRET, now=now, **more)


def by_key_set(clock: Clock | None = None) -> TokenVerifier:
    clock = clock or Clock()
    keys = [
        RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa"},
        ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"},
    ]
    return TokenVerifier(KeySet(answering({"keys": keys}), clock), now=clock)


def answering(document: object) -> Callable[[], Awaitable[bytes]]:
    async def download() -> bytes:
        return json.dumps(document).encode()

    return download


def signed(**claims: object) -> str:
    """A token with good claims but for those given; ... leaves one out."""
    return signed_with(SECRET, "HS256", claims)


def signed_with(secret: str, algorithm: str, claims: Mapping[str, object]) -> str:
    merged = {"sub": "u1", "exp": NOW + 60, **claims}
    payload = json.dumps({name: value for name, value in merged.items() if value is not ...})
    return jwt.PyJWS().encode(payload.encode(), secret, algorithm=algorithm)


def signed_by(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str, kid: str | None
) -> str:
    headers = None if kid is None else {"kid": kid}
    claims = {"sub": "u1", "exp": NOW + 60}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def forged(header: dict[str, object], key: bytes | None, **claims: object) -> str:
    """A token put together by hand, HMAC-signed with `key` whatever its header says."""
    merged = {"sub": "u1", "exp": NOW + 60} | claims
    parts = [base64url_encode(json.dumps(part).encode()) for part in (header, merged)]
    signature = (
        b"" if key is None else HMACAlgorithm(HMACAlgorithm.SHA256).sign(b".".join(parts), key)
    )
    return b".".join([*parts, base64url_encode(signature)]).decode()


async def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenRefused) as raised:
        await verifier.verify(token)
    assert raised.value.code == "UNAUTHENTICATED"
    assert len(token) < 16 or token not in raised.value.message
    return raised.value.message


# --- signatures


async def test_a_genuine_token_says_who_is_calling() -> None:
    claims = await by_secret().verify(signed(roles=["staff"], tenant="other"))
    assert (claims.subject, claims.is_staff, claims.tenant) == ("u1", True, "other")
    assert claims.expires_at == NOW + 60


async def test_a_token_signed_with_another_secret_is_refused() -> None:
    message = await refusal(by_secret(), signed_with(SECRET[::-1], "HS256", {}))
    assert message == "The token's signature is wrong."


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_hmac_algorithm_with_the_right_secret_is_refused(algorithm: str) -> None:
    secret = SECRET * 2
    verifier = TokenVerifier(secret, now=lambda: NOW)
    assert "algorithm" in await refusal(verifier, signed_with(secret, algorithm, {}))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, ["HS256"], 1, {}])
@pytest.mark.parametrize("make", [by_secret, by_key_set])
async def test_an_unsigned_token_is_refused(make: Callable[[], TokenVerifier], alg: object) -> None:
    await refusal(make(), forged({"alg": alg}, None))
    await refusal(make(), forged({"alg": alg}, None) + "AAAA")
    await refusal(make(), forged({"alg": alg}, SECRET.encode()))


async def test_a_token_with_no_algorithm_is_refused() -> None:
    await refusal(by_secret(), forged({}, SECRET.encode()))
    await refusal(by_key_set(), forged({"kid": "ec"}, SECRET.encode()))


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec")]
)
async def test_a_token_of_the_provider_is_believed_with_and_without_key_id(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str, kid: str
) -> None:
    assert (await by_key_set().verify(signed_by(key, algorithm, kid))).subject == "u1"
    assert (await by_key_set().verify(signed_by(key, algorithm, None))).subject == "u1"


@pytest.mark.parametrize("kid", ["rsa", "ec", None, "unknown"])
async def test_an_hmac_token_signed_with_a_public_key_is_refused(kid: str | None) -> None:
    for key in (RSA_KEY.public_key(), EC_KEY.public_key()):
        for secret in (pem(key), pem(key).strip()):
            token = forged(
                {"alg": "HS256", "kid": kid} if kid else {"alg": "HS256"}, secret.encode()
            )
            assert "algorithm" in await refusal(by_key_set(), token)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_another_algorithm_of_the_right_rsa_key_is_refused(algorithm: str) -> None:
    assert "algorithm" in await refusal(by_key_set(), signed_by(RSA_KEY, algorithm, "rsa"))


async def test_a_key_does_not_verify_under_the_other_keys_id() -> None:
    assert "provider" in await refusal(by_key_set(), signed_by(RSA_KEY, "RS256", "ec"))


async def test_a_strangers_key_is_refused_whatever_id_it_gives() -> None:
    assert "signature" in await refusal(by_key_set(), signed_by(STRANGER, "ES256", "ec"))
    assert "signature" in await refusal(by_key_set(), signed_by(STRANGER, "ES256", None))
    assert "provider" in await refusal(by_key_set(), signed_by(STRANGER, "ES256", "stranger"))


async def test_a_key_that_the_token_brings_along_is_not_believed() -> None:
    own = ECAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True)
    headers = {"jwk": own, "jku": "https://example.com/keys", "kid": "ec"}
    token = jwt.encode({"sub": "u1", "exp": NOW + 60}, STRANGER, algorithm="ES256", headers=headers)
    assert "signature" in await refusal(by_key_set(), token)


async def test_a_provider_token_is_refused_where_a_secret_is_set_and_the_other_way_round() -> None:
    await refusal(by_secret(), signed_by(EC_KEY, "ES256", "ec"))
    await refusal(by_key_set(), signed())


async def test_without_secret_and_provider_every_token_is_refused_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifier = TokenVerifier(None, now=lambda: NOW)
    assert await refusal(verifier, signed()) == "Tokens are not accepted here."
    await refusal(verifier, signed())
    assert caplog.text.count("neither JWT_SECRET nor JWKS_URL is set") == 1


async def test_a_provider_that_is_down_is_unavailable_not_a_refusal() -> None:
    async def download() -> bytes:
        raise ServiceUnavailable("down")

    verifier = TokenVerifier(KeySet(download, lambda: NOW), now=lambda: NOW)
    with pytest.raises(ServiceUnavailable):
        await verifier.verify(signed_by(EC_KEY, "ES256", "ec"))
    # What no key could make good is refused even then.
    await refusal(verifier, signed())


# --- form


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "ey J.a.b",
        signed() + "=",
        signed() + "\n",
        signed() + ".e30",
        signed().replace(".", "..", 1),
        signed() + "é",
        signed() + "\ud800",
        "a" * 9000 + ".b.c",
        signed(filler="x" * 8192),
        forged({"alg": "HS256", "crit": ["exp"]}, SECRET.encode()),
        forged({"alg": "HS256", "b64": False, "crit": ["b64"]}, SECRET.encode()),
        forged({"alg": "HS256", "kid": 1}, SECRET.encode()),
    ],
    ids=lambda token: repr(token)[:20],
)
async def test_a_malformed_token_is_refused(token: str) -> None:
    assert await refusal(by_secret(), token) == "The token is malformed."


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b'"x"', b"{", b"\xff", b"[" * 3000, b"1" * 5000]
)
async def test_a_signed_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    token = jwt.PyJWS().encode(payload, SECRET, algorithm="HS256")
    assert await refusal(by_secret(), token) == "The token is malformed."


@pytest.mark.parametrize("kid", [1, None, ["ec"], {}])
async def test_a_key_id_that_is_no_text_is_refused(kid: object) -> None:
    assert "malformed" in await refusal(by_key_set(), forged({"alg": "ES256", "kid": kid}, b"x"))


@settings(deadline=None)  # a busy machine is no failure
@given(position=st.integers(min_value=0), value=st.integers(0, 255))
async def test_no_change_of_one_byte_leaves_a_token_good(position: int, value: int) -> None:
    token = signed()
    position %= len(token)
    changed = token[:position] + chr(value) + token[position + 1 :]
    if changed == token:
        await by_secret().verify(token)
    else:
        await refusal(by_secret(), changed)


@settings(deadline=None)  # a busy machine is no failure
@given(position=st.integers(min_value=0), value=st.integers(0, 255), key=st.sampled_from("er"))
async def test_no_change_of_one_byte_leaves_a_providers_token_good(
    position: int, value: int, key: str
) -> None:
    token = ES256_TOKEN if key == "e" else RS256_TOKEN
    position %= len(token)
    changed = token[:position] + chr(value) + token[position + 1 :]
    if changed != token:
        await refusal(PROVIDED, changed)


ES256_TOKEN = signed_by(EC_KEY, "ES256", "ec")
RS256_TOKEN = signed_by(RSA_KEY, "RS256", "rsa")
PROVIDED = by_key_set()


async def test_the_unused_bits_of_a_last_character_must_be_zero() -> None:
    token = signed()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    # 32 bytes of signature leave two bits over: four characters stand for the same bytes.
    for twin in range(last + 1, last + 4):
        await refusal(by_secret(), token[:-1] + alphabet[twin])


async def test_the_other_base64_alphabet_is_refused() -> None:
    tokens = (signed(sub=f"u{n}") for n in range(1000))
    token = next(token for token in tokens if "_" in token.rpartition(".")[2])
    head, _, signature = token.rpartition(".")
    await by_secret().verify(token)
    await refusal(by_secret(), f"{head}.{signature.replace('_', '/')}")


# --- claims


@pytest.mark.parametrize("claim", ["sub", "exp"])
@pytest.mark.parametrize("value", [..., None])
async def test_subject_and_expiry_are_required(claim: str, value: object) -> None:
    assert await refusal(by_secret(), signed(**{claim: value})) == f"The token has no {claim}."


@pytest.mark.parametrize(
    "sub", ["x", "x" * 128, "日" * 128, "太郎 田中", "auth0|abc/def#1", "a b", "😀"]
)
async def test_any_printable_subject_of_up_to_128_characters_is_taken_as_it_is(sub: str) -> None:
    assert (await by_secret().verify(signed(sub=sub))).subject == sub


@pytest.mark.parametrize(
    "sub", ["", "x" * 129, "a\nb", "a\x00", "\x7f", "a\u200bb", "\ud800", "\u202e", 1, True, [], {}]
)
async def test_a_subject_that_is_empty_too_long_or_unprintable_is_refused(sub: object) -> None:
    assert "sub" in await refusal(by_secret(), signed(sub=sub))


@pytest.mark.parametrize(
    ("roles", "is_staff"),
    [(..., False), ([], False), (["staff"], True), (["admin", "staff"], True), (["Staff"], False)],
)
async def test_staff_is_the_only_role_that_counts(roles: object, is_staff: bool) -> None:
    assert (await by_secret().verify(signed(roles=roles))).is_staff is is_staff


@pytest.mark.parametrize(
    "roles", ["staff", None, 1, True, {"staff": True}, ["staff", 1], [["staff"]]]
)
async def test_roles_of_a_wrong_type_are_refused(roles: object) -> None:
    assert "roles" in await refusal(by_secret(), signed(roles=roles))


@pytest.mark.parametrize("tenant", [None, 1, True, ["default"], {}])
async def test_a_tenant_claim_of_a_wrong_type_is_refused(tenant: object) -> None:
    assert "tenant" in await refusal(by_secret(), signed(tenant=tenant))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        "1750000060",
        True,
        [],
        {},
        float("nan"),
        float("inf"),
        -float("inf"),
        pytest.param(10**400, id="huge"),
        1e300,
    ],
)
async def test_a_time_that_is_no_time_is_refused(claim: str, value: object) -> None:
    assert f"{claim} is not a time" in await refusal(by_secret(), signed(**{claim: value}))


async def test_a_token_is_good_until_the_leeway_after_its_expiry() -> None:
    token = signed(exp=NOW)
    await by_secret(lambda: NOW + LEEWAY - 0.01).verify(token)
    message = await refusal(by_secret(lambda: NOW + LEEWAY), token)
    assert message == "The token has expired."


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_is_good_from_the_leeway_before_its_beginning(claim: str) -> None:
    token = signed(exp=NOW + 600, **{claim: NOW})
    await by_secret(lambda: NOW - LEEWAY).verify(token)
    message = await refusal(by_secret(lambda: NOW - LEEWAY - 0.01), token)
    assert message == "The token is not valid yet."


async def test_the_clock_that_counts_is_the_one_given() -> None:
    far = NOW * 3
    assert far > time.time()
    await by_secret(lambda: far).verify(signed(exp=far + 1, nbf=far, iat=far))
    await refusal(by_secret(lambda: far), signed(exp=time.time() + 3600))


@pytest.mark.parametrize("iss", [..., None, "", "https://evil.example", ["https://id.example"], 1])
async def test_another_issuer_is_refused_where_one_is_configured(iss: object) -> None:
    verifier = by_secret(issuer="https://id.example")
    await refusal(verifier, signed(iss=iss))
    await verifier.verify(signed(iss="https://id.example"))


@pytest.mark.parametrize("aud", [..., None, "", [], "shop2", ["a", "b"], ["shop", 1], {"shop": 1}])
async def test_another_audience_is_refused_where_one_is_configured(aud: object) -> None:
    verifier = by_secret(audience="shop")
    await refusal(verifier, signed(aud=aud))
    await verifier.verify(signed(aud="shop"))
    await verifier.verify(signed(aud=["other", "shop"]))


async def test_issuer_and_audience_are_ignored_where_none_is_configured() -> None:
    await by_secret().verify(signed(iss="https://anybody.example", aud=["anything"]))


# --- cache


class CountingSecret(TokenVerifier):
    """Counts how often a token was really verified."""

    count = 0

    async def _payload(self, token: str) -> dict[str, Any]:
        self.count += 1
        return await super()._payload(token)


async def test_a_token_is_verified_once_and_remembered_until_it_expires() -> None:
    clock = Clock()
    verifier = CountingSecret(SECRET, now=clock)
    token = signed(exp=NOW + 3600)
    first = await verifier.verify(token)
    clock.time += 3600
    assert await verifier.verify(token) == first
    assert verifier.count == 1
    clock.time += LEEWAY
    assert "expired" in await refusal(verifier, token)


async def test_a_refusal_is_not_remembered() -> None:
    clock = Clock()
    verifier = CountingSecret(SECRET, now=clock)
    token = signed(nbf=NOW + 60, exp=NOW + 600)
    await refusal(verifier, token)
    clock.time += 60
    assert (await verifier.verify(token)).subject == "u1"


async def test_the_tokens_longest_unused_are_forgotten_first() -> None:
    verifier = CountingSecret(SECRET, now=lambda: NOW)
    tokens = [signed(sub=f"u{n}") for n in range(CACHED_TOKENS + 1)]
    for token in tokens[:-1]:
        await verifier.verify(token)
    await verifier.verify(tokens[0])
    await verifier.verify(tokens[-1])
    verifier.count = 0
    await verifier.verify(tokens[0])
    assert verifier.count == 0
    await verifier.verify(tokens[1])
    assert verifier.count == 1


async def test_a_token_of_a_withdrawn_key_is_refused_within_a_minute() -> None:
    clock = Clock()
    document = {"keys": [ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"}]}
    verifier = TokenVerifier(KeySet(answering(document), clock), now=clock)
    claims = {"sub": "u1", "exp": NOW + 3600}
    token = jwt.encode(claims, EC_KEY, algorithm="ES256", headers={"kid": "ec"})
    await verifier.verify(token)
    document["keys"].clear()
    # Somebody's new key makes the set be read again.
    await refusal(verifier, signed_by(STRANGER, "ES256", "new"))
    clock.time += CACHED_FOR - 1
    await verifier.verify(token)
    clock.time += 1
    assert "provider" in await refusal(verifier, token)


# --- the principal of a request


async def principal_of(authorization: str | None, tenant: str | None = None) -> Principal:
    return await identify(authorization, tenant, verifier=by_secret(), tenants=TENANTS)


async def test_no_header_is_an_anonymous_caller_of_the_first_tenant() -> None:
    assert await principal_of(None) == Principal.anonymous("default")


async def test_an_anonymous_caller_may_name_a_tenant() -> None:
    assert await principal_of(None, "other") == Principal.anonymous("other")


async def test_a_token_makes_a_principal() -> None:
    caller = await principal_of(f"Bearer {signed(roles=['staff'])}")
    assert caller == Principal("u1", "default", is_staff=True, expires_at=NOW + 60)


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer   {}", " Bearer {} "])
async def test_the_scheme_ignores_case_and_spaces_around(form: str) -> None:
    assert (await principal_of(form.format(signed()))).user_id == "u1"


@pytest.mark.parametrize(
    "authorization",
    [
        *("", " ", "Bearer", "Bearer ", "Basic dTpw", "Bearer a b", "Token {}", "{}", "null"),
        *("Bearer {} {}", "Bearer:{}", "Bearer,{}", "Bearer\t{}", "Bearer {},", 'Bearer "{}"'),
    ],
)
async def test_credentials_that_are_no_bearer_token_are_refused_never_anonymous(
    authorization: str,
) -> None:
    token = signed()
    with pytest.raises(TokenRefused) as raised:
        await principal_of(authorization.replace("{}", token))
    assert token not in raised.value.message


@pytest.mark.parametrize(
    ("claim", "header", "tenant"),
    [
        (..., None, "default"),
        (..., "other", "other"),
        ("other", None, "other"),
        ("other", "other", "other"),
    ],
)
async def test_the_tenant_is_the_tokens_else_the_one_named_else_the_first(
    claim: object, header: str | None, tenant: str
) -> None:
    caller = await principal_of(f"Bearer {signed(tenant=claim)}", header)
    assert caller.tenant == tenant


@pytest.mark.parametrize("claim", ["unknown", "", "Default"])
async def test_a_tenant_claim_that_is_not_served_is_refused_as_the_token_is(claim: str) -> None:
    with pytest.raises(TokenRefused):
        await principal_of(f"Bearer {signed(tenant=claim)}", "default")


@pytest.mark.parametrize("header", ["unknown", "", "Default", "default,other"])
@pytest.mark.parametrize("claim", [None, ..., "default"])
async def test_a_tenant_named_that_is_not_served_is_refused(header: str, claim: object) -> None:
    authorization = None if claim is None else f"Bearer {signed(tenant=claim)}"
    with pytest.raises(TenantRefused) as raised:
        await principal_of(authorization, header)
    assert raised.value.code == "BAD_USER_INPUT"


async def test_a_tenant_named_that_contradicts_the_token_is_refused() -> None:
    with pytest.raises(TenantRefused):
        await principal_of(f"Bearer {signed(tenant='other')}", "default")


async def test_a_bad_token_is_refused_before_a_bad_tenant() -> None:
    with pytest.raises(TokenRefused):
        await principal_of("Bearer a.b.c", "unknown")


# --- minting


async def test_a_minted_token_is_believed_for_its_lifetime() -> None:
    token = mint(SECRET, sub="太郎", staff=True, tenant="other", now=lambda: NOW)
    claims = await by_secret().verify(token)
    assert (claims.subject, claims.is_staff, claims.tenant) == ("太郎", True, "other")
    assert (claims.valid_from, claims.expires_at) == (NOW, NOW + 86_400)


async def test_a_minted_token_carries_only_what_was_asked_for() -> None:
    token = mint(SECRET, sub="u1", staff=False, tenant=None, lifetime=60, now=lambda: NOW)
    payload = jwt.decode(token, options={"verify_signature": False})
    assert payload == {"sub": "u1", "iat": NOW, "exp": NOW + 60}


async def test_a_minted_token_carries_issuer_and_audience_where_configured() -> None:
    issuer, audience = "https://id.example", "api"
    token = mint(
        SECRET,
        sub="u1",
        staff=False,
        tenant=None,
        now=lambda: NOW,
        issuer=issuer,
        audience=audience,
    )
    verifier = by_secret(issuer=issuer, audience=audience)
    assert (await verifier.verify(token)).subject == "u1"


@pytest.mark.parametrize("sub", ["", "x" * 129, "a\nb"])
def test_a_subject_that_no_verifier_would_take_is_not_minted(sub: str) -> None:
    with pytest.raises(ConfigurationError, match="--sub"):
        mint(SECRET, sub=sub, staff=False, tenant=None, now=lambda: NOW)


def test_a_public_key_as_secret_is_a_configuration_error() -> None:
    public = pem(RSA_KEY.public_key())
    with pytest.raises(ConfigurationError, match="CARTOGRAPH_JWT_SECRET"):
        TokenVerifier(public, now=lambda: NOW)
    with pytest.raises(ConfigurationError, match="CARTOGRAPH_JWT_SECRET"):
        mint(public, sub="u1", staff=False, tenant=None, now=lambda: NOW)
