"""The running service to whoever means it no good, or too much: over real HTTP and websockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.live.peers import connected
from tests.e2e.support import Service, environment, serving, until
from tests.support import plain
from tests.support.broker import broker, needs_redis

ORIGIN = "https://shop.example"
JSON = {"content-type": "application/json"}
HELLO = b'{"query": "{ __typename }"}'
LOOKUP = '{ userByEmail(email: "taro@example.com") { id } }'
_addresses = count(1)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With little for each caller, behind a proxy of this machine."""
    settings: dict[str, object] = {
        "ALLOWED_ORIGINS": ORIGIN,
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_CAPACITY": 60,
        "RATE_RESTORE": 0.01,
        "EMAIL_CAPACITY": 2,
        "EMAIL_RESTORE": 0.01,
        "SOCKETS_PER_PRINCIPAL": 2,
        "SOCKETS_PER_ADDRESS": 3,
    }
    with serving(environment(tmp_path_factory.mktemp("state"), **settings)) as running:
        yield running


@pytest.fixture
def address() -> str:
    """A client that nobody has heard of yet."""
    return f"192.0.2.{next(_addresses)}"


def ask(service: Service, query: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return plain.post(f"{service.url}/graphql", json={"query": query}, headers=named)


def code(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    return str(error["extensions"]["code"])


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"null",
        b"1",
        b"[]",
        b"[" * 100_000,
        b"[" * 50_000 + b"]" * 50_000,
        b'{"query": "\xff"}',
        b'{"query": "{ __typename }", "variables": {"n": ' + b"9" * 5_000 + b"}}",
        b'{"query": "{ __typename }", "query": "{ viewer { id } }"}',
        b'{"query": "{ __typename }\x00"}',
        b'{"query": "{ __typename }\\u0000"}',
        b"\x00",
        b"",
    ],
)
def test_a_body_that_is_no_request_gets_400(service: Service, content: bytes) -> None:
    response = plain.post(f"{service.url}/graphql", content=content, headers=JSON)

    assert (response.status_code, code(response)) == (400, "BAD_USER_INPUT")
    assert "Traceback" not in "".join(service.said)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_a_form_of_another_site_s_page_can_do_nothing(service: Service, content_type: str) -> None:
    response = plain.post(
        f"{service.url}/graphql", content=HELLO, headers={"content-type": content_type}
    )

    assert (response.status_code, code(response)) == (415, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/graphql/", 404),
        ("GET", "/graphql/../etc/passwd", 404),
        ("DELETE", "/graphql", 405),
        ("OPTIONS", "/graphql", 405),
        ("TRACE", "/healthz", 405),
        ("POST", "/metrics", 405),
    ],
)
def test_what_is_not_there_is_told_with_a_code(
    service: Service, method: str, path: str, status: int
) -> None:
    response = plain.request(method, f"{service.url}{path}")

    assert (response.status_code, code(response)) == (status, "BAD_USER_INPUT")


# --- what every answer says -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/healthz", "*/*"),
        ("/readyz", "*/*"),
        ("/metrics", "*/*"),
        ("/nowhere", "*/*"),
        ("/graphql", "text/html"),
        ("/graphql?query={__typename}", "application/json"),
        ("/graphql?query={__typename}", "text/event-stream"),
        ("/graphiql/config.json", "*/*"),
        ("/dev/outbox", "text/html"),
    ],
)
def test_every_answer_is_hardened_and_has_an_id(service: Service, path: str, accept: str) -> None:
    headers = plain.get(
        f"{service.url}{path}", headers={"accept": accept, "x-request-id": "abc-1"}
    ).headers

    assert headers["x-request-id"] == "abc-1"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    (policy,) = headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize("path", ["/graphql", "/healthz"])
def test_browsers_are_told_to_stay_with_https_where_a_trusted_proxy_says_it_is(
    service: Service, strict: Service, path: str
) -> None:
    for running, is_trusted in ((service, False), (strict, True)):
        response = plain.get(f"{running.url}{path}", headers={"x-forwarded-proto": "https"})
        assert ("strict-transport-security" in response.headers) is is_trusted


def test_only_allowed_origins_may_read_answers(strict: Service, address: str) -> None:
    for origin, expected in ((ORIGIN, ORIGIN), ("null", None), ("https://evil.example", None)):
        response = ask(strict, "{ __typename }", origin=origin, x_forwarded_for=address)
        assert response.headers.get("access-control-allow-origin") == expected
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = plain.options(f"{strict.url}/graphql", headers=asked)
        assert preflight.headers.get("access-control-allow-origin") == expected
        assert preflight.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "https://shop.example.evil"])
async def test_pages_of_other_origins_may_open_no_websocket(strict: Service, origin: str) -> None:
    url = f"ws://127.0.0.1:{strict.port}/graphql"
    with pytest.raises(InvalidStatus) as caught:
        await connect(url, origin=origin, proxy=None)  # type: ignore[arg-type]  # any text
    assert caught.value.response.status_code == 403


# --- too much -------------------------------------------------------------------------------


def throttle(response: httpx.Response) -> dict[str, Any]:
    told: dict[str, Any] = response.json()["extensions"]["cost"]["throttle"]
    return told


def test_each_answer_tells_what_is_left_and_then_there_is_none(
    strict: Service, address: str
) -> None:
    query = "{ categories(first: 20) { nodes { name } } }"
    left = []
    while (response := ask(strict, query, x_forwarded_for=address)).status_code == 200:
        left.append(throttle(response)["currentlyAvailable"])

    assert left == sorted(left, reverse=True)
    assert len(left) > 3  # one could cost 20 of 60, and costs less
    assert (response.status_code, code(response)) == (429, "RATE_LIMITED")
    extensions = response.json()["errors"][0]["extensions"]
    assert extensions["retryable"] is True
    assert int(response.headers["retry-after"]) * 1000 >= extensions["retryAfterMs"] > 0
    assert throttle(response)["maximumAvailable"] == 60
    # A smaller one may still run, and others have their own.
    assert ask(strict, "{ __typename }", x_forwarded_for=address).status_code == 200
    assert ask(strict, query, x_forwarded_for=f"{address}, 198.51.100.1").status_code == 200


def test_what_a_client_says_of_its_address_is_not_believed(strict: Service) -> None:
    """The last that was not said by a trusted proxy is the client; what it says stands before."""
    statuses = [
        ask(strict, "{ __typename }", x_forwarded_for=f"10.0.0.{n}, 203.0.113.1").status_code
        for n in range(61)
    ]

    assert statuses == [200] * 60 + [429]


def test_without_trusted_proxies_nobody_is_believed(service: Service) -> None:
    query = "{ categories(first: 100) { nodes { id } } }"
    first = throttle(ask(service, query, x_forwarded_for="203.0.113.7"))
    assert first["maximumAvailable"] == 1_000_000


def test_lookups_by_email_have_a_bucket_of_their_own(strict: Service, address: str) -> None:
    staff = strict.signed(f"staff-{address}", staff=True)
    headers = {"authorization": f"Bearer {staff}", "x_forwarded_for": address}
    statuses = [ask(strict, LOOKUP, **headers).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert ask(strict, "{ __typename }", **headers).status_code == 200


@needs_redis
def test_buckets_are_kept_in_redis_and_missed_by_nobody(tmp_path: Path) -> None:
    key = "cartograph:cartograph:cost::127.0.0.1"
    with broker(tmp_path / "redis") as shared, redis.Redis.from_url(shared.url) as client:
        settings = environment(
            tmp_path, REDIS_URL=shared.url, RATE_CAPACITY=10_000, RATE_RESTORE=0.01
        )

        def is_shared() -> bool:
            assert ask(service, "{ __typename }").status_code == 200
            return bool(client.exists(key))

        with serving(settings) as service:
            until(is_shared)  # a machine that is busy may count for itself at first
            shared.kill()
            answer = ask(service, "{ __typename }")

    assert throttle(answer)["currentlyAvailable"] > 9_000


async def test_a_principal_has_so_many_sockets(strict: Service) -> None:
    token = strict.signed("someone")
    async with connected(strict.url, token), connected(strict.url, token):
        with pytest.raises(ConnectionClosed) as caught:
            async with connected(strict.url, token):
                pass
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1013


async def test_an_address_has_so_many_sockets_of_nobody(strict: Service) -> None:
    async with connected(strict.url), connected(strict.url), connected(strict.url):
        with pytest.raises(ConnectionClosed):
            async with connected(strict.url):
                pass


async def test_an_operation_too_many_leaves_the_socket_open(strict: Service) -> None:
    token = strict.signed("someone-else")
    async with connected(strict.url, token) as peer:
        for _ in range(60):
            assert await peer.ask("{ __typename }") == {"__typename": "Query"}
        await peer.subscribe("{ __typename }", "one more")
        refused = await peer.hear()
        assert (refused["type"], refused["id"]) == ("error", "one more")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        # The caller is the same over HTTP.
        response = await asyncio.to_thread(
            ask, strict, "{ __typename }", authorization=f"Bearer {token}"
        )
        assert response.status_code == 429
        await peer.ping()
