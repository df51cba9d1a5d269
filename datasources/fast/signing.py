"""Signature Version 4 for a POST to the root of an endpoint, with the signing key kept.

"Create a signed AWS API request" in the IAM User Guide; the signature is botocore's for the same
headers, body and time.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

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
    _key: bytes = field(default=b"", init=False, repr=False)
    _key_for: tuple[str | None, str] = field(default=("", ""), init=False, repr=False)

    def sign(
        self, headers: Mapping[str, str], host: str, body: bytes, credentials: ReadOnlyCredentials
    ) -> dict[str, str]:
        """The headers with which the request is sent: those given, a time and a signature."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.clock()))
        signed = {**headers, "X-Amz-Date": moment}
        if credentials.token:
            signed["X-Amz-Security-Token"] = credentials.token
        lines = {"host": host} | {name.lower(): value for name, value in signed.items()}
        names = sorted(lines.keys() - _UNSIGNED)
        listed = ";".join(names)
        canonical = "\n".join(
            (
                "POST\n/\n",
                *(f"{name}:{' '.join(lines[name].split())}" for name in names),
                "",
                listed,
                sha256(body).hexdigest(),
            )
        )
        day = moment[:8]
        scope = f"{day}/{self.region}/{self.service}/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = _hmac(self._signing_key(credentials.secret_key, day), text).hex()
        signed["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _signing_key(self, secret: str | None, day: str) -> bytes:
        if self._key_for != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self.region, self.service, "aws4_request"):
                key = _hmac(key, part)
            self._key, self._key_for = key, (secret, day)
        return self._key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
