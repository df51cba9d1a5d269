"""Requests that came in one piece, told without a parser where nothing about them is in doubt.

Past capacity most requests are refused, and the parser with its callbacks would take half of what
that costs. What is told here is what clients of GraphQL send: a POST whose body is as long as its
one Content-Length says, and ends with what came. Whatever else could say where it ends, or what is
to become of the connection, leaves it to the parser, wherever in the head it stands (RFC 9112,
section 6.3): so no two who look at it can find two requests in it, or one and a half.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# By the letter of RFC 9112: who is lenient with a bare LF, a folded line or a space before the
# colon may see another request there.
_HEAD = re.compile(
    rb"POST (/[\x21-\x7e]*) HTTP/1\.1\r\n"
    rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+"
)
_LENGTH = b"\r\ncontent-length: "
_ID = b"\r\nx-request-id:"
_KEPT = b"\r\nconnection: keep-alive\r\n"
_IN_DOUBT = (b"transfer-encoding", b"upgrade", b"expect", b"origin")
_LONGEST = 4_096  # bytes of a head
_DIGITS = re.compile(rb"[0-9]{1,9}")
_NONE = None, -1


class Whole(NamedTuple):
    """A request without its body; of its headers x-request-id alone, if it has that."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def whole_request(data: bytes) -> Whole | None:
    """The request that some bytes are; None where they are none, or one cannot be sure."""
    end = data.find(b"\r\n\r\n", 0, _LONGEST)
    found, length = _head(data[: max(0, end) + 2])
    return found if length == len(data) - end - 4 else None


@lru_cache(maxsize=256)
def _head(head: bytes) -> tuple[Whole | None, int]:
    """What a head says, and how many bytes its body has; -1 where one cannot be sure. Most of
    those that come are the same: what differs from client to client is in their bodies."""
    told = _HEAD.fullmatch(head)
    if told is None:
        return _NONE
    lines = head.lower()
    if any(word in lines for word in _IN_DOUBT):
        return _NONE
    if b"connection" in lines and (_KEPT not in lines or lines.count(b"connection") > 1):
        return _NONE
    at = lines.find(_LENGTH)
    digits = lines[at + len(_LENGTH) : lines.find(b"\r\n", at + 2)]
    if at < 0 or lines.count(b"content-length") > 1 or not _DIGITS.fullmatch(digits):
        return _NONE
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if (at := lines.find(_ID)) >= 0:
        value = head[at + len(_ID) : lines.find(b"\r\n", at + 2)]
        headers = ((b"x-request-id", value.strip()),)
    return Whole(b"POST", told[1], headers), int(digits)
