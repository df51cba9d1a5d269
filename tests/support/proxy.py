"""A proxy in front of a DynamoDB endpoint that lets befall a request what can befall one.

Faults are drawn from a seeded generator, so that the same requests in the same order meet the
same fate. Odds, latency and reachability may be changed while it runs.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import aiohttp
from aiohttp import web

from datasources.client import Endpoint


class Fault(Enum):
    """What may go wrong, one thing at a time."""

    DROP = "the connection ends before the request is carried out"
    LOSE = "the request is carried out, and the connection ends before or amid the answer"
    THROTTLE = "the answer asks for a slower pace"
    FAIL = "the answer is an internal error"
    CONFLICT = "a transaction is cancelled for the sake of another"
    PARTIAL = "a part of a batch is left unprocessed"


_THROTTLES = ("ProvisionedThroughputExceededException", "ThrottlingException")
_CONFLICTS = ("TransactionConflict", "ThrottlingError")
_UNPROCESSED = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}
_JSON = "application/x-amz-json-1.0"
# What concerns one connection alone, and what no longer holds of a body that was changed.
_DROPPED = frozenset(
    "connection content-length date host keep-alive server transfer-encoding x-amz-crc32".split()
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came, and what befell it."""

    operation: str
    body: bytes
    fault: Fault | None


@dataclass
class FaultProxy:
    """`odds` are the probabilities of the faults, `latency` seconds before a request goes on
    (of the `delayed` operation alone, where one is named); `seen` is every request as it came."""

    endpoint: Endpoint
    odds: Mapping[Fault, float] = field(default_factory=dict)
    latency: float = 0.0
    delayed: str | None = None
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(0)  # noqa: S311 - no secrets
        self._reachable, self._idle = asyncio.Event(), asyncio.Event()
        self._reachable.set()
        self._idle.set()
        self._under_way = 0

    def reseed(self, seed: int) -> None:
        """Begins the faults anew, those that this seed gives."""
        self._chance.seed(seed)

    def vanish(self) -> None:
        """A black hole from here on: what is sent arrives nowhere, and nothing comes back."""
        self._reachable.clear()

    def reappear(self) -> None:
        """The end of the black hole. What it swallowed stays lost."""
        self._reachable.set()

    async def idle(self) -> None:
        """Returns once no request is under way, those of clients that have left among them."""
        await self._idle.wait()

    def count(self) -> Counter[Fault | None]:
        """How many requests met each fault, and how many none."""
        return Counter(each.fault for each in self.seen)

    async def handle(self, request: web.BaseRequest, onward: Onward) -> web.StreamResponse:
        """One request, from its arrival until its answer has been sent or withheld."""
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._handle(request, onward)
        except (aiohttp.ClientError, ConnectionError):
            return _hang_up(request)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _handle(self, request: web.BaseRequest, onward: Onward) -> web.StreamResponse:
        body = await request.read()
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if not self._reachable.is_set():
            await self._reachable.wait()
            return _hang_up(request)
        fault = self._draw(operation, body)
        self.seen.append(Seen(operation, body, fault))
        if self.latency and self.delayed in {None, operation}:
            await asyncio.sleep(self.latency)
        match fault:
            case None:
                return await onward.send(request, body)
            case Fault.DROP:
                return _hang_up(request)
            case Fault.LOSE:
                answer = await onward.send(request, body)
                return await _cut_off(request, answer, amid=self._chance.random() < 0.5)
            case Fault.THROTTLE:
                return _error(self._chance.choice(_THROTTLES), 400)
            case Fault.FAIL:
                return _error("InternalServerError", 500)
            case Fault.CONFLICT:
                return self._cancelled(json.loads(body))
            case Fault.PARTIAL:
                return await self._partly(request, operation, json.loads(body), onward)

    def _draw(self, operation: str, body: bytes) -> Fault | None:
        point = self._chance.random()
        for fault in Fault:
            if _befalls(fault, operation, body):
                point -= self.odds.get(fault, 0.0)
                if point < 0:
                    return fault
        return None

    def _cancelled(self, request: dict[str, Any]) -> web.Response:
        """One action met a conflict; the others would have been carried out."""
        reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in request["TransactItems"]]
        code = self._chance.choice(_CONFLICTS)
        self._chance.choice(reasons).update(Code=code, Message="Something stood in the way.")
        return _error("TransactionCanceledException", 400, CancellationReasons=reasons)

    async def _partly(
        self, request: web.BaseRequest, operation: str, whole: dict[str, Any], onward: Onward
    ) -> web.Response:
        """Forwards at least one entry of a batch, not all, and names the others as left."""
        [(table, part)] = whole["RequestItems"].items()
        entries = list(_entries(part))
        self._chance.shuffle(entries)
        cut = self._chance.randrange(1, len(entries))
        forwarded = {**whole, "RequestItems": {table: _with(part, entries[:cut])}}
        answer = await onward.send(request, json.dumps(forwarded).encode())
        if answer.status != 200 or not isinstance(answer.body, bytes):
            return answer
        content = json.loads(answer.body)
        left = content.setdefault(_UNPROCESSED[operation], {})
        left[table] = _with(part, [*_entries(left.get(table, [])), *entries[cut:]])
        return web.json_response(content, content_type=_JSON)


@dataclass(frozen=True, slots=True)
class Onward:
    """The way to the endpoint behind the proxy."""

    session: aiohttp.ClientSession
    url: str

    async def send(self, request: web.BaseRequest, body: bytes) -> web.Response:
        """The endpoint's answer to a request with this body."""
        async with self.session.request(
            request.method, self.url + request.path_qs, data=body, headers=_kept(request.headers)
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers=_kept(answer.headers)
            )


@asynccontextmanager
async def fault_proxy(
    behind: Endpoint, *, seed: int = 0, odds: Mapping[Fault, float] | None = None
) -> AsyncIterator[FaultProxy]:
    """A proxy on a port of its own; its `endpoint` is for the client."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        onward = Onward(session, (behind.url or "").rstrip("/"))
        proxy = FaultProxy(behind, odds or {})
        proxy.reseed(seed)
        server = web.Server(lambda request: proxy.handle(request, onward))
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            proxy.endpoint = replace(behind, url=f"http://{host}:{port}")
            yield proxy
        finally:
            await runner.cleanup()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _DROPPED}


def _befalls(fault: Fault, operation: str, body: bytes) -> bool:
    """Whether a request is of the kind that a fault befalls."""
    if fault is Fault.CONFLICT:
        return operation == "TransactWriteItems"
    if fault is not Fault.PARTIAL:
        return True
    tables = list(json.loads(body)["RequestItems"].values()) if operation in _UNPROCESSED else []
    return len(tables) == 1 and len(_entries(tables[0])) > 1


def _entries(part: Any) -> list[Any]:
    """What a batch has for one table: keys to get, or rows to write."""
    entries: list[Any] = part["Keys"] if isinstance(part, dict) else part
    return entries


def _with(part: Any, entries: list[Any]) -> Any:
    return {**part, "Keys": entries} if isinstance(part, dict) else entries


def _error(code: str, status: int, **more: Any) -> web.Response:
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    content = {"__type": kind, "message": "Made by the proxy.", **more}
    return web.json_response(content, status=status, content_type=_JSON)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut_off(request: web.BaseRequest, answer: web.Response, *, amid: bool) -> web.Response:
    """Ends the connection, `amid`: after half of the answer."""
    if amid and isinstance(answer.body, bytes):
        half = web.StreamResponse(status=answer.status, headers=answer.headers)
        half.content_length = len(answer.body)
        await half.prepare(request)
        await half.write(answer.body[: len(answer.body) // 2])
    return _hang_up(request)
