"""Spans of OpenTelemetry: a request, the operation in it, the batches of its loaders, and their
calls of DynamoDB.

An attribute is listed in `ATTRIBUTES` or not set: names, counts and amounts, never a key, a value
or the text of an exception. Names are those of OpenTelemetry's semantic conventions, where these
have one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from opentelemetry.context import Context as SpanContext
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datasources.calls import Call
from datasources.items import Item
from datasources.keys import Key
from datasources.listing import Page
from datasources.table import Table
from resolvers.changes import Seen
from resolvers.context import Context
from resolvers.loaders import ItemLoader, Loaders, PageLoader, PageRequest
from schema.operations.operation import Answer, Operation
from schema.operations.watching import WatchedExecutor

ATTRIBUTES = frozenset(
    """aws.dynamodb.index_name cartograph.attempt cartograph.errors cartograph.items
    cartograph.keys cartograph.loader cartograph.units db.collection.name db.operation.name
    db.system.name error.type graphql.operation.name graphql.operation.type http.request.method
    http.response.status_code url.path""".split()
)
_PATH = "/graphql"
_LONGEST_NAME = 64  # characters
_SECONDS_TO_SEND = 2.0
_PARENTS = TraceContextTextMapPropagator()


def new_provider(environment: Mapping[str, str]) -> TracerProvider:
    """Sends spans in batches from a thread of its own; where to, how many of them and as which
    service, the variables of OpenTelemetry say."""
    named = {} if environment.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "cartograph"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    # A collector that is away should neither pile up spans nor hold up the end.
    limit = None if environment.get("OTEL_EXPORTER_OTLP_TIMEOUT") else _SECONDS_TO_SEND
    exporter = OTLPSpanExporter(timeout=limit)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class Spans:
    """Makes spans. An observer of tables: their calls are told when they have ended."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer: Tracer = provider.get_tracer("cartograph")

    def app(self, app: ASGIApp) -> ASGIApp:
        """The application, its GraphQL requests traced, as part of the trace that their
        `traceparent` tells of (W3C Trace Context)."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == _PATH:
                await self._request(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return traced

    def executor(self, *given: Any, **named: Any) -> TracedExecutor:
        return TracedExecutor(self, *given, **named)

    @contextmanager
    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: SpanContext | None = None,
        **attributes: str | float | None,
    ) -> Iterator[Span]:
        """Around what happens in a block; `__` in the name of an attribute is a dot."""
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind,
            attributes=listed(attributes),
            record_exception=False,  # with its text
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                _fail(span, type(error).__name__)
                raise

    async def _request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in {b"traceparent", b"tracestate"}
        }
        method = scope["method"]
        with self.span(
            f"{method} {_PATH}",
            SpanKind.SERVER,
            _PARENTS.extract(headers),
            http__request__method=method,
            url__path=_PATH,
        ) as span:

            async def note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attributes(listed({"http__response__status_code": status}))
                    if status >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await app(scope, receive, note)

    def called(self, call: Call) -> None:
        if not get_current_span().is_recording():
            return  # of no request, such as an event of a subscription
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{call.operation} {call.table}",
            kind=SpanKind.CLIENT,
            start_time=now - int(call.seconds * 1e9),
            attributes=listed(
                {
                    "db__system__name": "aws.dynamodb",
                    "db__operation__name": call.operation,
                    "db__collection__name": call.table,
                    "aws__dynamodb__index_name": call.index,
                    "cartograph__keys": call.keys,
                    "cartograph__items": call.items,
                    "cartograph__units": call.units,
                    "cartograph__attempt": call.attempt,
                }
            ),
        )
        if call.error:
            _fail(span, call.error)
        span.end(now)

    def batched(self, loader: str, size: int) -> None:
        pass

    def found(self, kept: int, asked: int) -> None:
        pass


def listed(attributes: Mapping[str, str | float | None]) -> dict[str, str | float]:
    """Those that are listed and have a value."""
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return {
        name: value for name, value in named.items() if name in ATTRIBUTES and value is not None
    }


def _fail(span: Span, error: str) -> None:
    span.set_attributes(listed({"error__type": error}))
    span.set_status(StatusCode.ERROR)


class TracedExecutor(WatchedExecutor):
    """An executor whose queries and mutations are spans, and the batches of their loaders too."""

    def __init__(self, spans: Spans, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._spans = spans

    async def run(
        self, operation: Operation, context: Context, event: Seen | None = None
    ) -> Answer:
        if event is not None:
            return await super().run(operation, context, event)
        name, kind = operation.definition.name, operation.kind.value
        with self._spans.span(
            kind,
            graphql__operation__name=name.value[:_LONGEST_NAME] if name else None,
            graphql__operation__type=kind,
        ) as span:
            loaders = _Loaders(
                self._spans,
                context.table,
                context.keys,
                read_budget=context.shop.read_budget,
                cached=context.loaders.cached,
            )
            answer = await super().run(operation, replace(context, loaders=loaders))
            if answer.errors:
                span.set_attributes(listed({"cartograph__errors": len(answer.errors)}))
            return answer


class _Loaders(Loaders):
    def __init__(self, spans: Spans, table: Table, keys: Any, **named: Any) -> None:
        super().__init__(table, keys, **named)
        self._spans = spans
        self.items = _Items(spans, table, named["cached"])

    @cached_property
    def pages(self) -> PageLoader:
        return _Pages(self._spans, self._table, self.items, read_budget=self._budget)


class _Items(ItemLoader):
    def __init__(self, spans: Spans, *given: Any) -> None:
        super().__init__(*given)
        self._spans = spans

    async def batch_load_fn(self, keys: list[Key]) -> list[Item | None]:
        with self._spans.span("load items", cartograph__loader="items", cartograph__keys=len(keys)):
            return await super().batch_load_fn(keys)


class _Pages(PageLoader):
    def __init__(self, spans: Spans, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._spans = spans

    async def batch_load_fn(self, requests: list[PageRequest]) -> list[Page]:
        size = len(requests)
        with self._spans.span("load pages", cartograph__loader="pages", cartograph__keys=size):
            return await super().batch_load_fn(requests)
