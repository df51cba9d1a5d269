"""The clients that pages and programs use: npm's graphql-ws and graphql-sse, Python's gql."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

from tests.e2e.live.peers import PROTOCOL, within
from tests.e2e.support import MUST_NOT_SKIP, PATIENCE, Service, until

CLIENTS = Path(__file__).with_name("clients")
MISSING = [name for name in ("node", "npm") if shutil.which(name) is None]
needs_node = pytest.mark.skipif(
    bool(MISSING) and not MUST_NOT_SKIP, reason=f"Node.js is missing: {', '.join(MISSING)}"
)

HELLO = "{ changeCursor viewer { username } }"
ORDER = """
  mutation ($product: ID!, $key: String!) {
    placeOrder(input: {items: [{productId: $product, quantity: 1}], idempotencyKey: $key}) {
      order { number } userErrors { code }
    }
  }
"""
ORDERS = """
  subscription ($after: String, $order: ID) {
    orderChanged(after: $after, orderId: $order) { cursor kind order { number } }
  }
"""
IN_STOCK = "{ products(first: 100) { nodes { id inventory } } }"


@pytest.fixture
def product(service: Service) -> str:
    """One that can be ordered."""
    nodes = service.ask(IN_STOCK)["data"]["products"]["nodes"]
    return str(max(nodes, key=lambda node: node["inventory"])["id"])


@pytest.fixture
def anothers(service: Service) -> str:
    """An order that is not Tarō's."""
    mine = "{ viewer { orders(first: 1) { nodes { id } } } }"
    viewer = service.ask(mine, service.signed("hanako"))["data"]["viewer"]
    return str(viewer["orders"]["nodes"][0]["id"])


def groups(service: Service) -> float:
    """How many subscriptions, alike ones counted once, the service holds."""
    return service.metric("cartograph_subscription_groups")


def operations(product: str, anothers: str) -> dict[str, dict[str, Any]]:
    ordered = {"product": product, "key": uuid.uuid4().hex}
    return {
        "query": {"query": HELLO},
        "mutation": {"query": ORDER, "variables": ordered},
        "subscription": {"query": ORDERS, "variables": {}},
        "refused": {"query": ORDERS, "variables": {"order": anothers}},
    }


# --- npm's ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def installed() -> None:
    """What the lock file says is there."""
    assert not MISSING, f"Node.js is missing: {', '.join(MISSING)}"
    done, locked = CLIENTS / "node_modules/.package-lock.json", CLIENTS / "package-lock.json"
    if not done.exists() or done.stat().st_mtime < locked.stat().st_mtime:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        result = subprocess.run(  # noqa: S603 the command is ours
            command, cwd=CLIENTS, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert result.returncode == 0, result.stderr


@contextmanager
def page(kind: str, task: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 the command is ours
        ["node", "shop.mjs", kind, json.dumps(task)],  # noqa: S607 as the tests' user has it
        cwd=CLIENTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@needs_node
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("kind", "forbidden"), [("ws", 4403), ("sse", 401)])
def test_a_page_queries_writes_subscribes_and_leaves(
    service: Service, product: str, anothers: str, kind: str, forbidden: int
) -> None:
    task = {
        "url": f"{service.url}/graphql",
        "token": service.signed("taro"),
        "operations": operations(product, anothers),
    }
    with page(kind, task) as shop:
        assert shop.stdin
        assert shop.stdout
        seen = json.loads(shop.stdout.readline())
        until(lambda: groups(service) == 0)  # its subscription is over, its connection is not
        shop.stdin.write("go on\n")
        shop.stdin.flush()
        last = json.loads(shop.stdout.readline())

    assert seen["answer"]["data"]["viewer"] == {"username": "taro"}
    placed = seen["mutation"]["data"]["placeOrder"]
    assert placed["userErrors"] == []
    event = seen["event"]["data"]["orderChanged"]
    assert (event["kind"], event["order"]) == ("CREATED", placed["order"])
    assert [error["extensions"]["code"] for error in seen["refused"]] == ["FORBIDDEN"]
    assert last == {"forged": forbidden}


def test_the_lock_file_of_the_clients_names_no_address() -> None:
    lock = (CLIENTS / "package-lock.json").read_text(encoding="utf-8")

    assert "resolved" not in lock
    assert "://" not in lock


# --- Python's -------------------------------------------------------------------------------


Transport = type[WebsocketsTransport] | type[AIOHTTPWebsocketsTransport]
transports = pytest.mark.parametrize("transport", [WebsocketsTransport, AIOHTTPWebsocketsTransport])


def program(service: Service, transport: Transport, token: str) -> Client:
    payload = {"authorization": f"Bearer {token}"}
    url = f"ws{service.url.removeprefix('http')}/graphql"
    return Client(transport=transport(url, subprotocols=[PROTOCOL], init_payload=payload))


def request(operation: dict[str, Any], **variables: Any) -> GraphQLRequest:
    given = operation.get("variables", {}) | variables
    return GraphQLRequest(operation["query"], variable_values=given)


@transports
async def test_a_program_queries_writes_subscribes_and_leaves(
    service: Service, product: str, anothers: str, transport: Transport
) -> None:
    does = operations(product, anothers)
    async with program(service, transport, service.signed("taro")) as session:
        answer = await session.execute(request(does["query"]))
        events = session.subscribe(request(does["subscription"], after=answer["changeCursor"]))
        coming = asyncio.ensure_future(anext(events))
        placed = (await session.execute(request(does["mutation"])))["placeOrder"]
        event = (await within(coming))["orderChanged"]
        with pytest.raises(TransportQueryError) as refused:
            await anext(session.subscribe(request(does["refused"])))
        await events.aclose()
        await asyncio.to_thread(until, lambda: groups(service) == 0)

    assert answer["viewer"] == {"username": "taro"}
    assert placed["userErrors"] == []
    assert (event["kind"], event["order"]) == ("CREATED", placed["order"])
    assert refused.value.errors
    assert refused.value.errors[0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_program_with_a_forged_token_is_refused(service: Service) -> None:
    with pytest.raises(TransportConnectionFailed) as refused:
        async with program(service, WebsocketsTransport, f"{service.signed('taro')}x"):
            pass

    assert isinstance(refused.value.__cause__, ConnectionClosed)
    assert refused.value.__cause__.rcvd
    assert refused.value.__cause__.rcvd.code == 4403


async def test_a_program_without_a_socket_queries_and_writes(
    service: Service, product: str, anothers: str
) -> None:
    url, does = f"{service.url}/graphql", operations(product, anothers)

    def over_http(token: str) -> Client:
        headers = {"authorization": f"Bearer {token}"}
        return Client(transport=AIOHTTPTransport(url, headers=headers))

    async with over_http(service.signed("taro")) as session:
        answer = await session.execute(request(does["query"]))
        placed = (await session.execute(request(does["mutation"])))["placeOrder"]
    async with over_http(f"{service.signed('taro')}x") as forged:
        with pytest.raises(TransportQueryError) as refused:
            await forged.execute(request(does["query"]))

    assert answer["viewer"] == {"username": "taro"}
    assert placed["userErrors"] == []
    assert refused.value.errors
    assert refused.value.errors[0]["extensions"]["code"] == "UNAUTHENTICATED"
