"""What customers are written, as the outbox of the embedded service shows it."""

from __future__ import annotations

import uuid
from typing import Any

from tests.e2e.support import Service, until

SIGN_UP = (
    "mutation ($input: CreateUserInput!) { createUser(input: $input) { userErrors { code } } }"
)
ORDER = """
  mutation ($input: PlaceOrderInput!) {
    placeOrder(input: $input) { order { number } userErrors { code } }
  }
"""
IN_STOCK = "{ products(first: 100) { nodes { id name inventory } } }"


def test_a_japanese_customer_is_welcomed_and_told_of_the_order_in_japanese(
    service: Service,
) -> None:
    subject = f"u{uuid.uuid4().hex[:12]}"
    address, token = f"{subject}@example.jp", service.signed(subject)
    account = {"email": address, "username": subject, "firstName": "さくら", "lastName": "山本"}
    nodes = service.ask(IN_STOCK)["data"]["products"]["nodes"]
    product = max(nodes, key=lambda node: node["inventory"])
    order = {
        "items": [{"productId": product["id"], "quantity": 1}],
        "idempotencyKey": uuid.uuid4().hex,
    }

    signed_up = service.ask(SIGN_UP, token, input=account)["data"]["createUser"]
    placed = service.ask(ORDER, token, input=order)["data"]["placeOrder"]
    until(lambda: len(mails(service, address)) == 2)

    assert signed_up["userErrors"] == placed["userErrors"] == []
    written = {mail["kind"]: mail for mail in mails(service, address)}
    assert set(written) == {"welcome", "order_confirmation"}
    welcome, confirmation = written["welcome"], written["order_confirmation"]
    assert welcome["language"] == confirmation["language"] == "ja"
    assert "登録ありがとうございます" in welcome["subject"]
    for part in ("text", "html"):
        assert "山本" in welcome[part]
        assert placed["order"]["number"] in confirmation[part]
        assert product["name"] in confirmation[part]


def test_other_programs_are_told_of_who_signs_up_and_of_orders(service: Service) -> None:
    subject = f"u{uuid.uuid4().hex[:12]}"
    account = {"email": f"{subject}@example.com", "username": subject}
    service.ask(SIGN_UP, service.signed(subject), input=account)

    def told() -> bool:
        events = outbox(service)["events"]
        return any(
            event["message"]["type"] == "user-created" and subject in str(event["message"])
            for event in events
        )

    until(told)


def outbox(service: Service) -> dict[str, list[dict[str, Any]]]:
    content: dict[str, list[dict[str, Any]]]
    content = service.get("/dev/outbox", accept="application/json").json()
    return content


def mails(service: Service, address: str) -> list[dict[str, Any]]:
    return [mail for mail in outbox(service)["mails"] if mail["to"] == address]
