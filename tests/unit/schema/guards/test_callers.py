"""Whom limits are counted for."""

from __future__ import annotations

import pytest

from resolvers.principal import Principal
from schema.guards.callers import address_of, caller_of

ADDRESS = ("", "192.0.2.1")


def test_who_has_a_token_is_counted_by_tenant_and_user() -> None:
    principal = Principal("u1", "shop", is_staff=False, expires_at=None)

    assert caller_of(principal, ADDRESS) == ("shop", "u1")


def test_who_has_none_is_counted_by_address() -> None:
    assert caller_of(Principal.anonymous("shop"), ADDRESS) == ADDRESS


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
        ("x" * 1_000, "x" * 64),
    ],
)
def test_addresses_of_one_subscriber_are_one(host: str, expected: str) -> None:
    assert address_of({"client": (host, 1234)}) == ("", expected)


@pytest.mark.parametrize("scope", [{}, {"client": None}])
def test_a_client_without_an_address_is_one_caller(scope: dict[str, object]) -> None:
    assert address_of(scope) == ("", "")
