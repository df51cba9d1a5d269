"""What is a request, in which media type it is answered, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from schema.headers import JSON
from schema.http import GRAPHQL
from tests.support.endpoint import HELLO, LARGEST_BODY, Service, code, only_error


@pytest.fixture
def service() -> Service:
    return Service()


# --- media types ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        ("application/json; charset=utf-8", JSON),
        (GRAPHQL, GRAPHQL),
        (GRAPHQL.upper(), GRAPHQL),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{GRAPHQL};q=0.5, {JSON};q=0.9", JSON),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.9", GRAPHQL),
        (f"text/html, {GRAPHQL};q=0.1", GRAPHQL),
        (f"{JSON};q=0, {GRAPHQL};q=0.001", GRAPHQL),
        (f"{JSON};q=x, {GRAPHQL};q=0.1", GRAPHQL),
        ("text/html, */*;q=0.8", JSON),
        ("", JSON),
    ],
)
async def test_the_client_chooses_the_media_type(
    service: Service, accept: str, expected: str
) -> None:
    response = await service.post(HELLO, accept=accept)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{expected}; charset=utf-8"
    assert response.json()["data"] == {"hello": "hello you"}


async def test_without_an_accept_header_the_answer_is_json(service: Service) -> None:
    response = await service.post(HELLO)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"


@pytest.mark.parametrize("accept", ["text/html", "image/*", f"{JSON};q=0", "nonsense", "q=1"])
async def test_a_client_that_takes_neither_media_type_gets_406(
    service: Service, accept: str
) -> None:
    response = await service.post(HELLO, accept=accept)

    assert response.status_code == 406
    assert code(response) == "BAD_USER_INPUT"


async def test_an_answer_is_not_to_be_stored_or_mixed_up(service: Service) -> None:
    headers = (await service.post(HELLO)).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert set(headers["vary"].split(", ")) == {"Accept", "Authorization", "X-Tenant"}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "x-application/jsonx",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin1",
        'application/json; charset="utf-16"',
    ],
)
async def test_a_body_of_another_content_type_gets_415(
    service: Service, content_type: str | None
) -> None:
    response = await service.post_bytes(orjson.dumps(HELLO), content_type)

    assert response.status_code == 415
    assert code(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf8"',
    ],
)
async def test_json_in_utf_8_is_read_however_it_is_spelled(
    service: Service, content_type: str
) -> None:
    body = '{"query": "{ hello(name: \\"太郎\\") }"}'.encode()

    response = await service.post_bytes(body, content_type)

    assert response.json()["data"] == {"hello": "hello 太郎"}


# --- bodies ---------------------------------------------------------------------------------

FIVE_THOUSAND = b"1" * 5_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        b"null",
        b"1",
        b'"x"',
        b"[]",
        b'[{"query": "{ hello }"}]',
        b"true",
        b"{",
        b"{}",
        b'{"query": ',
        pytest.param(b"[" * 50_000, id="open arrays"),
        pytest.param(b"[" * 40_000 + b"]" * 40_000, id="deep arrays"),
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, id="deep objects"),
        pytest.param(b'{"query": "\xff\xfe"}', id="bad UTF-8"),
        pytest.param('{"query": "{ hello }"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(FIVE_THOUSAND, id="5,000 digits"),
        pytest.param(
            b'{"query": "{ hello }", "variables": {"n": ' + FIVE_THOUSAND + b"}}",
            id="variable of 5,000 digits",
        ),
        pytest.param(b'{"query": "{ hello }\x00"}', id="null byte in a string"),
        pytest.param(b"\x00" * 10, id="null bytes"),
        b'{"query": "{ hello }\\u0000"}',
        b'{"query": "{ hello }", "variables": {"x": NaN}}',
        b'{"query": "{ hello(name: \\"\\ud800\\") }"}',
        b'{"query": null}',
        b'{"query": 1}',
        b'{"query": ["{ hello }"]}',
        b'{"query": ""}',
        b'{"query": "{ hello }", "operationName": 1}',
        b'{"query": "{ hello }", "operationName": ["a"]}',
        b'{"query": "{ hello }", "variables": "{}"}',
        b'{"query": "{ hello }", "variables": [1]}',
        b'{"query": "{ hello }", "variables": 0}',
        b'{"query": "{ hello }", "extensions": "x"}',
        b'{"query": "{ hello }", "extensions": []}',
    ],
)
@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_a_body_that_is_no_request_gets_400(
    service: Service, body: bytes, accept: str
) -> None:
    response = await service.post_bytes(body, accept=accept)

    assert response.status_code == 400
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert code(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize("part", ["query", "operationName", "variables", "extensions"])
async def test_a_parameter_of_the_wrong_type_is_named(service: Service, part: str) -> None:
    error = only_error(await service.post(HELLO | {part: 7}))

    assert error["message"].startswith(f"{part}: ")


async def test_nulls_stand_for_what_is_left_out(service: Service) -> None:
    nothing = {"operationName": None, "variables": None, "extensions": None}

    response = await service.post(HELLO | nothing)

    assert response.json()["data"] == {"hello": "hello you"}


async def test_a_body_over_the_limit_gets_413(service: Service) -> None:
    def padded(size: int) -> bytes:
        body = orjson.dumps(HELLO)
        return body + b" " * (size - len(body))

    within = await service.post_bytes(padded(LARGEST_BODY))
    over = await service.post_bytes(padded(LARGEST_BODY + 1))

    assert within.status_code == 200
    assert over.status_code == 413
    assert code(over) == "BAD_USER_INPUT"
    assert str(LARGEST_BODY) in only_error(over)["message"]


async def test_a_body_is_not_read_beyond_the_limit(service: Service) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b" " * 10_000

    response = await service.send("POST", content=endless(), headers={"content-type": JSON})

    assert response.status_code == 413
    assert sent <= LARGEST_BODY + 20_000


async def test_a_client_that_goes_away_while_it_sends_is_no_defect(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"query": ', "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await service.app()(scope, receive, send)

    assert statuses == [400]
    assert caplog.records == []


# --- GET ------------------------------------------------------------------------------------


async def test_a_query_can_be_asked_by_get(service: Service) -> None:
    response = await service.get(
        query="query A($name: String!) { hello(name: $name) } query B { hello }",
        variables='{"name": "太郎"}',
        operationName="A",
        extensions="{}",
    )

    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello 太郎"}


async def test_get_takes_an_empty_name_and_null_variables_as_nothing(service: Service) -> None:
    response = await service.get(query="{ hello }", variables="null", operationName="")

    assert response.json()["data"] == {"hello": "hello you"}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": ""},
        {"query": "{ hello }", "variables": "{"},
        {"query": "{ hello }", "variables": "[]"},
        {"query": "{ hello }", "variables": "1"},
        {"query": "{ hello }", "extensions": "x"},
    ],
)
async def test_a_get_that_is_no_request_gets_400(
    service: Service, parameters: dict[str, str]
) -> None:
    response = await service.get(**parameters)

    assert response.status_code == 400
    assert code(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_mutation_by_another_method_than_post_gets_405_and_does_not_run(
    service: Service, method: str
) -> None:
    response = await service.send(method, params={"query": "mutation { add }"})

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert service.store.count == 0
    assert (await service.post({"query": "mutation { add }"})).json()["data"] == {"add": 1}


async def test_a_get_may_choose_the_query_beside_a_mutation(service: Service) -> None:
    response = await service.get(query="query A { hello } mutation B { add }", operationName="A")

    assert response.json()["data"] == {"hello": "hello you"}


async def test_other_methods_get_405(service: Service) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        response = await service.send(method, json=HELLO)
        assert response.status_code == 405
        assert {"GET", "POST"} <= set(response.headers["allow"].split(", "))


async def test_a_subscription_is_refused_over_http(service: Service) -> None:
    response = await service.post({"query": "subscription { ticks }"})

    assert response.status_code == 400
    assert code(response) == "BAD_USER_INPUT"
