"""Whatever document comes, its answer is no failure of the service, is made at a bounded price,
and tells nothing of the schema where introspection is off.

FUZZED in the environment is how many documents there are to be, drawn anew with SEED; without it
it is some hundred. `make fuzz` takes 20,000, and then looks at their price as well.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from datasources.items import ProductStatus
from resolvers import global_ids
from resolvers.context import Shop
from resolvers.principal import Principal
from schema.http import GRAPHQL, GraphQLEndpoint
from schema.limits import Limits
from schema.operations.operation import Executor, Refused
from tests.support import items
from tests.support.memory import MemoryClient
from tests.support.shop import rows_of
from tests.unit.schema.execution import judge
from tests.unit.schema.made_up import Inventor, MadeUp

CHUNKS = 4
FUZZED = int(os.environ.get("FUZZED", "0")) // CHUNKS
SEED = int(os.environ.get("SEED", "0"))
DOCUMENTS = FUZZED or 100  # in a chunk
PRICE = 0.05  # seconds of CPU that a document may take to be judged
FACTOR = 4  # of a machine that is slower, or busy

LEAKS = re.compile(r"Did you mean|Traceback|File \"|\.py\b|graphql-core|object at 0x|password")
# "ID" is a word as well.
TYPES = {name for name in judge.SCHEMA._schema.type_map if not name.startswith("__")} - {"ID"}

pytestmark = pytest.mark.filterwarnings(
    # graphql-core leaves behind some of what it cancels.
    "ignore:coroutine .* was never awaited:RuntimeWarning"
)


def _sound_shop() -> tuple[Shop, dict[str, list[str]]]:
    """One in whose rows there is nothing wrong, and the IDs of what it has."""
    found = [
        each
        for each in judge.ITEMS
        if getattr(each, "inventory", 0) < 2**31 and getattr(each, "category", "") != "gone"
    ]
    client = MemoryClient()
    client.put(row for item in found for row in rows_of(judge.KEYS, item))
    ids: dict[str, list[str]] = {}
    for item in [*found, items.product(99, status=ProductStatus.ACTIVE)]:
        ids.setdefault(type(item).__name__, []).append(global_ids.of(item))
    shop = judge.shop()
    return Shop(**{**_fields(shop), "client": client.as_client()}), ids


def _fields(shop: Shop) -> dict[str, Any]:
    return {name: getattr(shop, name) for name in type(shop).__dataclass_fields__}


@dataclass
class Service:
    """An endpoint in process, where introspection is on or off."""

    introspection: bool
    caller: Principal = judge.ANYONE
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        shop, ids = _sound_shop()
        self.executor = Executor(judge.SCHEMA, limits=Limits(), introspection=self.introspection)
        self.inventor = Inventor(judge.SCHEMA._schema, ids, ["nonsense", ""])
        endpoint = GraphQLEndpoint(
            executor=self.executor,
            shop=shop,
            authenticate=self._authenticate,
            explorer=None,
            largest_body=1_048_576,
            request_id=lambda: "made-here",
        )
        self._app = Starlette(routes=[Route("/graphql", endpoint.handle, methods=["GET", "POST"])])

    async def _authenticate(self, *_headers: str | None) -> Principal:
        return self.caller

    async def post(self, made: MadeUp) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        body = orjson.dumps({"query": made.query, "variables": made.variables})
        headers = {"content-type": "application/json", "accept": GRAPHQL}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/graphql", content=body, headers=headers)

    def judged_in(self, made: MadeUp) -> float:
        """Seconds of CPU until it is known whether a document may run, without collections:
        there is more to look at in a test than in a service, which spares what it is made of."""
        fresh = made.query + "\n"  # no cache has it
        gc.disable()
        try:
            before = time.process_time()
            with suppress(Refused):
                self.executor.prepare(fresh, None, made.variables)
            return time.process_time() - before
        finally:
            gc.enable()

    async def check(self, number: int) -> None:
        made = self.inventor.invent(number)
        # What may write would come upon a store that cannot.
        reads = "mutation" not in made.query
        self.caller = (judge.STAFF, judge.CUSTOMER, judge.ANYONE)[number % 3 if reads else 2]

        response = await self.post(made)

        body = response.json()
        assert response.status_code in {200, 400}, (made, body)
        assert body.keys() <= {"data", "errors", "extensions"}
        for error in body.get("errors", ()):
            self.seen[error["extensions"]["code"]] += 1
            assert error["extensions"]["code"] != "INTERNAL_SERVER_ERROR", (made, error)
            assert not LEAKS.search(error["message"]) or self.introspection, (made, error)
            # A parser knows no schema; its words for tokens are Int, Float and String.
            if not self.introspection and error["extensions"]["code"] != "GRAPHQL_PARSE_FAILED":
                assert _told(error["message"]) <= _words(made), (made, error)
        self.seen["ran"] += "data" in body
        self.seen["clean"] += "errors" not in body
        if FUZZED:
            assert self.judged_in(made) < PRICE * FACTOR, made


def _told(message: str) -> set[str]:
    return set(re.findall(r"\w+", message)) & TYPES


def _words(made: MadeUp) -> set[str]:
    return set(re.findall(r"\w+", made.query))


@pytest.fixture(autouse=True)
def nothing_is_logged() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("introspection", [False, True])
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_document_fails_the_service_or_makes_it_tell_its_schema(
    chunk: int, *, introspection: bool
) -> None:
    service = Service(introspection)
    number = DOCUMENTS // 2 if introspection else DOCUMENTS
    with asyncio.Runner() as runner:

        @seed(SEED * CHUNKS + chunk)
        @settings(
            max_examples=number,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.integers(0, 2**48))
        def check(drawn: int) -> None:
            runner.run(service.check(drawn))

        check()
    seen = service.seen
    # Or the rest would be of nothing.
    for what in ("ran", "clean", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"):
        assert seen[what] > number * 0.01
    assert seen["QUERY_TOO_COMPLEX"] > 0
