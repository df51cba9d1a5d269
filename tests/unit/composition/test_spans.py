"""Spans: how they hang together, and that they hold what is listed alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.types import Message, Receive, Scope, Send

from composition.spans import ATTRIBUTES, Spans, listed
from datasources.calls import Call, Observers
from datasources.cursor import CursorCodec
from datasources.keys import Keys
from resolvers import global_ids
from resolvers.context import Shop
from resolvers.money import Currency
from resolvers.principal import Principal
from schema.build import build_schema
from schema.limits import Limits
from schema.operations.metrics import RequestMetrics
from schema.operations.watching import Watcher
from streams.journal import MemoryJournal
from tests.support import items
from tests.support.memory import MemoryClient
from tests.support.shop import rows_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUERY = "query Shop($id: ID!) { product(id: $id) { name category { name } } }"


class Traced:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.spans = Spans(provider)

    @property
    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (span,) = (each for each in self.finished if each.name == name)
        return span


@pytest.fixture
def traced() -> Traced:
    return Traced()


async def get(app: Any, *headers: tuple[bytes, bytes], path: str = "/graphql") -> list[Message]:
    sent: list[Message] = []
    scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def answering(status: int) -> Any:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def test_a_request_is_part_of_the_trace_that_its_client_tells_of(traced: Traced) -> None:
    header = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())
    await get(traced.spans.app(answering(200)), header)
    (span,) = traced.finished
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.path": "/graphql",
        "http.response.status_code": 200,
    }


async def test_a_trace_that_its_client_does_not_sample_is_not_kept(traced: Traced) -> None:
    header = (b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())
    await get(traced.spans.app(answering(200)), header)
    assert traced.finished == []


async def test_probes_are_not_traced(traced: Traced) -> None:
    assert len(await get(traced.spans.app(answering(200)), path="/healthz")) == 2
    assert traced.finished == []


async def test_a_failure_is_told_by_its_status_or_its_class_alone(traced: Traced) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("swordfish")

    await get(traced.spans.app(answering(503)))
    with pytest.raises(RuntimeError):
        await get(traced.spans.app(broken))

    refused, failed = traced.finished
    assert refused.status.status_code is failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "RuntimeError"
    assert "swordfish" not in failed.to_json()


async def test_a_request_leads_through_its_loaders_to_its_calls(traced: Traced) -> None:
    product, category = items.product(1, category="books"), items.category("books")
    memory = MemoryClient()
    keys = Keys("t", 4)
    memory.put(row for item in (product, category) for row in rows_of(keys, item))
    executor = traced.spans.executor(
        build_schema(), limits=Limits(), introspection=True, watcher=Watcher(RequestMetrics())
    )
    operation = executor.prepare(QUERY, None, {"id": global_ids.of(product)})
    shop = observed(memory, Observers(traced.spans))
    with traced.spans.span("POST /graphql"):
        context = shop.operation(Principal.anonymous("t"), "r-1", writes=False)
        answer = await executor.run(operation, context)

    assert answer.data == {"product": {"name": product.name, "category": {"name": category.name}}}
    request, query = traced.named("POST /graphql"), traced.named("query")
    batches = [each for each in traced.finished if each.name == "load items"]
    calls = [each for each in traced.finished if each.name == "BatchGetItem cartograph"]
    assert parents([query, *batches]) == ids([request, query, query])
    assert parents(calls) == ids(batches)
    assert dict(query.attributes or {}) == {
        "graphql.operation.name": "Shop",
        "graphql.operation.type": "query",
    }
    assert (calls[0].attributes or {})["cartograph.keys"] == 1
    told = "".join(each.to_json() for each in traced.finished)
    assert product.name not in told
    assert product.id not in told


async def test_calls_of_no_request_are_no_traces_of_their_own(traced: Traced) -> None:
    traced.spans.called(Call("Query", "shop", None, 1, 0, 0, 0.5, 0.0, 0.1, 1, None))
    await asyncio.sleep(0)
    assert traced.finished == []


def test_an_attribute_that_is_not_listed_is_not_set() -> None:
    assert listed({"user__email": "swordfish", "url__path": "/graphql", "error__type": None}) == {
        "url.path": "/graphql"
    }
    assert not any("value" in name or "variable" in name for name in ATTRIBUTES)


def observed(memory: MemoryClient, observer: Observers) -> Shop:
    return Shop(
        journal=MemoryJournal(lambda: items.NOW),
        client=memory.as_client(),
        table="cartograph",
        shards=4,
        currency=Currency("JPY", 0),
        cursors=CursorCodec(["a key of sixteen or more"]),
        deadline=5,
        read_budget=100,
        now=lambda: items.NOW,
        observer=observer,
    )


def ids(spans: list[ReadableSpan]) -> list[int]:
    return [span.context.span_id for span in spans if span.context]


def parents(spans: list[ReadableSpan]) -> list[int]:
    return [span.parent.span_id for span in spans if span.parent]
