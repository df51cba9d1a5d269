"""What every answer says beside its content."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from schema.headers import JSON, Answer, Hardened, request_id_of, stamp, tell_defect, tell_status

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


async def page(request: Request) -> Response:
    if "fail" in request.query_params:
        raise RuntimeError("the password is swordfish")
    headers = {"Content-Security-Policy": "script-src 'self'", "X-Request-Id": "own"}
    return PlainTextResponse("a page", headers=headers if "own" in request.query_params else {})


def app() -> Hardened:
    handlers: Any = {HTTPException: tell_status, Exception: tell_defect}
    pages = Starlette(routes=[Route("/page", page)], exception_handlers=handlers)
    return Hardened(pages, lambda: "made-here")


async def send(method: str, path: str, scheme: str = "http", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://test") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/page", 200),
        ("HEAD", "/page", 200),
        ("GET", "/page?own", 200),
        ("DELETE", "/page", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/page/", 307),
        ("GET", "/page?fail", 500),
    ],
)
async def test_whatever_is_answered_is_hardened(method: str, path: str, status: int) -> None:
    response = await send(method, path)

    assert response.status_code == status
    assert EVERYWHERE.items() <= dict(response.headers).items()
    assert response.headers["content-security-policy"]
    assert len(response.headers.get_list("content-security-policy")) == 1
    assert len(response.headers.get_list("x-request-id")) == 1
    assert "strict-transport-security" not in response.headers


async def test_what_an_answer_says_itself_stays() -> None:
    headers = (await send("GET", "/page?own")).headers

    assert headers["content-security-policy"] == "script-src 'self'"
    assert headers["x-request-id"] == "own"


async def test_browsers_are_told_to_stay_with_https_over_https() -> None:
    headers = (await send("GET", "/page", "https")).headers

    assert headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PUT", "/page")])
async def test_what_is_not_there_is_told_with_a_code(method: str, path: str) -> None:
    response = await send(method, path)

    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert ("allow" in response.headers) is (response.status_code == 405)


async def test_a_defect_is_told_with_the_request_s_id_alone() -> None:
    response = await send("GET", "/page?fail", **{"x-request-id": "abc-1"})

    assert "swordfish" not in response.text
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "abc-1"}


@pytest.mark.parametrize("path", ["/page", "/nowhere"])
async def test_a_request_keeps_its_id(path: str) -> None:
    assert (await send("GET", path, **{"x-request-id": "a-1"})).headers["x-request-id"] == "a-1"
    assert (await send("GET", path)).headers["x-request-id"] == "made-here"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("abc-1_2.3", "abc-1_2.3"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "made"),
        ("", "made"),
        (None, "made"),
        ("a b", "made"),
        ("a\r\nx: y", "made"),
        ("\u0661", "made"),
    ],
)
def test_an_id_is_short_and_plain_or_made(given: str | None, expected: str) -> None:
    assert request_id_of(given, lambda: "made") == expected


def test_an_answer_is_of_its_size_and_not_to_be_stored() -> None:
    answer = Answer("{名}".encode(), 429, JSON, {"retry-after": "3"})
    stamp(answer, {"scheme": "https"}, "abc")

    headers = dict(answer.headers)
    assert EVERYWHERE.items() <= headers.items()
    assert headers["content-length"] == "5"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["retry-after"] == "3"
    assert headers["x-request-id"] == "abc"
    assert headers["strict-transport-security"]
    assert set(headers["vary"].split(", ")) == {"Accept", "Authorization", "X-Tenant"}
