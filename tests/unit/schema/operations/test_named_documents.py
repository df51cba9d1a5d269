"""Documents that requests name, over HTTP, in event streams and over a websocket."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from schema.http import GRAPHQL
from schema.operations.documents import Documents, sha256
from schema.operations.shelves import MemoryShelf
from tests.support.endpoint import HELLO, Service, code, only_error
from tests.support.sockets import Closed, World, connected

TEXT = "query Hello($name: String) { hello(name: $name) }"
TRUSTED = {"abc": TEXT, "adding": "mutation { add }"}


@pytest.fixture
def service() -> Service:
    return Service(documents=Documents(TRUSTED, MemoryShelf()))


def persisted(text: str) -> dict[str, object]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}


async def test_a_trusted_document_runs_by_its_name(service: Service) -> None:
    named = {"documentId": "sha256:abc", "operationName": "Hello", "variables": {"name": "Ada"}}

    posted = await service.post(named)
    got = await service.get(documentId="abc", variables='{"name":"Ada"}')

    assert posted.json()["data"] == got.json()["data"] == {"hello": "hello Ada"}


async def test_a_document_is_sent_once_and_then_named(service: Service) -> None:
    first = await service.post({"extensions": persisted(TEXT)})
    second = await service.post({"query": TEXT, "extensions": persisted(TEXT)})
    third = await service.post({"extensions": persisted(TEXT)})
    got = await service.get(extensions=json.dumps(persisted(TEXT)))

    assert first.status_code == 200
    error = only_error(first)
    assert error["message"] == "PersistedQueryNotFound"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    for answer in (second, third, got):
        assert answer.json()["data"] == {"hello": "hello you"}


async def test_a_document_that_is_not_found_did_not_run(service: Service) -> None:
    for body in ({"documentId": "abd"}, {"extensions": persisted("{ other }")}):
        response = await service.post(body, accept=GRAPHQL)

        assert response.status_code == 400
        assert code(response) == "PERSISTED_QUERY_NOT_FOUND"


async def test_what_others_have_put_on_the_shelf_does_not_run_with_trusted_documents_only() -> None:
    shelf = MemoryShelf()
    await shelf.put(sha256(TEXT), TEXT)
    service = Service(documents=Documents({"abc": "{ hello }"}, shelf, only=True))
    for named in ({"documentId": sha256(TEXT)}, {"extensions": persisted(TEXT)}):
        error = only_error(await service.post(named))
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


async def test_with_trusted_documents_only_nothing_else_runs() -> None:
    service = Service(documents=Documents(TRUSTED, MemoryShelf(), only=True))

    assert (await service.post({"documentId": "abc"})).json()["data"]
    for body in (HELLO, {"query": TEXT}, HELLO | {"extensions": persisted(HELLO["query"])}):
        response = await service.post(body, accept=GRAPHQL)
        assert response.status_code == 400
        only_error(response)


async def test_a_mutation_by_name_is_not_for_get(service: Service) -> None:
    assert (await service.get(documentId="adding")).status_code == 405
    assert (await service.post({"documentId": "adding"})).json()["data"] == {"add": 1}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": None},
        {"query": ""},
        {"documentId": ""},
        {"documentId": None},
        {"documentId": 1},
        {"query": 1, "documentId": "abc"},
        {"extensions": {}},
        {"extensions": [persisted(TEXT)]},
    ],
)
async def test_a_request_without_a_document_or_its_name_is_a_bad_one(
    service: Service, body: dict[str, object]
) -> None:
    response = await service.post(body)

    assert response.status_code == 400
    assert code(response) == "BAD_USER_INPUT"


# --- over a websocket -----------------------------------------------------------------------


async def test_a_named_document_runs_over_a_websocket() -> None:
    documents = Documents({"hello": "{ hello }"}, MemoryShelf())
    endpoint = replace(World().sockets(), documents=documents)
    unknown = {"extensions": persisted(TEXT)}

    async with connected(endpoint) as peer:
        peer.say({"type": "subscribe", "id": "1", "payload": {"documentId": "sha1:hello"}})
        answered, completed = await peer.hear(), await peer.hear()
        peer.say({"type": "subscribe", "id": "2", "payload": unknown})
        refused = await peer.hear()

    assert not isinstance(answered, Closed)
    assert answered["payload"]["data"] == {"hello": "hello you"}
    assert completed == {"id": "1", "type": "complete"}
    assert not isinstance(refused, Closed)
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"] == {"code": "PERSISTED_QUERY_NOT_FOUND"}


@pytest.mark.parametrize("payload", [{}, {"documentId": 1}, {"extensions": {"persisted": 1}}])
async def test_a_message_without_a_document_or_its_name_closes_the_socket(
    payload: dict[str, object],
) -> None:
    async with connected(World().sockets()) as peer:
        peer.say({"type": "subscribe", "id": "1", "payload": payload})

        closed = await peer.hear()

    assert isinstance(closed, Closed)
    assert closed.code == 4400
