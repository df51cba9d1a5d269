"""What a watched service has to do with, in a thread of its own, so that who waits for the service
does not keep it waiting: a store that faults befall, sinks of which SES refuses every mail, and a
collector of traces."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from datasources.client import Endpoint, open_client, open_sqs_client
from datasources.embedded import embedded_store
from datasources.operating.provision import provision
from tests.conftest import CACHE, REGION
from tests.integration.conftest import TEMPLATE
from tests.support import items
from tests.support.collector import Collector, collecting
from tests.support.proxy import Fault, FaultProxy, Onward, fault_proxy
from tests.support.shop import TestShop

TABLE = "cartograph"


@dataclass
class Sinks:
    """The way to SQS, and an SES that refuses whatever it is sent and quotes it; `mails` are the
    bodies of that."""

    url: str = ""
    mails: list[str] = field(default_factory=list)

    async def take(self, request: web.BaseRequest, onward: Onward) -> web.Response:
        body = await request.read()
        if not request.path.startswith("/v2/email"):
            return await onward.send(request, body)
        self.mails.append(body.decode())
        return web.json_response(
            {"message": f"refused: {self.mails[-1]}"},
            status=400,
            headers={"x-amzn-errortype": "MessageRejected"},
        )


def quoting(quoted: str, code: str, status: int, **more: Any) -> web.Response:
    """An error of the store that quotes what it was sent, as DynamoDB's do."""
    content = {"__type": f"com.amazonaws#{code}", "message": f"{quoted} is none.", **more}
    return web.json_response(content, status=status, content_type="application/x-amz-json-1.0")


@dataclass
class Around:
    """`endpoint` is the store without any faults; `queue` is the URL of one for dead letters."""

    proxy: FaultProxy
    sinks: Sinks
    collector: Collector
    endpoint: Endpoint
    queue: str

    def settings(self) -> dict[str, object]:
        return {"DEAD_LETTER_QUEUE": self.queue, "SINK_ENDPOINT": self.sinks.url}

    def tracing(self) -> dict[str, str]:
        """Variables of OpenTelemetry."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    async def letters(self) -> list[dict[str, Any]]:
        """What each of the dead letters says."""
        found: dict[str, str] = {}
        async with open_sqs_client(self.endpoint) as client:
            sqs: Any = client
            asked = {"QueueUrl": self.queue, "MaxNumberOfMessages": 10}
            while messages := (await sqs.receive_message(**asked)).get("Messages"):
                found |= {message["MessageId"]: message["Body"] for message in messages}
        return [json.loads(body) for body in found.values()]

    @contextmanager
    def faults(self, odds: Mapping[Fault, float]) -> Iterator[None]:
        self.proxy.odds = odds
        try:
            yield
        finally:
            self.proxy.odds = {}


@contextmanager
def around() -> Iterator[Around]:
    ready: list[Around] = []
    told, done = threading.Event(), threading.Event()

    async def run() -> None:
        try:
            async with _around() as found:
                ready.append(found)
                told.set()
                await asyncio.to_thread(done.wait)
        finally:
            told.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        told.wait()
        assert ready, "it did not start"
        yield ready[0]
    finally:
        done.set()
        thread.join()


@asynccontextmanager
async def _around() -> AsyncIterator[Around]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url = await enter(
            embedded_store(cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _: None)
        )
        endpoint = Endpoint(REGION, url, local=True)
        client = await enter(open_client(endpoint))
        await provision(client, TABLE, TEMPLATE)
        goods = [items.product(number, category="books") for number in range(4)]
        shop = TestShop(client, TABLE, tenant="default")
        await shop.put(items.category("books"), *goods)
        sqs: Any = await enter(open_sqs_client(endpoint))
        queue = (await sqs.create_queue(QueueName=uuid.uuid4().hex))["QueueUrl"]
        yield Around(
            await enter(fault_proxy(endpoint)),
            await enter(_sinks(url)),
            await enter(collecting()),
            endpoint,
            queue,
        )


@asynccontextmanager
async def _sinks(behind: str) -> AsyncIterator[Sinks]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        sinks, onward = Sinks(), Onward(session, behind)
        runner = web.ServerRunner(
            web.Server(lambda request: sinks.take(request, onward)), shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            sinks.url = f"http://{host}:{port}"
            yield sinks
        finally:
            await runner.cleanup()
