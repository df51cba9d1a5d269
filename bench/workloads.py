"""What is asked of every server: the same documents about the same shop."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import orjson

from bench.shelf import CUSTOMER, PAGE, Shelf
from resolvers import global_ids

SECRET = "a secret that every server of the comparison knows"  # noqa: S105 of no worth

SMALL = """query($id: ID!) {
  product(id: $id) { id name description price { amount currencyCode } inventory inStock } }"""
NESTED = """{ viewer { orders(first: 10) { nodes { number items { product {
  name category { name } reviews(first: 3) { nodes { rating author { username } } }
} } } } } }"""
LIST = """query($category: ID!, $first: Int!) {
  products(categoryId: $category, first: $first) { pageInfo { hasNextPage } nodes {
    id name description price { amount currencyCode } status inventory inStock version createdAt
  } } }"""
PLACE = """mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
  order { status itemCount total { amount currencyCode }
    items { productName quantity unitPrice { amount } lineTotal { amount } } }
  replayed userErrors { code message field } } }"""
EVENT = """subscription($id: ID!) { productChanged(productId: $id) {
  kind occurredAt changedFields previousInventory
  product { id name inventory inStock price { amount currencyCode } } } }"""

LINES = 3


@dataclass(frozen=True, slots=True)
class Workload:
    """`path` is where the server without GraphQL has it. `callers` ask at once; a `steady`
    answer is the same each time. Ratios are the goals: at least so many times less CPU than the
    straightforward server and than the better Node server, at most so many times the floor."""

    key: str
    title: str
    query: str
    variables: dict[str, Any]
    signed_in: bool
    callers: int
    goals: tuple[float, float, float]

    @property
    def writes(self) -> bool:
        return self.query.startswith("mutation")


def workloads(shelf: Shelf) -> list[Workload]:
    goods, category = shelf.goods, global_ids.of(shelf.category)
    listed = {"category": category, "first": PAGE}
    return [
        Workload("a", "one product", SMALL, {"id": goods[0]}, False, 8, (12, 4, 3)),
        Workload("b", "nested, 590 fields", NESTED, {}, True, 1, (12, 4, 1.5)),
        Workload("c", "100 products of 11 fields", LIST, listed, False, 8, (8, 2.5, 2.5)),
        Workload("d", "an order of 3 lines", PLACE, {"goods": goods}, True, 8, (4, 2, 2.5)),
    ]


def requests(workload: Workload, path: str) -> Iterator[bytes]:
    """Requests without end, as bytes; orders each with a key of its own, of other products."""
    headers = b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n" % (
        path.encode()
    )
    headers += b"Accept: application/json\r\n"
    if workload.signed_in:
        headers += b"Authorization: Bearer %b\r\n" % token().encode()
    if not workload.writes:
        yield from itertools.repeat(_request(headers, workload.query, workload.variables))
    goods, run = workload.variables["goods"], uuid.uuid4().hex
    for number in itertools.count():
        lines = [
            {"productId": goods[(number + line) % len(goods)], "quantity": 1 + line}
            for line in range(LINES)
        ]
        given = {"items": lines, "idempotencyKey": f"{run}-{number}"}
        yield _request(headers, workload.query, {"input": given})


def _request(headers: bytes, query: str, variables: dict[str, Any]) -> bytes:
    body = orjson.dumps({"query": query, "variables": variables})
    return headers + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def token() -> str:
    claims = {"sub": CUSTOMER, "exp": int(time.time()) + 86_400}
    return jwt.encode(claims, SECRET, algorithm="HS256")
