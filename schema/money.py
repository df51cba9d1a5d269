"""Money as clients see it: an exact decimal and a currency code."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from schema.node import Info


@strawberry.type(description="An amount in a currency.")
class Money:
    amount: Decimal
    currency_code: str = strawberry.field(description="ISO 4217.")


def money(info: Info, minor: int) -> Money:
    """An amount of minor units in the store's one currency."""
    currency = info.context.shop.currency
    return Money(amount=currency.amount(minor), currency_code=currency.code)
