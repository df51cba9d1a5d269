"""Signature Version 4 for a POST to the root of an endpoint, with the signing key kept and all of
the canonical request that is the same from call to call.

"Create a signed AWS API request" in the IAM User Guide; the signature is botocore's for the same
headers, body and time.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

_ALGORITHM = "AWS4-HMAC-SHA256"
# What proxies may change on the way.
_UNSIGNED = frozenset({"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"})


@dataclass
class Signer:
    """Signs for one service in one region. `clock` gives seconds since the epoch.

    A signing key is good for a day and one secret, so the last one is kept with what it is for.
    """

    region: str
    service: str = "dynamodb"
    clock: Callable[[], float] = time.time
    _key: hmac.HMAC | None = field(default=None, init=False, repr=False)
    _key_for: tuple[str | None, str] = field(default=("", ""), init=False, repr=False)

    def sign(
        self, headers: Mapping[str, str], host: str, body: bytes, credentials: ReadOnlyCredentials
    ) -> dict[str, str]:
        """The headers with which the request is sent: those given, a time and a signature."""
        moment = _moment(int(self.clock()))
        frame = _frame(host, tuple(headers.items()), credentials.token)
        canonical = f"{frame.before}{moment}{frame.after}{sha256(body).hexdigest()}"
        day = moment[:8]
        scope = f"{day}/{self.region}/{self.service}/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = self._signing_key(credentials.secret_key, day)
        signature.update(text.encode())
        signed = {
            **headers,
            "X-Amz-Date": moment,
            "Authorization": (
                f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
                f"SignedHeaders={frame.names}, Signature={signature.hexdigest()}"
            ),
        }
        if credentials.token:
            signed["X-Amz-Security-Token"] = credentials.token
        return signed

    def _signing_key(self, secret: str | None, day: str) -> hmac.HMAC:
        """Ready to sign: to take in a key anew costs more than to copy what has."""
        if self._key is None or self._key_for != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self.region, self.service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key, self._key_for = hmac.new(key, digestmod="sha256"), (secret, day)
        return self._key.copy()


class _Frame(NamedTuple):
    """A canonical request but for its time and the hash of its body, and what is signed of it."""

    before: str
    after: str
    names: str


@lru_cache(maxsize=128)
def _frame(host: str, headers: tuple[tuple[str, str], ...], token: str | None) -> _Frame:
    """Of the calls of one operation it is always the same."""
    lines = {"host": host} | {name.lower(): " ".join(value.split()) for name, value in headers}
    if token:
        lines["x-amz-security-token"] = token
    lines["x-amz-date"] = ""
    names = sorted(lines.keys() - _UNSIGNED)
    date = names.index("x-amz-date")
    signed = [f"{name}:{lines[name]}" for name in names]
    listed = ";".join(names)
    before = "\n".join(("POST\n/\n", *signed[: date + 1]))
    after = "\n".join(("", *signed[date + 1 :], "", listed, ""))
    return _Frame(before, after, listed)


@lru_cache(maxsize=1)
def _moment(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
