"""The running service over real HTTP: who sees what, and what is refused by name."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from resolvers.global_ids import encode
from tests.e2e.support import Service
from tests.support import plain

TARO = encode("User", "taro")
HANAKO = encode("User", "hanako")
ELECTRONICS = encode("Category", "electronics")


@pytest.fixture
def token(request: pytest.FixtureRequest, caller: str | None) -> str | None:
    """The token of the caller whom a test names."""
    return None if caller is None else str(request.getfixturevalue(caller))


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


# --- who sees what --------------------------------------------------------------------------


@pytest.mark.parametrize("caller", [None, "taro", "staff"])
def test_the_storefront_is_for_everybody(service: Service, token: str | None) -> None:
    query = """
      { categoryBySlug(slug: "electronics") { name productCount products(first: 100) {
          nodes { name inStock price { amount currencyCode } ratingSummary { count }
            reviews(first: 1) { nodes { rating author { username } } } } } } }
    """

    answer = service.ask(query, token)

    assert "errors" not in answer
    category = answer["data"]["categoryBySlug"]
    prices = {node["name"]: node["price"] for node in category["products"]["nodes"]}
    assert prices["ノートパソコン"] == {"amount": "120000", "currencyCode": "JPY"}
    assert prices["スマートフォン"] == {"amount": "80000", "currencyCode": "JPY"}
    assert len(prices) == category["productCount"]


@pytest.mark.parametrize(
    ("caller", "expected"), [(None, None), ("taro", "太郎"), ("hanako", "花子")]
)
def test_the_viewer_is_the_caller(
    service: Service, token: str | None, expected: str | None
) -> None:
    viewer = service.ask("{ viewer { firstName } }", token)["data"]["viewer"]

    assert viewer == (expected and {"firstName": expected})


@pytest.mark.parametrize(
    ("caller", "expected"),
    [(None, "UNAUTHENTICATED"), ("taro", None), ("hanako", "FORBIDDEN"), ("staff", None)],
)
def test_private_fields_are_for_their_owner_and_staff(
    service: Service, token: str | None, expected: str | None
) -> None:
    query = """
      query ($id: ID!) { user(id: $id) { username email phoneNumber emailVerified
        orders(first: 2) { nodes { number } } } }
    """

    answer = service.ask(query, token, id=TARO)

    user = answer["data"]["user"]
    assert user["username"]
    private = [user[name] for name in ("email", "emailVerified", "orders")]
    if expected:
        assert private == [None] * 3
        assert codes(answer) == [expected] * 4
    else:
        assert None not in private
        assert codes(answer) == []


@pytest.mark.parametrize(
    ("caller", "expected"),
    [(None, ["UNAUTHENTICATED"]), ("taro", ["FORBIDDEN"]), ("staff", [])],
)
@pytest.mark.parametrize(
    "query",
    [
        "{ users(first: 1) { nodes { email } } }",
        "{ orders(first: 1) { nodes { customer { email } } } }",
        "{ products(first: 1, status: DRAFT) { nodes { id } } }",
        '{ userByEmail(email: "taro@example.com") { email } }',
    ],
)
def test_lists_of_everything_are_for_staff(
    service: Service, query: str, token: str | None, expected: list[str]
) -> None:
    assert codes(service.ask(query, token)) == expected


def test_an_order_of_somebody_else_looks_like_none(
    service: Service, taro: str, hanako: str, staff: str
) -> None:
    mine = "{ viewer { orders(first: 1) { nodes { id number } } } }"
    order = service.ask(mine, taro)["data"]["viewer"]["orders"]["nodes"][0]
    query = """
      query ($id: ID!, $number: String!) {
        order(id: $id) { number } orderByNumber(number: $number) { number }
        node(id: $id) { id } nodes(ids: [$id]) { id } }
    """
    nothing = {"order": None, "orderByNumber": None, "node": None, "nodes": [None]}

    for seeing in (taro, staff):
        answer = service.ask(query, seeing, **order)
        assert "errors" not in answer
        assert answer["data"]["order"] == {"number": order["number"]}
        assert answer["data"]["nodes"] == [{"id": order["id"]}]
    for blind in (hanako, None):
        answer = service.ask(query, blind, **order)
        assert answer["data"] == nothing
        assert "errors" not in answer


def test_pages_join_without_a_gap_over_http(service: Service) -> None:
    query = """
      query ($after: String, $n: Int) { products(first: $n, after: $after) {
        nodes { id } pageInfo { hasNextPage endCursor } } }
    """
    whole = service.ask(query, n=100)["data"]["products"]["nodes"]
    pages, after, more = [], None, True
    while more:
        page = service.ask(query, n=7, after=after)["data"]["products"]
        pages += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    assert pages == whole
    assert len(whole) > 14


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", ["staff"])
@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ("products(first: 0) { nodes { id } }", "first"),
        ("products(first: 101) { nodes { id } }", "first"),
        ("products(first: -1) { nodes { id } }", "first"),
        ("products(last: 0) { nodes { id } }", "last"),
        ("products(last: 101) { nodes { id } }", "last"),
        ("products(first: 1, last: 1) { nodes { id } }", "first"),
        ('products(first: 1, before: "x") { nodes { id } }', "first"),
        ('products(last: 1, after: "x") { nodes { id } }', "after"),
        ('product(id: "not an ID") { id }', "id"),
        ('product(id: "") { id }', "id"),
        ('product(id: "\\u0000") { id }', "id"),
        ('node(id: "VXNlcg") { id }', "id"),
        ('nodes(ids: ["x"]) { id }', "ids"),
        (f'product(id: "{TARO}") {{ id }}', "id"),
        (f'order(id: "{ELECTRONICS}") {{ id }}', "id"),
        (f'products(categoryId: "{TARO}") {{ nodes {{ id }} }}', "categoryId"),
        (
            f'products(categoryId: "{ELECTRONICS}", price: {{ min: "2", max: "1" }}) '
            "{ nodes { id } }",
            "price",
        ),
        ("products(orderBy: { field: PRICE }) { nodes { id } }", "orderBy"),
        ('products(price: { min: "1" }) { nodes { id } }', "price"),
        (
            'orders(placed: { from: "2026-02-01T00:00:00Z", to: "2026-01-01T00:00:00Z" }) '
            "{ nodes { id } }",
            "placed",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_the_name_of_the_argument(
    service: Service, token: str, field: str, argument: str
) -> None:
    answer = service.ask(f"{{ {field} }}", token)

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == argument
    assert error["message"].startswith(f"{argument}: ")
    assert answer["extensions"]["cost"]["actual"]["requests"] == 0


@pytest.mark.parametrize("cursor", ["", "x", "gAAAAA", "é", "\0"])
def test_a_cursor_that_was_not_given_out_is_refused(service: Service, cursor: str) -> None:
    query = "query ($after: String) { products(first: 1, after: $after) { nodes { id } } }"

    answer = service.ask(query, after=cursor)

    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "INVALID_CURSOR", "argument": "after"}


# --- HTTP -----------------------------------------------------------------------------------


def post(service: Service, **request: Any) -> httpx.Response:
    return plain.post(f"{service.url}/graphql", **request)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        "Basic dGFybzp0YXJv",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0YXJvIiwiZXhwIjo0MTAyNDQ0ODAwfQ.",
    ],
)
def test_a_bad_token_is_never_anonymous(service: Service, authorization: str) -> None:
    response = post(
        service,
        json={"query": "{ __typename }"},
        headers={"authorization": authorization},
    )

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_a_token_with_one_letter_changed_is_refused(service: Service, taro: str) -> None:
    signature = taro.rpartition(".")[2]
    other = ("A" if signature[0] != "A" else "B") + signature[1:]
    forged = taro.removesuffix(signature) + other

    response = post(
        service, json={"query": "{ __typename }"}, headers={"authorization": f"Bearer {forged}"}
    )

    assert response.status_code == 401


@pytest.mark.parametrize(("tenant", "status"), [("default", 200), ("elsewhere", 400), ("", 400)])
def test_a_tenant_can_be_named(service: Service, tenant: str, status: int) -> None:
    response = post(service, json={"query": "{ __typename }"}, headers={"x-tenant": tenant})

    assert response.status_code == status


def test_an_answer_tells_its_cost_and_keeps_the_request_id(service: Service, taro: str) -> None:
    response = post(
        service,
        json={"query": "{ viewer { orders(first: 3) { nodes { number } } } }"},
        headers={"authorization": f"Bearer {taro}", "x-request-id": "abc-1"},
    )

    assert response.headers["x-request-id"] == "abc-1"
    cost = response.json()["extensions"]["cost"]
    assert cost["requested"] == 1 + 3
    assert cost["actual"]["requests"] == 2
    assert cost["actual"]["readUnits"] > 0
    assert cost["actual"]["writeUnits"] == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"null", 400), (b"[" * 90_000, 400), (b"\xff", 400), (b" " * 200_000, 413)],
    ids=["null", "deep", "bad UTF-8", "too large"],
)
def test_a_body_that_is_no_request_is_refused_and_the_service_lives(
    service: Service, content: bytes, status: int
) -> None:
    response = post(service, content=content, headers={"content-type": "application/json"})

    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert service.ask("{ __typename }")["data"] == {"__typename": "Query"}


def test_head_runs_nothing_and_has_no_body(service: Service) -> None:
    response = plain.head(f"{service.url}/graphql", params={"query": "{ __typename }"})

    assert response.content == b""


def test_nothing_tells_what_the_service_is_made_of(service: Service) -> None:
    assert "server" not in post(service, json={"query": "{ __typename }"}).headers
