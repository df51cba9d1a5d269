import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from datasources.errors import ServiceUnavailable
from datasources.jwks import REFRESH, RETRY_WITH_KEYS, RETRY_WITHOUT, UNKNOWN_PAUSE, KeySet

Jwk = dict[str, Any]


def ec_key(kid: str | None = None, **more: object) -> Jwk:
    jwk = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    return jwk | ({} if kid is None else {"kid": kid}) | more


def other_curve_key(kid: str) -> Jwk:
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    return ECAlgorithm.to_jwk(public, as_dict=True) | {"kid": kid}


def private_key(kid: str) -> Jwk:
    return ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True) | {"kid": kid}


def rsa_key(kid: str, bits: int = 2048, **more: object) -> Jwk:
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return jwk | {"kid": kid} | more


class Provider:
    """A provider in memory, with a clock that the test moves."""

    def __init__(self, *keys: object) -> None:
        self.document = json.dumps({"keys": keys}).encode()
        self.is_down = False
        self.fetches = 0
        self.time = 1000.0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def publish(self, *keys: object) -> None:
        self.document = json.dumps({"keys": keys}).encode()

    async def download(self) -> bytes:
        self.fetches += 1
        self.asked.set()
        await self.may_answer.wait()
        if self.is_down:
            raise ServiceUnavailable("down")
        return self.document

    def key_set(self) -> KeySet:
        return KeySet(self.download, lambda: self.time)


def id_of(key: PyJWK | None) -> str | None:
    return key.key_id if key else None


async def test_a_key_is_found_by_its_id_and_algorithm_with_one_fetch() -> None:
    provider = Provider(ec_key("a"), rsa_key("b"))
    keys = provider.key_set()
    assert id_of(await keys.find("a", "ES256")) == "a"
    assert id_of(await keys.find("b", "RS256")) == "b"
    assert provider.fetches == 1


async def test_nothing_is_fetched_before_a_key_is_asked_for() -> None:
    provider = Provider(ec_key("a"))
    provider.key_set()
    assert provider.fetches == 0


async def test_a_key_is_not_found_under_another_algorithm() -> None:
    keys = Provider(ec_key("a")).key_set()
    assert await keys.find("a", "RS256") is None


async def test_two_keys_of_one_id_are_told_apart_by_algorithm() -> None:
    keys = Provider(ec_key("a"), rsa_key("a")).key_set()
    rs256, es256 = await keys.find("a", "RS256"), await keys.find("a", "ES256")
    assert rs256
    assert es256
    assert (rs256.key_type, es256.key_type) == ("RSA", "EC")


async def test_a_rotated_key_is_found_at_once() -> None:
    provider = Provider(ec_key("old"))
    keys = provider.key_set()
    await keys.find("old", "ES256")
    provider.publish(ec_key("new"))
    assert id_of(await keys.find("new", "ES256")) == "new"
    assert await keys.find("old", "ES256") is None


async def test_a_flood_of_unknown_ids_causes_one_fetch_in_thirty_seconds() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await keys.find("a", "ES256")
    for n in range(100):
        assert await keys.find(f"forged-{n}", "ES256") is None
    assert provider.fetches == 2
    provider.time += UNKNOWN_PAUSE - 0.1
    await keys.find("forged", "ES256")
    assert provider.fetches == 2
    provider.time += 0.1
    await keys.find("forged", "ES256")
    assert provider.fetches == 3


async def test_a_flood_does_not_keep_known_keys_from_being_found() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await asyncio.gather(*(keys.find(f"forged-{n}", "ES256") for n in range(100)))
    assert id_of(await keys.find("a", "ES256")) == "a"


async def test_keys_are_fetched_anew_after_an_hour_and_withdrawn_ones_forgotten() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await keys.find("a", "ES256")
    provider.publish(ec_key("b"))
    provider.time += REFRESH - 1
    assert id_of(await keys.find("a", "ES256")) == "a"
    provider.time += 1
    assert await keys.find("a", "ES256") is None
    assert provider.fetches == 2


async def test_concurrent_callers_share_one_fetch() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    found = await asyncio.gather(*(keys.find("a", "ES256") for _ in range(50)))
    assert {id_of(key) for key in found} == {"a"}
    assert provider.fetches == 1


async def test_concurrent_callers_share_the_fetch_of_a_rotated_key() -> None:
    provider = Provider(ec_key("old"))
    keys = provider.key_set()
    await keys.find("old", "ES256")
    provider.publish(ec_key("new"))
    found = await asyncio.gather(*(keys.find("new", "ES256") for _ in range(50)))
    assert {id_of(key) for key in found} == {"new"}
    assert provider.fetches == 2


async def test_a_caller_who_goes_away_does_not_end_the_fetch_of_others() -> None:
    provider = Provider(ec_key("a"))
    provider.may_answer.clear()
    keys = provider.key_set()
    first = asyncio.create_task(keys.find("a", "ES256"))
    second = asyncio.create_task(keys.find("a", "ES256"))
    await provider.asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    provider.may_answer.set()
    assert id_of(await second) == "a"
    assert provider.fetches == 1


async def test_a_known_key_is_found_while_a_slow_fetch_is_under_way() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await keys.find("a", "ES256")
    provider.may_answer.clear()
    provider.asked.clear()
    waiting = asyncio.create_task(keys.find("new", "ES256"))
    await provider.asked.wait()
    assert id_of(await keys.find("a", "ES256")) == "a"
    assert not waiting.done()
    provider.may_answer.set()
    assert await waiting is None


async def test_cached_keys_keep_working_while_the_provider_is_down() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await keys.find("a", "ES256")
    provider.is_down = True
    provider.time += REFRESH
    assert id_of(await keys.find("a", "ES256")) == "a"
    assert id_of(await keys.find("a", "ES256")) == "a"
    assert provider.fetches == 2
    provider.time += RETRY_WITH_KEYS
    assert id_of(await keys.find("a", "ES256")) == "a"
    assert provider.fetches == 3


async def test_without_any_key_a_provider_that_is_down_is_unavailable_not_a_refusal() -> None:
    provider = Provider(ec_key("a"))
    provider.is_down = True
    keys = provider.key_set()
    with pytest.raises(ServiceUnavailable) as raised:
        await keys.find("a", "ES256")
    assert (raised.value.code, raised.value.retryable) == ("SERVICE_UNAVAILABLE", True)


async def test_a_provider_that_is_down_at_the_start_is_asked_again_after_a_pause() -> None:
    provider = Provider(ec_key("a"))
    provider.is_down = True
    keys = provider.key_set()
    for _ in range(10):
        with pytest.raises(ServiceUnavailable):
            await keys.find("a", "ES256")
    assert provider.fetches == 1
    provider.is_down = False
    provider.time += RETRY_WITHOUT
    assert id_of(await keys.find("a", "ES256")) == "a"


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b'{"keys":{}}', b"[" * 5000])
async def test_an_answer_that_is_no_key_set_counts_as_none(document: bytes) -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await keys.find("a", "ES256")
    provider.document = document
    provider.time += REFRESH
    assert id_of(await keys.find("a", "ES256")) == "a"
    with pytest.raises(ServiceUnavailable):
        await provider.key_set().find("a", "ES256")


async def test_an_empty_key_set_is_believed() -> None:
    provider = Provider(ec_key("a"))
    keys = provider.key_set()
    await keys.find("a", "ES256")
    provider.publish()
    provider.time += REFRESH
    assert await keys.find("a", "ES256") is None


@pytest.mark.parametrize(
    "unusable",
    [
        ec_key("x", use="enc"),
        ec_key("x", alg="ES384"),
        ec_key("x", crv="P-384"),
        other_curve_key("x"),
        ec_key("x", x="AAAA"),
        ec_key("x", x=5),
        private_key("x"),
        rsa_key("x", bits=1024),
        rsa_key("x", alg="PS256"),
        rsa_key("x", n=""),
        {"kty": "oct", "kid": "x", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"},
        {"kty": "oct", "kid": "x", "alg": "RS256", "k": "c2VjcmV0"},
        {"kty": ["RSA"], "kid": "x"},
        {"kid": "x"},
        "x",
        None,
    ],
    ids=lambda jwk: (
        str({k: v for k, v in jwk.items() if len(str(v)) < 9} if jwk else jwk)
        if isinstance(jwk, dict)
        else str(jwk)
    ),
)
async def test_an_unusable_key_is_passed_over_and_the_others_taken(unusable: object) -> None:
    keys = Provider(unusable, ec_key("good", use="sig", alg="ES256")).key_set()
    assert await keys.find("x", "ES256") is None
    assert await keys.find("x", "RS256") is None
    assert await keys.find("x", "HS256") is None
    assert id_of(await keys.find("good", "ES256")) == "good"


async def test_a_token_without_key_id_gets_the_only_key_of_its_algorithm() -> None:
    keys = Provider(ec_key(), rsa_key("b")).key_set()
    key = await keys.find(None, "ES256")
    assert key
    assert key.key_type == "EC"
    assert id_of(await keys.find(None, "RS256")) == "b"


async def test_a_token_without_key_id_gets_no_key_where_there_are_two() -> None:
    keys = Provider(ec_key("a"), ec_key("b")).key_set()
    assert await keys.find(None, "ES256") is None


async def test_what_went_wrong_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    provider = Provider()
    provider.is_down = True
    with pytest.raises(ServiceUnavailable):
        await provider.key_set().find("a", "ES256")
    assert "could not be read: down" in caplog.text
