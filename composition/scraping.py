"""`/metrics` of several workers: whichever is asked asks the others too.

Each tells its own over a Unix socket in the folder that all of them know. A scraper keeps its
connection, and so would see the numbers of one worker alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from composition.workers import Worker

_PATH = "/metrics"
_PATIENCE = 2.0  # seconds that a worker has to tell its numbers; a busy one is left out


@asynccontextmanager
async def shared_metrics(
    app: ASGIApp, registry: CollectorRegistry, worker: Worker
) -> AsyncIterator[ASGIApp]:
    """The application, whose `/metrics` tells the samples of all workers, each with a label
    `worker`. While it is open, this one's are told to the others."""

    async def tell(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(generate_latest(registry))
        with suppress(OSError):
            await writer.drain()
        writer.close()

    async def metrics(_request: Request) -> Response:
        others = [number for number in range(worker.count) if number != worker.number]
        told = await asyncio.gather(*(_ask(_address(worker.folder, each)) for each in others))
        texts = dict(zip(others, told, strict=True)) | {
            worker.number: generate_latest(registry).decode()
        }
        return Response(merged(texts.items()), media_type=CONTENT_TYPE_LATEST)

    route = Route(_PATH, metrics)

    async def shared(scope: Scope, receive: Receive, send: Send) -> None:
        is_asked = scope["type"] == "http" and scope["path"] == _PATH
        await (route.handle if is_asked else app)(scope, receive, send)

    own = _address(worker.folder, worker.number)
    worker.folder.mkdir(mode=0o700, exist_ok=True)
    own.unlink(missing_ok=True)  # of one whose place this has taken
    try:
        async with await asyncio.start_unix_server(tell, own):
            yield shared
    finally:
        # The last takes the folder with it.
        with suppress(OSError):
            own.unlink()
            worker.folder.rmdir()


async def _ask(address: Path) -> str:
    """Nothing of a worker that is not there just now."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(address)
            told = await reader.read()
            writer.close()
    except OSError:
        return ""
    return told.decode()


def _address(folder: Path, number: int) -> Path:
    return folder / str(number)


def merged(texts: Iterable[tuple[int, str]]) -> bytes:
    """What several workers tell, in Prometheus' text format, as one text in the same."""
    registry = CollectorRegistry()
    registry.register(_Told(texts))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, texts: Iterable[tuple[int, str]]) -> None:
        self._families: dict[str, Metric] = {}
        for number, text in sorted(texts):
            for family in text_string_to_metric_families(text):
                known = self._families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                known.samples += [
                    one._replace(labels={**one.labels, "worker": str(number)})
                    for one in family.samples
                ]

    def collect(self) -> Iterator[Metric]:
        return iter(self._families.values())
