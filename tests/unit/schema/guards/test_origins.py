"""Which pages may open a websocket."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from schema.guards.origins import is_allowed

ALLOWED = ["https://shop.example"]


@pytest.mark.parametrize(
    "origin", ["https://shop.example", "https://api.example:8000", "http://API.example:8000", None]
)
def test_a_page_that_is_named_and_one_of_ours_may(origin: str | None) -> None:
    named = {} if origin is None else {"origin": origin}
    assert is_allowed(Headers({"host": "api.example:8000", **named}), ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        "http://shop.example",
        "https://shop.example.evil",
        "https://api.example",
        "https://example:8000",
        "https://i.example:8000",
        "https://api.example:8000.evil",
        "https://[",
        "null",
        "file://",
        "",
    ],
)
def test_no_other_may(origin: str) -> None:
    assert not is_allowed(Headers({"host": "api.example:8000", "origin": origin}), ALLOWED)


def test_a_page_of_no_host_is_not_ours_where_none_is_named() -> None:
    assert not is_allowed(Headers({"origin": "null"}), ALLOWED)
