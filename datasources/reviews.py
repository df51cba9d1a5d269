"""Reviews: their rows, the lists of a product's and of a user's, and how they are written."""

from __future__ import annotations

from typing import Any

from datasources.items import Review, Reviewed
from datasources.keys import GSI2, PK, SK, Keys, timestamp
from datasources.listing import Listing
from datasources.writes import ABSENT, PRESENT, Action, Check, Condition, Delete, Put, Update


def row(keys: Keys, review: Review) -> dict[str, Any]:
    """The review's row with every index attribute."""
    pk, sk = keys.review(review.product_id, review.id)
    return {
        PK: pk,
        SK: sk,
        **keys.review_indexes(review.user_id, review.id),
        **review.to_attributes(),
    }


def reviewed_row(keys: Keys, review: Review) -> dict[str, Any]:
    """The row that makes this the user's only review of the product."""
    pk, sk = keys.reviewed(review.user_id, review.product_id)
    mark = Reviewed(user_id=review.user_id, product_id=review.product_id, review_id=review.id)
    return {PK: pk, SK: sk, **mark.to_attributes()}


def of_product(keys: Keys, field: str, product_id: str) -> Listing:
    """A product's reviews, newest first."""
    pk, whole = keys.reviews_of(product_id)
    binding = (keys.tenant, field, product_id)
    return Listing(binding=binding, kind=Review, partitions=(pk,), range=whole)


def by_user(keys: Keys, field: str, user_id: str) -> Listing:
    """A user's reviews, newest first."""
    pk, whole = keys.reviews_by(user_id)
    binding = (keys.tenant, field, user_id)
    return Listing(binding=binding, kind=Review, partitions=(pk,), index=GSI2, range=whole)


def create(keys: Keys, review: Review) -> list[Action]:
    """Puts the review and the mark that it is the user's only one; the product must be there."""
    return [
        Put(reviewed_row(keys, review), ABSENT),
        Put(row(keys, review), ABSENT),
        Check(keys.product(review.product_id), PRESENT),
    ]


def update(keys: Keys, before: Review, after: Review) -> Update:
    """Changes what is edited; whether the purchase is verified is the stream's to change."""
    return Update(
        keys.review(after.product_id, after.id),
        "SET #rating = :rating, #title = :title, #comment = :comment, #updatedAt = :updatedAt",
        {"#rating": "rating", "#title": "title", "#comment": "comment", "#updatedAt": "updatedAt"},
        {
            ":rating": after.rating,
            ":title": after.title,
            ":comment": after.comment,
            ":updatedAt": timestamp(after.updated_at),
        },
        Condition("#updatedAt = :read", {}, {":read": timestamp(before.updated_at)}),
    )


def delete(keys: Keys, review: Review) -> list[Action]:
    """Removes the review and its mark, so that the user may write another."""
    mine = Condition("#reviewId = :reviewId", {"#reviewId": "reviewId"}, {":reviewId": review.id})
    return [
        Delete(keys.review(review.product_id, review.id), PRESENT),
        Delete(keys.reviewed(review.user_id, review.product_id), mine),
    ]
