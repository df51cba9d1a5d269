"""A review is of a verified purchase once its product was delivered to its author.

`addReview` looks for the delivery when it writes. What is written before the delivery is marked
by the delivery; what crosses it, by its own insert: whichever of the two comes last sees the
other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datasources.errors import TransactionCancelled
from datasources.items import Order, OrderStatus, Review, Reviewed, from_row
from datasources.keys import PK, Key, Keys
from datasources.table import Table
from datasources.writes import Condition, Update
from streams.changes import Change, ChangeKind

# Not the time of change: whoever edits the review meanwhile has edited the latest.
_VERIFY = "SET #verified = :yes"
_UNVERIFIED = Condition(
    "attribute_exists(#pk) AND (attribute_not_exists(#verified) OR #verified = :no)",
    {"#pk": PK, "#verified": "verifiedPurchase"},
    {":no": False},
)


@dataclass(frozen=True, slots=True)
class PurchaseReaction:
    """Needs no mark: what is verified is not verified again, and stays so after a refund.

    `table` gives the main table with a fresh deadline, `new_token` ClientRequestTokens.
    """

    table: Callable[[], Table]
    new_token: Callable[[], str]
    name: str = "purchases"

    async def react(self, change: Change) -> None:
        if change.loaded:
            return
        match change.new:
            case Order() as order if _is_delivered(change):
                await self._delivered(change.keys, order)
            case Review(verified_purchase=False) as review if change.kind is ChangeKind.CREATED:
                await self._written(change.keys, review)

    async def _delivered(self, keys: Keys, order: Order) -> None:
        """Verifies what the customer had written of the products by then."""
        wanted = [keys.reviewed(order.user_id, line.product_id) for line in order.items]
        found = await self.table().batch_get(wanted, consistent=True)
        for row in found.values():
            reviewed = from_row(row)
            if isinstance(reviewed, Reviewed):
                await self._verify(keys.review(reviewed.product_id, reviewed.review_id))

    async def _written(self, keys: Keys, review: Review) -> None:
        """Verifies a review whose product was delivered while it was written."""
        bought = keys.purchased(review.user_id, review.product_id)
        if await self.table().batch_get([bought], consistent=True):
            await self._verify(keys.review(review.product_id, review.id))

    async def _verify(self, review: Key) -> None:
        """Passes over a review that is gone or verified."""
        verified = {"#verified": "verifiedPurchase"}
        update = Update(review, _VERIFY, verified, {":yes": True}, _UNVERIFIED)
        try:
            await self.table().transact([update], token=self.new_token())
        except TransactionCancelled:
            return


def _is_delivered(change: Change) -> bool:
    """Whether the order has become DELIVERED by this change."""
    old, new = change.old, change.new
    return (
        isinstance(new, Order)
        and new.status is OrderStatus.DELIVERED
        and not (isinstance(old, Order) and old.status is OrderStatus.DELIVERED)
    )
