"""Whom limits are counted for: who has a token by the token, everybody else by address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from starlette.types import Scope

from resolvers.principal import Principal

# A tenant and a user ID, or "" and an address: no tenant has an empty name.
Caller = tuple[str, str]

_UNKNOWN: Caller = ("", "")
_LONGEST = 64  # characters of what a proxy has given for an address
_SUBSCRIBER = 64  # bits of an IPv6 address that one subscriber has, RFC 6177


def caller_of(principal: Principal, address: Caller) -> Caller:
    """The principal, or its address where it is anonymous."""
    user_id = principal.user_id
    return address if user_id is None else (principal.tenant, user_id)


def address_of(scope: Scope) -> Caller:
    """The address of a client, as the server has it: what a proxy says of it is the server's to
    believe. Those who come over a Unix socket have none, and are one."""
    client = scope.get("client")
    return _address(client[0]) if client else _UNKNOWN


@lru_cache(maxsize=4_096)
def _address(host: str) -> Caller:
    """Addresses of IPv6 are counted together where one subscriber has them all."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "", host[:_LONGEST]
    if not isinstance(address, IPv6Address):
        return "", str(address)
    if address.ipv4_mapped:
        return "", str(address.ipv4_mapped)
    subscriber = int(address) >> _SUBSCRIBER << _SUBSCRIBER
    return "", f"{IPv6Address(subscriber)}/{_SUBSCRIBER}"
