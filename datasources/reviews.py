"""Reviews: their rows, and the lists of a product's and of a user's."""

from __future__ import annotations

from typing import Any

from datasources.items import Review, Reviewed
from datasources.keys import GSI2, PK, SK, Keys
from datasources.listing import Listing


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
    return Listing(binding=(keys.tenant, field, product_id), partitions=(pk,), range=whole)


def by_user(keys: Keys, field: str, user_id: str) -> Listing:
    """A user's reviews, newest first."""
    pk, whole = keys.reviews_by(user_id)
    return Listing(binding=(keys.tenant, field, user_id), partitions=(pk,), index=GSI2, range=whole)
