"""Documents that requests name: trusted ones, and those that clients have sent before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from datasources.errors import ConfigurationError
from schema.operations.documents import Documents, load_trusted, sha256
from schema.operations.operation import Refused
from schema.operations.shelves import MemoryShelf

TEXT = "{ viewer { id } }"
TRUSTED = {"abc": TEXT, sha256("{ changeCursor }"): "{ changeCursor }"}


@dataclass
class Asked:
    query: str | None = None
    document_id: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)


def apollo(name: str, query: str | None = None) -> Asked:
    return Asked(query, extensions={"persistedQuery": {"version": 1, "sha256Hash": name}})


async def refused(documents: Documents, asked: Asked) -> tuple[str, str]:
    """Code and message."""
    with pytest.raises(Refused) as caught:
        await documents.find(asked)
    (error,) = caught.value.errors
    assert error.extensions
    return error.extensions["code"], error.message


@pytest.fixture(params=["open", "only", "no shelf"])
def documents(request: pytest.FixtureRequest) -> Documents:
    shelf = None if request.param == "no shelf" else MemoryShelf()
    return Documents(TRUSTED, shelf, only=request.param == "only")


@pytest.fixture
def automatic() -> Documents:
    return Documents({}, MemoryShelf())


@pytest.fixture
def only() -> Documents:
    return Documents(TRUSTED, MemoryShelf(), only=True)


NOT_FOUND = ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
NOT_SUPPORTED = ("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")


# --- trusted documents ----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "sha256:", "sha1:"])
async def test_a_trusted_document_is_named_in_document_id(
    documents: Documents, prefix: str
) -> None:
    assert await documents.find(Asked(document_id=f"{prefix}abc")) == TEXT


@pytest.mark.parametrize("prefix", ["", "sha256:", "sha1:"])  # graphql-codegen has them
async def test_a_trusted_document_is_named_as_apollo_does(
    documents: Documents, prefix: str
) -> None:
    assert await documents.find(apollo(f"{prefix}abc")) == TEXT


async def test_a_trusted_document_runs_as_it_is_whatever_text_comes_with_its_name(
    documents: Documents,
) -> None:
    assert await documents.find(Asked("{ other }", document_id="abc")) == TEXT
    assert await documents.find(apollo("abc", "{ other }")) == TEXT


async def test_an_unknown_name_is_not_found(documents: Documents) -> None:
    for name in ("abd", "x-abc", "x-app:abc", sha256("{ other }"), "sha256:" + "é" * 64):
        assert await refused(documents, Asked(document_id=name)) == NOT_FOUND


async def test_with_trusted_documents_only_nothing_else_runs(only: Documents) -> None:
    other = "{ other }"

    assert (await refused(only, Asked(other)))[0] == "BAD_USER_INPUT"
    assert (await refused(only, Asked(TEXT)))[0] == "BAD_USER_INPUT"
    assert (await refused(only, Asked("")))[0] == "BAD_USER_INPUT"
    # Not that they are not supported: Apollo's client would name none from then on.
    for _ in range(2):
        assert await refused(only, apollo(sha256(other), other)) == NOT_FOUND
        assert await refused(only, apollo(sha256(other))) == NOT_FOUND


async def test_without_only_any_text_runs(automatic: Documents) -> None:
    assert await automatic.find(Asked(TEXT)) == TEXT
    assert await automatic.find(Asked(TEXT, extensions={"other": 1})) == TEXT


# --- automatic persisted queries ------------------------------------------------------------


async def test_a_document_that_was_sent_once_is_found_by_its_hash(automatic: Documents) -> None:
    name = sha256(TEXT)

    assert await refused(automatic, apollo(name)) == NOT_FOUND
    assert await automatic.find(apollo(name, TEXT)) == TEXT
    assert await automatic.find(apollo(name)) == TEXT
    assert await automatic.find(Asked(document_id=f"sha256:{name}")) == TEXT


async def test_a_document_is_kept_under_no_hash_but_its_own(automatic: Documents) -> None:
    for name in (sha256("{ other }"), sha256(TEXT).upper(), "abc", ""):
        code, message = await refused(automatic, apollo(name, TEXT))

        assert code == "BAD_USER_INPUT"
        assert "sha256Hash" in message
    assert await refused(automatic, apollo(sha256("{ other }"))) == NOT_FOUND


async def test_a_document_that_no_request_may_have_is_not_kept() -> None:
    documents = Documents({}, MemoryShelf(), longest=len(TEXT))

    for text in (TEXT, TEXT + " "):
        assert await documents.find(apollo(sha256(text), text)) == text

    assert await documents.find(apollo(sha256(TEXT))) == TEXT
    assert await refused(documents, apollo(sha256(TEXT + " "))) == NOT_FOUND


async def test_clients_are_told_where_there_are_no_automatic_persisted_queries() -> None:
    documents = Documents({}, None)

    assert await refused(documents, apollo(sha256(TEXT))) == NOT_SUPPORTED
    assert await refused(documents, apollo(sha256(TEXT), TEXT)) == NOT_SUPPORTED


@pytest.mark.parametrize(
    "given",
    [
        None,
        "x",
        [],
        {},
        {"sha256Hash": "abc"},
        {"version": 2, "sha256Hash": "abc"},
        {"version": "1", "sha256Hash": "abc"},
        {"version": 1, "sha256Hash": 1},
        {"version": 1, "sha256Hash": None},
    ],
)
async def test_what_is_not_of_the_protocol_is_refused(documents: Documents, given: object) -> None:
    asked = Asked(TEXT, extensions={"persistedQuery": given})

    code, message = await refused(documents, asked)

    assert code == "BAD_USER_INPUT"
    assert "persistedQuery" in message


async def test_memory_keeps_so_many_documents_and_bytes() -> None:
    few, small = MemoryShelf(most=2), MemoryShelf(most_bytes=10)
    for name in "abc":
        await few.put(name, name)
        await small.put(name, "あ" * 2)  # three bytes each

    assert [await few.get(name) for name in "abc"] == [None, "b", "c"]
    assert [await small.get(name) for name in "abc"] == [None, None, "ああ"]


# --- the file -------------------------------------------------------------------------------


def test_a_file_is_read_as_graphql_codegen_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "persisted-documents.json"
    path.write_text(json.dumps({"abc": TEXT, "sha256:def": "{ a }", "x-app:1": "{ b }"}))

    assert load_trusted(path) == {"abc": TEXT, "def": "{ a }", "x-app:1": "{ b }"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[]", "an object"),
        (b"{}", "an object"),
        (b'"x"', "an object"),
        (b'{"abc": 1}', "'abc'"),
        (b'{"abc": " "}', "'abc'"),
        (b'{"abc": {"body": "{ a }"}}', "'abc'"),
        (b'{"sha1:abc": "{ a }", "abc": "{ b }"}', "two documents"),
    ],
)
def test_a_file_that_is_none_is_a_wrong_setting(tmp_path: Path, text: bytes, why: str) -> None:
    path = tmp_path / "documents.json"
    path.write_bytes(text)

    with pytest.raises(ConfigurationError) as caught:
        load_trusted(path)

    message = caught.value.message
    assert message.startswith(f"CARTOGRAPH_TRUSTED_DOCUMENTS: {path}: ")
    assert why in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_trusted(path)
