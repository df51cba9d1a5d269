"""Canaries: what only its owner and the store may hold, planted wherever there is room for it, and
all that can go wrong with it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from datasources.attributes import encode_row
from datasources.client import open_client
from datasources.keys import Keys
from resolvers import global_ids
from resolvers.tokens import mint
from tests.e2e.around import TABLE, Around, quoting
from tests.e2e.live.peers import connected
from tests.e2e.support import Service
from tests.support import items, plain, proxy
from tests.support.broker import Broker
from tests.support.proxy import Fault
from tests.support.shop import TestShop

MARK = "swordfish"
ALLOWED = "a-request-id-is-allowed"
SPOILT = items.new_id(9, "product")


def canary(place: str) -> str:
    """What the report of a failure says was planted there."""
    return f"{MARK}-{place}"


SECRETS = {
    "JWT_SECRET": canary("jwt-secret-of-thirty-two-bytes-or-more"),
    "CURSOR_KEYS": canary("cursor-key"),
}
COMMENT = f"# {canary('comment-of-a-document')}\n"
EMAIL = f"{canary('email')}@example.com"
SHOP = "query Shop { products(first: 3) { nodes { id name category { name } } } }"
FAULTY = f"{COMMENT} query Faulty {{ {MARK}: products(first: 2) {{ nodes {{ name }} }} }}"
PAGE = "query Page($after: String) { products(first: 1, after: $after) { pageInfo { endCursor } } }"
NODE = "query Node($id: ID!) { node(id: $id) { id } }"
FIND = "query Find($email: String!) { userByEmail(email: $email) { id } }"
CHANGES = """subscription Changes($id: ID!, $after: String) {
    productChanged(productId: $id, after: $after) { kind } }"""


def mutation(field: str, kind: str) -> str:
    return (
        f"{COMMENT} mutation Write($input: {kind}Input!) "
        f"{{ {field}(input: $input) {{ userErrors {{ code }} }} }}"
    )


SIGN_UP = mutation("createUser", "CreateUser")
REVIEW = mutation("addReview", "AddReview")
ORDER = mutation("placeOrder", "PlaceOrder")
CREATE = mutation("createProduct", "CreateProduct")
ERASE = mutation("deleteUser", "DeleteUser")


@dataclass
class World:
    """A service and the processor behind it, if there is a broker for the two, and what is to be
    found nowhere."""

    around: Around
    service: Service
    client: httpx.Client
    broker: Broker | None
    processor: list[str]
    processes: ExitStack
    planted: set[str] = field(default_factory=lambda: {MARK})

    def __post_init__(self) -> None:
        self.customer = self.plant(self.service.signed(canary("subject")))
        self.staff = self.plant(self.service.signed(canary("staff"), staff=True))

    def plant(self, text: str) -> str:
        """A token, whose parts are not to be found either, or a cursor."""
        self.planted |= {text, *text.split(".")[1:]}
        return text

    def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        given = {"query": query, "variables": variables}
        response = self.client.post("/graphql", json=given, headers=headers)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def send(self, method: str = "POST", **request: Any) -> int:
        """Any request to `/graphql`: the status of the answer."""
        return self.client.request(method, "/graphql", **request).status_code

    def followed(self) -> str:
        """What the process tells Prometheus that follows the stream."""
        if not self.broker:
            return self.service.get("/metrics").text
        (line,) = (line for line in self.processor if "Answering probes on " in line)
        return plain.get(f"{line.split()[-1]}/metrics").text

    def given_up(self, reaction: str) -> float:
        """How many records, by that reaction."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.followed())
            for sample in family.samples
            if sample.name == "cartograph_dead_letters_total"
            and sample.labels == {"reaction": reaction}
        )

    def told(self) -> dict[str, str]:
        """All that is told to anybody who watches. The processes end meanwhile: some things are
        only said then."""
        told = {
            "metrics": self.client.get("/metrics").text,
            "metrics of who follows": self.followed(),
            "readiness": self.client.get("/readyz").text,
        }
        self.processes.close()
        return told | {
            "log": "".join(self.said),
            "traces": self.around.collector.text,
            "dead letters": json.dumps(asyncio.run(self.around.letters())),
        }

    @property
    def said(self) -> list[str]:
        return [*self.service.said, *self.processor]


def write(world: World) -> None:
    """What is right, and what is almost."""
    given: Any
    product = world.ask(SHOP)["data"]["products"]["nodes"][0]["id"]
    account = {
        "email": EMAIL,
        "username": canary("username"),
        "lastName": canary("last-name"),
        "profileImageUrl": f"https://hooks.example/T00/{canary('webhook')}?key={MARK}",
    }
    review = {"productId": product, "rating": 5, "comment": canary("review")}
    address = {
        "recipient": canary("recipient"),
        "line1": canary("street"),
        "city": canary("city"),
        "postalCode": MARK,
        "countryCode": "JP",
    }
    order = {
        "items": [{"productId": product, "quantity": 1}],
        "shippingAddress": address,
        "idempotencyKey": canary("idempotency-key"),
    }
    price = {"amount": "100", "currencyCode": "JPY"}
    goods = {"name": canary("product"), "description": canary("description"), "price": price}
    for given in (account, account | {"phoneNumber": canary("phone")}, {MARK: MARK}, MARK, [MARK]):
        world.ask(SIGN_UP, world.customer, input=given)
    for given in (
        review,
        review,
        review | {"rating": canary("rating")},
        review | {"rating": 10**30},
    ):
        world.ask(REVIEW, world.customer, input=given)
    for given in (order, order, order | {"items": []}, order | {"shippingAddress": None}):
        world.ask(ORDER, world.customer, input=given)
    world.ask(CREATE, world.customer, input=goods)
    world.ask(CREATE, world.staff, input=goods)
    world.ask(CREATE, world.staff, input=goods | {"price": price | {"amount": canary("amount")}})
    world.ask(FIND, world.customer, email=EMAIL)
    world.ask(FIND, world.staff, email=EMAIL)


def read(world: World) -> None:
    """Cursors, IDs, and documents that cannot be run."""
    page = world.ask(PAGE)["data"]["products"]["pageInfo"]
    cursor = world.plant(page["endCursor"])
    for after in (cursor, cursor[:-4] + MARK, canary("cursor"), 7, {MARK: MARK}):
        world.ask(PAGE, after=after)
    world.ask(
        "query Q($after: String) { orders(first: 1, after: $after) { nodes { id } } }",
        world.staff,
        after=cursor,
    )
    world.ask(NODE, id=canary("id"))
    world.ask(NODE, **{canary("variable"): canary("value")})
    for document in (
        f'{{ product(id: "{canary("literal")}") {{ {MARK}: name }} }}',
        f"{{ {canary('field')} }}",
        f'{{ product(id: "{MARK}", {MARK}: "{MARK}") {{ name @{MARK} ...{MARK} }} }}',
        f'{{ {MARK}(id: "',
        f'query {MARK}({{ "{MARK}',
    ):
        world.ask(COMMENT + document)
    assert world.send(json={"query": SHOP}, headers={"x-request-id": ALLOWED}) == 200


def misspeak(world: World) -> None:
    """Requests that are none, or not to be believed."""
    another = canary("another-secret-of-thirty-two-bytes")
    forged = world.plant(mint(another, sub=MARK, staff=True, tenant=None, now=time.time))
    expired = world.plant(world.service.signed(MARK, lifetime=-3_600))
    for token in (f"Bearer {forged}", f"Bearer {expired}", f"Bearer {MARK}", f"Basic {MARK}", MARK):
        assert world.send(json={"query": SHOP}, headers={"authorization": token}) == 401
    assert world.send(json={"query": SHOP}, headers={"x-tenant": canary("tenant")}) == 400
    kind = {"content-type": "application/json"}
    for body in (f'{{"query": "{MARK}', f'["{MARK}"]', f'"{MARK}"', f'{{"query": ["{MARK}"]}}'):
        assert world.send(content=body, headers=kind) == 400
    assert world.send(content=b'{"query": "\xff%b"}' % MARK.encode(), headers=kind) == 400
    assert world.send(content=f"query={MARK}", headers={"content-type": f"text/{MARK}"}) == 415
    assert world.send(content=MARK * 20_000, headers=kind) == 413
    named = {"documentId": canary("document-id"), "operationName": canary("operation-name")}
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": canary("hash")}}
    for given in (named, {"query": SHOP} | named, {"extensions": persisted}, {"variables": MARK}):
        world.send(json=given)
    address = {"query": FAULTY, "variables": json.dumps({MARK: MARK}), MARK: MARK}
    assert world.send("GET", params=address) == 200
    assert world.send("GET", params={"query": FAULTY, "variables": f"{{{MARK}"}) == 400
    assert world.send("GET", params={"query": ERASE, "variables": '{"input": {}}'}) == 405
    headers = {"cookie": MARK, "referer": f"https://{MARK}/", "user-agent": MARK, "origin": MARK}
    for path in (f"/{MARK}?{MARK}={quote(EMAIL)}", f"/metrics?{MARK}", f"/healthz/{MARK}"):
        world.client.get(path, headers=headers)
    for wrong in (
        f"{MARK} / HTTP/1.1\r\n\r\n",
        f"GET /graphql?{MARK} HTTP/1.1\r\n{MARK}\r\n\r\n",
        f"POST /graphql HTTP/1.1\r\ncontent-length: {MARK}\r\n\r\n",
        f"GET /graphql HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n{MARK}: 1\r\n\r\n",
    ):
        raw(world.service, wrong.encode())


def raw(service: Service, sent: bytes) -> None:
    """Says something on a connection, and hears it out."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


async def talk(world: World) -> None:
    """Over websockets: what breaks their protocol, and what does not."""
    url = world.service.url
    payloads = (
        {"authorization": f"Bearer {canary('token-of-a-socket')}"},
        {"tenant": canary("tenant-of-a-socket")},
        {"authorization": [MARK]},
        MARK,
    )
    wrong: list[Any] = [{"type": "connection_init", "payload": each} for each in payloads]
    wrong += [
        canary("no-json"),
        f'["{MARK}"]',
        {"type": MARK},
        MARK.encode(),
        b"\xff" + MARK.encode(),
    ]
    wrong += [{"type": "subscribe", "id": MARK, "payload": {"query": SHOP}}]
    for message in wrong:
        async with connected(url, initialised=False) as peer:
            await peer.say(message)
            assert await peer.end() in range(4400, 4500)
    for message in (
        {"type": "subscribe", "id": MARK, "payload": {"query": [MARK]}},
        {"type": "ping", "payload": MARK},
        {"type": "complete", "id": [MARK]},
    ):
        async with connected(url, world.customer) as peer:
            await peer.say(message)
            assert await peer.end() == 4400
    async with connected(url, world.customer) as peer:
        await peer.say({"type": "ping", "payload": {MARK: MARK}})
        assert (await peer.hear())["payload"] == {MARK: MARK}
        for query, variables in (
            (FAULTY, {}),
            (f"{{ {MARK} }}", {}),
            (PAGE, {"after": canary("cursor-of-a-socket")}),
            (CHANGES, {"id": MARK, "after": canary("change-cursor")}),
            (REVIEW, {"input": {MARK: MARK}}),
        ):
            await peer.subscribe(query, MARK, **variables)
            while (await peer.hear())["type"] == "next":
                pass
        await peer.subscribe(CHANGES, MARK, id=canary("id-of-a-subscription"))
        await peer.subscribe(CHANGES, MARK, id=MARK)
        assert await peer.end() in {4400, 4409}


def suffer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that can befall a call of the store, and then the broker."""
    product = world.ask(SHOP)["data"]["products"]["nodes"][0]["id"]
    review = {"productId": product, "rating": 5, "comment": canary("faulty-review")}

    def both() -> None:
        world.ask(FAULTY)
        world.ask(REVIEW, world.customer, input=review)

    monkeypatch.setattr(proxy, "_error", partial(quoting, EMAIL))
    for fault in (Fault.THROTTLE, Fault.FAIL, Fault.DROP, Fault.LOSE, Fault.CONFLICT):
        with world.around.faults({fault: 1.0}):
            both()
    # What no store should say: whoever follows the stream would be right to give up.
    befalls = proxy._befalls
    monkeypatch.setattr(proxy, "_THROTTLES", ("ValidationException",))
    monkeypatch.setattr(
        proxy,
        "_befalls",
        lambda fault, operation, body: (
            operation in {"Query", "BatchGetItem", "TransactWriteItems"}
            and befalls(fault, operation, body)
        ),
    )
    with world.around.faults({Fault.THROTTLE: 1.0}):
        both()
    world.around.proxy.vanish()
    both()
    world.around.proxy.reappear()


async def spoil(world: World) -> None:
    """Rows that break their own form, one that a reaction comes upon, and a mail that SES refuses:
    each quotes somebody."""
    keys = Keys("default", 4)
    rows = {
        keys.product(SPOILT): "Product",
        keys.user("spoilt"): "User",
        keys.user("unknown"): canary("entity"),
    }
    async with open_client(world.around.endpoint) as client:
        for (pk, sk), entity in rows.items():
            row = {"PK": pk, "SK": sk, "entity": entity, "status": canary("row")}
            await client.put_item(TableName=TABLE, Item=encode_row(row))
        shop = TestShop(client, TABLE, "default")
        await shop.put(items.order(1, "spoilt"), items.order(2, "unknown"))
        await shop.put(items.user(7, email=EMAIL, id=canary("user")))
    await asyncio.to_thread(world.ask, NODE, id=global_ids.encode("Product", SPOILT))
