"""The mutations of orders and stock, and what tests of them say again and again."""

from __future__ import annotations

from typing import Any

from datasources.items import Product
from resolvers import global_ids
from tests.support.shop import Result, TestShop

PLACE = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) {
  replayed
  order { id number status version placedAt total { amount }
          items { productName quantity unitPrice { amount } } }
  userErrors { code field } } }"""
PLACE_BRIEFLY = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) {
  replayed order { id number } userErrors { code field } } }"""
CANCEL = """mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) {
  order { status version history { status note } } userErrors { code field } } }"""
ADVANCE = """mutation ($input: AdvanceOrderInput!) { advanceOrder(input: $input) {
  order { status version history { status } } userErrors { code field } } }"""


ADJUST = """mutation ($input: AdjustInventoryInput!) { adjustInventory(input: $input) {
  product { inventory } userErrors { code field } } }"""
UPDATE_PRODUCT = """mutation ($input: UpdateProductInput!) { updateProduct(input: $input) {
  product { name version status price { amount } } userErrors { code field } } }"""


def line(product: Product, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"productId": global_ids.of(product), "quantity": quantity, **more}


def order(*lines: dict[str, Any], key: str = "key-0001") -> dict[str, Any]:
    return {"items": list(lines), "idempotencyKey": key}


def payload(result: Result) -> dict[str, Any]:
    """What the one mutation of an operation answered."""
    assert result.errors == []
    [answer] = result.data.values()
    found: dict[str, Any] = answer
    return found


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["code"] for error in answer["userErrors"]]


async def stock(shop: TestShop, *goods: Product) -> list[int]:
    """What is left of each product."""
    keys = [shop.keys.product(each.id) for each in goods]
    rows = await shop.table().batch_get(keys, consistent=True)
    return [rows[key]["inventory"] for key in keys]
