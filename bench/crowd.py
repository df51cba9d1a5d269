"""One event to a thousand websockets.

The service reads it from the table's stream, where the stub puts it; the other servers are told
by a request of their own. Either is at the server when the time of the event begins.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import orjson

from bench.contenders import OURS, Contender, Stub
from bench.load import Caller
from bench.sockets import Socket
from bench.workloads import EVENT
from datasources.attributes import decode_row

LISTENERS = 1_000
CONNECTING = 50  # at once
WARM_UP = 5  # events
EVENTS = 40


@dataclass(frozen=True, slots=True)
class Events:
    """`cpu` is processor seconds a listener and event; `last` the seconds in which the last
    listener had it, the median of all events; `connection` bytes of memory a connection."""

    cpu: float
    last: float
    connection: float
    heard: bytes

    def __str__(self) -> str:
        return (
            f"{self.cpu * 1e6:.1f} us a listener, the last after {self.last * 1e3:.1f} ms, "
            f"{self.connection / 1024:.1f} KB a connection"
        )


@dataclass
class Crowd:
    """Those who have heard the event that is waited for, and what the last of them has heard."""

    size: int
    count: int = 0
    last: bytes = b""
    at: float = 0.0

    def __post_init__(self) -> None:
        self._all = asyncio.Event()

    def hear(self, event: bytes) -> None:
        self.count += 1
        if self.count == self.size:
            self.last, self.at = event, time.monotonic()
            self._all.set()

    async def wait(self) -> None:
        async with asyncio.timeout(15):
            await self._all.wait()
        self.count = 0
        self._all.clear()


async def follow(product: str, stub: Stub, contender: Contender) -> Events:
    crowd, empty = Crowd(LISTENERS), contender.resident()
    sockets: list[Socket] = []
    while len(sockets) < LISTENERS:
        some = (Socket.connect(contender.port, crowd.hear) for _ in range(CONNECTING))
        sockets += await asyncio.gather(*some)
    for one in sockets:
        one.subscribe(EVENT, {"id": product})
        # An answer on the same connection: by then what was said before has been heard.
    await asyncio.gather(*(one.ask("{ __typename }") for one in sockets))
    times = []
    before, first = 0.0, b""
    for number in range(WARM_UP + EVENTS):
        if number == WARM_UP:
            connection = (contender.resident() - empty) / LISTENERS
            before = contender.cpu()
        began = await _sell(stub, contender)
        await crowd.wait()
        if contender.name == OURS:
            began = (await stub.ask("/told"))["at"]
        times.append(crowd.at - began)
        first = first or _told(crowd.last)
    used = contender.cpu() - before
    for one in sockets:
        one.close()
    return Events(used / EVENTS / LISTENERS, median(times[WARM_UP:]), connection, first)


async def _sell(stub: Stub, contender: Contender) -> float:
    """Makes the event happen; when it was sent to those who do not read it from the stream."""
    record: dict[str, Any] = await stub.ask("/sell", "POST")
    if contender.name == OURS:
        return 0.0
    body = orjson.dumps(_change(record["dynamodb"]))
    caller = await Caller.connect(contender.port)
    began = time.monotonic()
    await caller.ask(
        b"POST /changed HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    caller.close()
    return began


def _change(image: dict[str, Any]) -> dict[str, Any]:
    old, new = decode_row(image["OldImage"]), decode_row(image["NewImage"])
    at = datetime.fromtimestamp(image["ApproximateCreationDateTime"], UTC)
    return {
        "kind": "UPDATED",
        "occurredAt": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "changedFields": ["inventory"],
        "previousInventory": old["inventory"],
        "product": new,
    }


def _told(event: bytes) -> bytes:
    """The data of an event, without what is of its own time and number."""
    told = orjson.loads(event)["data"]
    change = told["productChanged"]
    change["occurredAt"] = len(change["occurredAt"])
    change["product"]["inventory"] -= change.pop("previousInventory")
    return orjson.dumps(told)
