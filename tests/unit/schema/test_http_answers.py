"""How each answer over HTTP looks: refused, failed in part, or by a caller who is refused."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest

from datasources.errors import ServiceUnavailable
from resolvers.errors import TenantRefused, TokenRefused
from schema.build import build_schema
from schema.headers import JSON
from schema.http import GRAPHQL
from tests.support.endpoint import HELLO, Service, code, only_error


@pytest.fixture
def service() -> Service:
    return Service()


# --- operations that cannot run -------------------------------------------------------------

CANNOT_RUN: list[tuple[dict[str, Any], str]] = [
    ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    ({"query": "{}"}, "GRAPHQL_PARSE_FAILED"),
    ({"query": "# nothing"}, "GRAPHQL_PARSE_FAILED"),
    ({"query": "{ goodbye }"}, "GRAPHQL_VALIDATION_FAILED"),
    ({"query": "{ hello(times: 11111111111) }"}, "GRAPHQL_VALIDATION_FAILED"),
    ({"query": f"{{ hello(times: {'1' * 5_000}) }}"}, "GRAPHQL_VALIDATION_FAILED"),
    ({"query": "query A { hello } query B { hello }"}, "BAD_USER_INPUT"),
    ({"query": "query A { hello }", "operationName": "B"}, "BAD_USER_INPUT"),
    ({"query": "query ($n: Int!) { hello(times: $n) }"}, "BAD_USER_INPUT"),
    (
        {"query": "query ($n: Int) { hello(times: $n) }", "variables": {"n": "x"}},
        "BAD_USER_INPUT",
    ),
    (
        {"query": "query ($n: Int) { hello(times: $n) }", "variables": {"n": 2**31}},
        "BAD_USER_INPUT",
    ),
    (
        {
            "query": "query ($no: Boolean = true) { hello @skip(if: $no) }",
            "variables": {"no": None},
        },
        "BAD_USER_INPUT",
    ),
    ({"query": "{" + "a" * 15_000 + "}"}, "QUERY_TOO_COMPLEX"),
    ({"query": "{" + " hello" * 1_000 + "}"}, "QUERY_TOO_COMPLEX"),
    ({"query": "{ a" * 300 + "}" * 300}, "QUERY_TOO_COMPLEX"),
]


@pytest.mark.parametrize(("body", "expected"), CANNOT_RUN, ids=lambda part: str(part)[:60])
async def test_what_cannot_run_has_a_code_and_no_data(
    service: Service, body: dict[str, Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = await service.post(body, accept=JSON)
    new = await service.post(body, accept=GRAPHQL)

    assert (old.status_code, new.status_code) == (200, 400)
    assert (code(old), code(new)) == (expected, expected)
    assert caplog.records == []


@pytest.mark.parametrize(
    "query",
    [
        "{ helo }",
        "{ hello(nam: 1) }",
        "query ($x: Strin) { hello(name: $x) }",
        "{ ...F } fragment F on Qery { hello }",
    ],
)
async def test_nothing_of_the_schema_is_suggested_while_introspection_is_off(
    service: Service, query: str
) -> None:
    open_answer = (await service.post({"query": query})).json()
    service.introspection = False
    closed_answer = (await service.post({"query": query})).json()

    assert "Did you mean" in open_answer["errors"][0]["message"]
    assert "Did you mean" not in str(closed_answer)


@pytest.mark.parametrize(
    "query",
    ["{ __schema { queryType { name } } }", '{ __type(name: "Query") { name } }'],
)
async def test_introspection_can_be_off(service: Service, query: str) -> None:
    assert (await service.post({"query": query})).json()["data"]
    service.introspection = False

    assert code(await service.post({"query": query})) == "INTROSPECTION_DISABLED"
    typename = await service.post({"query": "{ __typename }"})
    assert typename.json()["data"] == {"__typename": "Query"}


# --- answers that ran -----------------------------------------------------------------------


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_a_field_that_failed_leaves_status_and_cost_as_they_are(
    service: Service, accept: str
) -> None:
    response = await service.post({"query": "{ hello busy }"}, accept=accept)

    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["errors", "data", "extensions"]
    assert body["data"] == {"hello": "hello you", "busy": None}
    (error,) = body["errors"]
    assert error["path"] == ["busy"]
    assert error["message"] == "The store did not answer."
    assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryable": True}
    assert body["extensions"]["cost"] == {
        "requested": 0,
        "actual": {"requests": 0, "readUnits": 0, "writeUnits": 0},
    }


async def test_a_defect_says_nothing_but_a_request_id_that_is_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    response = await service.post({"query": "{ hello broken }"}, x_request_id="abc-1")

    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello you", "broken": None}
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "abc-1"}
    assert "swordfish" not in response.text
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "abc-1" in record.getMessage()
    assert "swordfish" in str(record.exc_info)


async def test_a_defect_of_the_service_itself_is_told_likewise(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.refusal = RuntimeError("the password is swordfish")

    response = await service.post(HELLO)

    assert response.status_code == 500
    assert only_error(response)["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": "made-here",
    }
    assert "swordfish" not in response.text
    assert ["made-here" in record.getMessage() for record in caplog.records] == [True]


async def test_a_null_for_an_argument_with_a_default_is_the_callers_mistake(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    query = "query ($n: Int) { hello(times: $n) }"

    body = (await service.post({"query": query, "variables": {"n": None}})).json()

    assert body["data"] is None
    (error,) = body["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "times" in error["message"]
    assert caplog.records == []


@pytest.mark.parametrize(("depth", "requested"), [(1, 10_100), (2, 1_020_100)])
async def test_a_cost_over_the_limit_tells_what_was_requested_alone(
    depth: int, requested: int
) -> None:
    service = Service(schema=build_schema())
    reviews = "reviews(first: 100) { nodes { author { " * depth + "id" + " } } }" * depth
    query = f"{{ users(first: 100) {{ nodes {{ {reviews} }} }} }}".replace("author { id }", "id")

    response = await service.post({"query": query}, accept=GRAPHQL)

    assert response.status_code == 400
    assert code(response) == "QUERY_TOO_COMPLEX"
    assert response.json()["extensions"] == {"cost": {"requested": requested}}


# --- who is calling -------------------------------------------------------------------------


async def test_the_callers_headers_are_handed_on(service: Service) -> None:
    await service.post(HELLO)
    await service.post(HELLO, authorization="Bearer x", x_tenant="north")

    assert service.authenticated == [(None, None), ("Bearer x", "north")]


async def test_a_refused_token_gets_401_with_a_challenge(service: Service) -> None:
    service.refusal = TokenRefused("The token has expired.")

    response = await service.post(HELLO, authorization="Bearer x")

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert only_error(response)["message"] == "The token has expired."
    assert code(response) == "UNAUTHENTICATED"


async def test_a_refused_tenant_gets_400(service: Service) -> None:
    service.refusal = TenantRefused("The tenant named is not served here.")

    response = await service.post(HELLO, x_tenant="elsewhere")

    assert response.status_code == 400
    assert code(response) == "BAD_USER_INPUT"


async def test_while_the_provider_of_keys_is_down_tokens_get_503(service: Service) -> None:
    service.refusal = ServiceUnavailable("The provider of signing keys does not answer.")

    response = await service.post(HELLO, authorization="Bearer x")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert only_error(response)["extensions"] == {
        "code": "SERVICE_UNAVAILABLE",
        "retryable": True,
    }


# --- request IDs ----------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a", "3f2504e0-4f89.41d3_9a0c", "x" * 64])
async def test_a_request_id_comes_back(service: Service, given: str) -> None:
    assert (await service.post(HELLO, x_request_id=given)).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", ["", "x" * 65, "a b", "a\tb", "é", "<script>", "a%0d%0ab", "a;b", "${jndi:x}"]
)
async def test_a_hostile_request_id_is_replaced(service: Service, given: str) -> None:
    sent = [(b"x-request-id", given.encode()), (b"content-type", JSON.encode())]

    response = await service.send("POST", content=orjson.dumps(HELLO), headers=sent)

    assert response.headers["x-request-id"] == "made-here"


Ask = Callable[[Service], Awaitable[httpx.Response]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda service: service.post(HELLO),
        lambda service: service.post({"query": "{"}),
        lambda service: service.post_bytes(b"x"),
        lambda service: service.post(HELLO, accept="text/html"),
        lambda service: service.get(query="mutation { add }"),
    ],
)
async def test_every_answer_has_a_request_id(service: Service, ask: Ask) -> None:
    assert (await ask(service)).headers["x-request-id"] == "made-here"
