"""Opaque cursors: a position in a list, encrypted and bound to that list.

AES-SIV (RFC 5297) and not a random nonce: cursors are made by the hundred a page, which would
exhaust the 2^32 messages that one key may have under random 96-bit nonces; and the same row
gets the same cursor each time, which client caches like.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_LONGEST = 4_096


class CursorCodec:
    """Seals with the first secret, opens with any, so that secrets can be rotated."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("at least one secret")
        self._ciphers = [AESSIV(_derive(secret)) for secret in secrets]

    def seal(self, position: str, binding: Sequence[str]) -> str:
        """A cursor for `position` that opens under the same binding alone."""
        sealed = self._ciphers[0].encrypt(position.encode(), _associated(binding))
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, cursor: str, binding: Sequence[str]) -> str | None:
        """The position; None for anything that `seal` did not make under this binding."""
        sealed = _decode(cursor)
        if sealed is None:
            return None
        associated = _associated(binding)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed, associated).decode()
            except (InvalidTag, ValueError):
                continue
        return None


def _derive(secret: str) -> bytes:
    return hashlib.blake2b(secret.encode(), digest_size=32, person=b"cart-cursor").digest()


def _associated(binding: Sequence[str]) -> list[bytes]:
    # AES-SIV authenticates a vector of strings, so no separator can be forged.
    return [part.encode() for part in binding]


def _decode(cursor: str) -> bytes | None:
    """The bytes of a cursor; None where another spelling of the same bytes is given."""
    if not 0 < len(cursor) <= _LONGEST or not cursor.isascii():
        return None
    try:
        sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        return None
    return sealed if urlsafe_b64encode(sealed).rstrip(b"=").decode() == cursor else None
