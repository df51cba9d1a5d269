"""What those who run the service see of it: log, metrics, traces, explanations and dead letters,
while all sorts of things go wrong. None of it may hold what clients sent or what rows hold."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from datasources.attributes import encode_row
from datasources.client import Endpoint, open_client, open_sqs_client
from datasources.embedded import embedded_store
from datasources.keys import Keys
from datasources.provision import provision
from streams.dead_letters import QueueDeadLetters
from tests.e2e.live.shelves import SECRET
from tests.e2e.support import ROOT, Service, elsewhere, serving, until
from tests.integration.conftest import CACHE, REGION, TEMPLATE
from tests.support import items, proxy
from tests.support.collector import Collector, collecting
from tests.support.proxy import Fault, FaultProxy, fault_proxy
from tests.support.shop import TestShop

# Each stands for something that only its owner, and the store, may hold.
CANARY = "swordfish"
SUBJECT = f"subject-{CANARY}"
EMAIL = f"email-{CANARY}@example.com"
SHOP = "query Shop { products(first: 3) { nodes { id name category { name } } } }"
SIGN_UP = (
    "mutation Up($input: CreateUserInput!) { createUser(input: $input) { userErrors {code} } }"
)
REVIEW = (
    "mutation Say($input: AddReviewInput!) { addReview(input: $input) { userErrors { code } } }"
)
PAGE = "query Page($after: String) { products(first: 1, after: $after) { pageInfo { endCursor } } }"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Watched:
    """A service, and all that it tells anybody who watches it."""

    service: Service
    proxy: FaultProxy
    collector: Collector
    endpoint: Endpoint
    queue: str

    def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        return self.service.ask(query, token, **variables)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log, but for what the command itself says."""
        said = [line for line in self.service.said if not line.startswith("cartograph: ")]
        return [json.loads(line) for line in said]

    @contextmanager
    def faults(self, **odds: float) -> Iterator[None]:
        self.proxy.odds = {Fault[name]: chance for name, chance in odds.items()}
        try:
            yield
        finally:
            self.proxy.odds = {}


@dataclass
class Around:
    """What the service has to do with."""

    proxy: FaultProxy
    collector: Collector
    endpoint: Endpoint
    queue: str


@asynccontextmanager
async def around() -> AsyncIterator[Around]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url = await enter(
            embedded_store(cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _: None)
        )
        endpoint = Endpoint(REGION, url, local=True)
        client = await enter(open_client(endpoint))
        await provision(client, "cartograph", TEMPLATE)
        shop = TestShop(client, "cartograph", tenant="default")
        await shop.put(
            items.category("books"), *(items.product(n, category="books") for n in range(4))
        )
        sqs: Any = await enter(open_sqs_client(endpoint))
        queue = (await sqs.create_queue(QueueName=uuid.uuid4().hex))["QueueUrl"]
        yield Around(await enter(fault_proxy(endpoint)), await enter(collecting()), endpoint, queue)


@contextmanager
def beside() -> Iterator[Around]:
    """The same, in a thread, so that who waits for the service does not keep it waiting."""
    ready: asyncio.Queue[Any] = asyncio.Queue()
    told, done = threading.Event(), threading.Event()

    async def run() -> None:
        async with around() as found:
            ready.put_nowait(found)
            told.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert told.wait(120)
        yield ready.get_nowait()
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with beside() as found:
        settings = elsewhere(
            tmp_path_factory.mktemp("state"),
            found.proxy.endpoint.url or "",
            JWT_SECRET=SECRET,
            LOG_LEVEL="debug",
            LOG_REQUESTS="all",
            DEAD_LETTER_QUEUE=found.queue,
            SINK_ENDPOINT=found.endpoint.url,
            DEADLINE=2,
        )
        settings |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": found.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with serving(settings) as service:
            yield Watched(service, found.proxy, found.collector, found.endpoint, found.queue)


def quoting(code: str, status: int, **more: Any) -> web.Response:
    """An error of the store that quotes what it was sent, as DynamoDB's do."""
    content = {"__type": f"com.amazonaws#{code}", "message": f"{CANARY} is none.", **more}
    return web.json_response(content, status=status, content_type="application/x-amz-json-1.0")


def provoke(watched: Watched, customer: str) -> None:
    """Has clients send what is theirs, and all go wrong that can."""
    product = watched.ask(SHOP)["data"]["products"]["nodes"][0]["id"]
    account = {"email": EMAIL, "username": f"name-{CANARY}", "lastName": f"last-{CANARY}"}
    review = {"productId": product, "rating": 5, "comment": f"comment {CANARY}"}
    cursor = watched.ask(PAGE)["data"]["products"]["pageInfo"]["endCursor"]
    watched.ask(SIGN_UP, customer, input=account)
    watched.ask(SIGN_UP, customer, input=account)
    watched.ask(REVIEW, customer, input=review)
    watched.ask(PAGE, after=cursor)
    watched.ask(PAGE, after=f"cursor-{CANARY}")
    watched.ask(SIGN_UP, customer, input={CANARY: CANARY})
    watched.ask(f'{{ product(id: "{CANARY}") {{ {CANARY}: name }} }}')
    watched.ask(f"{{ {CANARY} ")
    for odds in ({"THROTTLE": 1.0}, {"FAIL": 1.0}, {"DROP": 1.0}, {"LOSE": 1.0}):
        with watched.faults(**odds):
            watched.ask(f"query Faulty {{ {CANARY}: products(first: 2) {{ nodes {{ name }} }} }}")
            watched.ask(REVIEW, customer, input=review)
    url = f"{watched.service.url}/graphql"
    for headers in ({"authorization": f"Bearer {CANARY}"}, {"x-tenant": CANARY}):
        httpx.post(url, json={"query": SHOP}, headers=headers)
    httpx.post(url, content=f'{{"query": "{CANARY}')
    httpx.post(url, content=f'{{"query": "{CANARY}', headers={"content-type": "application/json"})
    httpx.get(f"{watched.service.url}/{CANARY}?{CANARY}={CANARY}", headers={"cookie": CANARY})


async def poison(watched: Watched) -> None:
    """A row that breaks its own form, and quotes somebody."""
    key = Keys("default", 4).product("poison")
    row = {"PK": key.pk, "SK": key.sk, "entity": "Product", "status": f"poison-{CANARY}"}
    async with open_client(watched.endpoint) as client:
        await client.put_item(TableName="cartograph", Item=encode_row(row))


async def letters(watched: Watched) -> str:
    async with open_sqs_client(watched.endpoint) as client:
        answer = await client.receive_message(QueueUrl=watched.queue, MaxNumberOfMessages=10)
        assert await QueueDeadLetters(client, watched.queue).take() == []
    return str(answer.get("Messages", ""))


def test_nothing_that_clients_or_rows_hold_is_told_to_who_watches(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_error", quoting)
    monkeypatch.setattr(proxy, "_THROTTLES", ("ThrottlingException", "ValidationException"))
    customer = watched.service.signed(SUBJECT)

    provoke(watched, customer)
    asyncio.run(poison(watched))
    dead = 'cartograph_dead_letters_total{reaction="reading"} 1.0'
    until(lambda: dead in watched.service.get("/metrics").text)
    until(lambda: "Faulty" in watched.collector.text)

    log = "".join(watched.service.said)
    for expected in ("StoreError (ValidationException)", "INTERNAL_SERVER_ERROR", "passed: "):
        assert expected in log
    told = {
        "log": log,
        "metrics": watched.service.get("/metrics").text,
        "traces": watched.collector.text,
        "dead letters": asyncio.run(letters(watched)),
    }
    assert all(told.values())
    secrets = [CANARY, customer, *customer.split("."), SECRET]
    assert [(where, each) for where, text in told.items() for each in secrets if each in text] == []


def test_every_line_is_json_and_of_the_listed_fields(watched: Watched) -> None:
    watched.ask(SHOP)
    from composition.logs import FIELDS

    assert watched.lines
    assert all(set(line) <= set(FIELDS) for line in watched.lines)
    line = next(line for line in watched.lines if line.get("operation") == "Shop")
    assert (line["event"], line["kind"], line["tenant"]) == ("request", "query", "default")
    assert line["calls"] > 0


def test_a_trace_leads_from_the_request_to_the_calls_of_the_store(watched: Watched) -> None:
    httpx.post(
        f"{watched.service.url}/graphql",
        json={"query": SHOP.replace("Shop", "Traced")},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
    )

    def spans() -> dict[str, dict[str, Any]]:
        return {
            span["spanId"]: span
            for span in watched.collector.spans
            if base64_hex(span["traceId"]) == TRACE
        }

    def is_whole() -> bool:
        return any(span["name"] == "POST /graphql" for span in spans().values())

    until(is_whole)
    found = spans()
    paths = {tuple(path(found, span)) for span in found.values()}
    request = ("POST /graphql", "query")
    assert (*request, "load pages", "Query cartograph") in paths
    assert (*request, "load items", "BatchGetItem cartograph") in paths


def path(spans: dict[str, dict[str, Any]], span: dict[str, Any]) -> list[str]:
    """The names of the spans that lead to one."""
    above = spans.get(span.get("parentSpanId", ""))
    return [*(path(spans, above) if above else ()), span["name"]]


def base64_hex(text: str) -> str:
    import base64

    return base64.b64decode(text).hex()


def test_the_dashboard_shows_every_metric_and_none_that_is_not_there(watched: Watched) -> None:
    dashboard = (ROOT / "infra" / "grafana.json").read_text(encoding="utf-8")
    shown = set(re.findall(r"(?:cartograph|process)_[a-z_]+", dashboard))
    families = list(text_string_to_metric_families(watched.service.get("/metrics").text))
    ours = [family for family in families if family.name.startswith("cartograph_")]
    ours = [family for family in ours if not family.name.endswith("_created")]

    def names(name: str, kind: str) -> set[str]:
        if kind == "histogram":
            return {f"{name}_{part}" for part in ("bucket", "count", "sum")}
        return {f"{name}_total" if kind == "counter" else name}

    there = set().union(*(names(family.name, family.type) for family in families))
    assert shown - there == set()
    assert [f.name for f in ours if shown.isdisjoint(names(f.name, f.type))] == []


@pytest.mark.parametrize("is_staff", [True, False])
def test_outside_the_embedded_store_explanations_are_for_staff(
    watched: Watched, is_staff: bool
) -> None:
    token = watched.service.signed("somebody", staff=is_staff)
    headers = {"authorization": f"Bearer {token}", "x-explain": "1"}
    response = httpx.post(f"{watched.service.url}/graphql", json={"query": SHOP}, headers=headers)
    body = response.json()
    assert body["data"]["products"]["nodes"]
    assert ("explain" in body["extensions"]) is is_staff


def test_over_the_embedded_store_explanations_are_for_all_who_ask(service: Service) -> None:
    def explained(**headers: str) -> bool:
        body = httpx.post(f"{service.url}/graphql", json={"query": SHOP}, headers=headers).json()
        return "explain" in body["extensions"]

    assert explained(**{"X-Explain": "1"})
    assert not explained()
    assert not explained(**{"X-Explain": "0"})
