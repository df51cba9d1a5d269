"""Where a URL leads, and what a request looks like on its way."""

from __future__ import annotations

import pytest

from datasources.fast.connections import Address, address, post


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000", Address("localhost", 8000, "/", "localhost:8000")),
        ("http://[::1]:8000/", Address("::1", 8000, "/", "[::1]:8000")),
        (
            "https://aws.example:443",
            Address("aws.example", 443, "/", "aws.example"),
        ),
        ("http://store:443/a", Address("store", 443, "/a", "store:443")),
    ],
)
def test_a_url_says_where_to_connect_and_what_the_host_is_called(
    url: str, expected: Address
) -> None:
    assert address(url) == expected


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://store/", "http:///table"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="names no HTTP server"):
        address(url)


def test_a_request_has_its_length_and_its_headers_and_then_its_body() -> None:
    sent = post(address("http://store:8000/"), {"X-Amz-Target": "A.B"}, "é".encode())
    assert sent == (
        b"POST / HTTP/1.1\r\nHost: store:8000\r\nX-Amz-Target: A.B\r\nContent-Length: 2\r\n\r\n"
        b"\xc3\xa9"
    )
