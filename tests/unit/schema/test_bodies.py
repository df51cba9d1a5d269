"""What a request says is said once."""

from __future__ import annotations

import pytest

from schema.bodies import NotReadable, once, read_json


@pytest.mark.parametrize(
    "text",
    [
        b'{"query": "{ a }", "query": "{ b }"}',
        b'{"query": "{ a }", "\\u0071uery": "{ b }"}',
        b'{"query": "{ a }", "variables": {}, "variables": {"a": 1}}',
        b'{"query": "{ a }", "operationName": "A", "operationName": "A"}',
        b'{"query": "{ a }", "extensions": {}, "extensions": {}}',
        b'{"documentId": "a", "documentId": "b"}',
    ],
)
def test_a_name_that_is_given_twice_is_refused(text: bytes) -> None:
    with pytest.raises(NotReadable, match="once"):
        read_json(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"query": "a", "variables": {"query": 1}}', {"query": "a", "variables": {"query": 1}}),
        (b'{"query": "{ a(b: \\"\\u540d\\") }"}', {"query": '{ a(b: "名") }'}),
        (b'{"query": "\\"query\\""}', {"query": '"query"'}),
        (b'[{"query": 1}, {"query": 1e3}]', [{"query": 1}, {"query": 1000.0}]),
    ],
)  # fmt: skip
def test_what_is_said_once_is_read(text: bytes, expected: object) -> None:
    assert read_json(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"NaN",
        b'"\\ud800"',
        b'"\x00"',
        b"[" * 100_000,
        b"[" * 90_000 + b"]" * 90_000,
        b"[" * 1_000 + b'"\\u0041"' + b"]" * 1_000,
        b"1" * 5_000,
    ],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotReadable):
        read_json(text)


def test_the_parameters_of_a_url_are_given_once() -> None:
    assert once([("query", "a"), ("variables", "{}")]) == {"query": "a", "variables": "{}"}
    with pytest.raises(NotReadable, match="once"):
        once([("query", "a"), ("query", "a")])
