"""The time for an operation: from its request's arrival to its answer, whatever it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import strawberry

from datasources.errors import DeadlineExceeded
from datasources.queries import Query
from resolvers.principal import Principal
from schema.headers import JSON
from schema.running import Admitted, answer
from tests.support.endpoint import Service
from tests.support.sockets import ADD, SLOW, World, executor

NOBODY = Principal.anonymous("default")


async def told(world: World, document: str, seconds: float, ago: float = 0.0) -> dict[str, Any]:
    """What is answered to a request that came so long ago and has so many seconds."""
    runs = executor()
    shop = replace(world.shop(), deadline=seconds, write_deadline=seconds)
    arrived = asyncio.get_running_loop().time() - ago
    operation = runs.prepare(document, None, {})
    admitted = Admitted(operation, NOBODY, "request-1", arrived)
    body, ran = await answer(runs, shop, admitted)
    assert ran
    return body


@pytest.mark.parametrize("document", [SLOW, ADD])
async def test_an_operation_ends_with_its_time_though_it_asks_no_store(document: str) -> None:
    world = World()
    body = await told(world, document, seconds=0.02)

    [error] = body["errors"]
    assert error["extensions"] == {"code": "DEADLINE_EXCEEDED", "retryable": True}
    assert body["data"] is None
    assert set(body["extensions"]["cost"]) == {"requested", "actual"}
    assert (world.store.cancelled, world.store.added) == (1, 0)


async def test_the_time_counts_from_the_arrival_of_the_request() -> None:
    world = World()
    body = await told(world, SLOW, seconds=60, ago=60)

    assert body["errors"][0]["extensions"]["code"] == "DEADLINE_EXCEEDED"


@strawberry.type(name="Query")
class Soon:
    @strawberry.field
    async def soon(self) -> str:
        await asyncio.sleep(0)
        return "now"


@pytest.mark.parametrize("is_late", [False, True])
async def test_the_time_that_a_body_takes_to_come_counts(is_late: bool) -> None:
    service = Service(schema=strawberry.Schema(Soon), deadline=0.1 if is_late else 60)

    async def body() -> AsyncIterator[bytes]:
        yield b'{"query": '
        await asyncio.sleep(0.2)  # it is time itself that is to pass
        yield b'"{ soon }"}'

    response = await service.send("POST", content=body(), headers={"content-type": JSON})
    found = response.json()
    codes = [error["extensions"]["code"] for error in found.get("errors", ())]
    assert codes == (["DEADLINE_EXCEEDED"] if is_late else [])
    assert found["data"] == (None if is_late else {"soon": "now"})


async def test_an_operation_that_ends_in_time_is_left_alone() -> None:
    world = World()
    world.store.gate.set()

    assert (await told(world, SLOW, seconds=60))["data"] == {"slow": "at last"}


@pytest.mark.parametrize(("writes", "spare"), [(False, 0.1), (True, 1.0)])
async def test_the_store_is_given_up_a_little_before(writes: bool, spare: float) -> None:
    shop = replace(World().shop(), deadline=5, write_deadline=8)
    context = shop.operation(NOBODY, "request-1", writes=writes, arrived=100.0)

    assert context.ends == 108 if writes else 105
    assert context.table.deadline == pytest.approx(context.ends - spare)


async def test_of_little_time_the_store_has_most() -> None:
    shop = replace(World().shop(), write_deadline=0.8)
    context = shop.operation(NOBODY, "request-1", writes=True, arrived=100.0)

    assert context.table.deadline == pytest.approx(100.7)


async def test_a_request_that_has_waited_too_long_asks_the_store_for_nothing() -> None:
    loop = asyncio.get_running_loop()
    shop = replace(World().shop(), client=Silent())  # type: ignore[arg-type]
    context = shop.operation(NOBODY, "request-1", writes=False, arrived=loop.time() - 60)

    with pytest.raises(DeadlineExceeded):
        await context.table.query(Query("p"), limit=1)


class Silent:
    """A store that answers nothing."""

    async def query(self, **_parameters: object) -> None:
        await asyncio.get_running_loop().create_future()
