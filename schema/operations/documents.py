"""Documents that requests name instead of sending them.

Trusted documents come from a file that a client's build writes. Automatic persisted queries, as
Apollo's clients speak them, are named by their hash and sent whole once, when nobody knows them.
A name comes as `documentId` (GraphQL over HTTP, appendix A) or in `extensions.persistedQuery`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

from datasources.errors import ConfigurationError
from schema.errors import refusal
from schema.operations.operation import Refused

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# Names of what made a hash, which stand before it in some files and requests and not in others.
_ALGORITHMS = ("sha256:", "sha1:", "sha512:", "md5:")

# Apollo's clients go by these messages and codes: the first has them send the text too, the
# second never ask by hash again.
_NOT_FOUND = refusal("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
_NOT_SUPPORTED = refusal("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")
_UNNAMED = refusal("BAD_USER_INPUT", "Only trusted documents run here: name one in documentId.")
_MALFORMED = refusal(
    "BAD_USER_INPUT",
    "extensions.persistedQuery: should be an object with the version 1 and a sha256Hash.",
)
_OTHER_HASH = refusal(
    "BAD_USER_INPUT", "extensions.persistedQuery: the sha256Hash is not that of the document."
)


class Asked(Protocol):
    """What a request says of its document; a name or a text is there."""

    @property
    def query(self) -> str | None: ...

    @property
    def document_id(self) -> str | None: ...

    @property
    def extensions(self) -> Mapping[str, Any]: ...


class Shelf(Protocol):
    """Where documents are kept that clients have sent, by the SHA-256 of their UTF-8, in hex.
    It may forget any of them, and never fails."""

    async def get(self, name: str) -> str | None: ...

    async def put(self, name: str, text: str) -> None: ...


class Documents:
    """Finds what a request is to run. `trusted` has texts by their names, and with `only` nothing
    else runs. `shelf` keeps what clients send, of `longest` characters at most; without it they
    are told that there is no such thing here."""

    def __init__(
        self,
        trusted: Mapping[str, str],
        shelf: Shelf | None,
        *,
        only: bool = False,
        longest: int = 15_000,
    ) -> None:
        self._trusted = trusted
        self._shelf = None if only else shelf
        self._only = only
        self._longest = longest

    async def find(self, asked: Asked) -> str:
        """The text of a request's document. Raises Refused."""
        if asked.document_id:
            return await self._named(bare(asked.document_id))
        if "persistedQuery" in asked.extensions:
            return await self._persisted(_hash(asked.extensions["persistedQuery"]), asked.query)
        if self._only or asked.query is None:
            raise Refused(_UNNAMED)
        return asked.query

    async def _named(self, name: str) -> str:
        found = self._trusted.get(name)
        if found is None and self._shelf and _SHA256.fullmatch(name):
            found = await self._shelf.get(name)
        if found is None:
            raise Refused(_NOT_FOUND)
        return found

    async def _persisted(self, name: str, text: str | None) -> str:
        """As Apollo's protocol has it: a text beside the hash is to be kept."""
        if name in self._trusted:
            return self._trusted[name]
        if self._only:
            # A client that heard they are not supported would send texts from then on.
            raise Refused(_NOT_FOUND)
        if self._shelf is None:
            raise Refused(_NOT_SUPPORTED)
        if not text:
            return await self._named(name)
        if sha256(text) != name:
            raise Refused(_OTHER_HASH)
        if len(text) <= self._longest:
            await self._shelf.put(name, text)
        return text


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def bare(name: str) -> str:
    """The name of a document without that of the hash's algorithm."""
    for prefix in _ALGORITHMS:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _hash(given: object) -> str:
    match given:
        case {"version": 1, "sha256Hash": str(name)}:
            return bare(name)
    raise Refused(_MALFORMED)


def load_trusted(path: Path) -> dict[str, str]:
    """The documents of a file as graphql-codegen's client preset writes it: a JSON object of
    texts by their hashes. Raises ConfigurationError."""
    try:
        given = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror})") from None
    except orjson.JSONDecodeError:
        raise _bad(path, "should be JSON, in UTF-8") from None
    if not isinstance(given, dict) or not given:
        raise _bad(path, "should be an object of documents by their hashes")
    found: dict[str, str] = {}
    for name, text in given.items():
        if not isinstance(text, str) or not text.strip():
            raise _bad(path, f"what {name[:80]!r} stands for should be a document")
        if found.setdefault(bare(name), text) != text:
            raise _bad(path, f"{name[:80]!r} stands for two documents")
    return found


def _bad(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"CARTOGRAPH_TRUSTED_DOCUMENTS: {path}: {why}.")
