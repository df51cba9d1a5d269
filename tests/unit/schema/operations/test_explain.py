"""Explanations: which calls make a round, and which fields had a call each."""

from __future__ import annotations

import pytest

from datasources.calls import Call
from schema.operations.explain import Asked, Asker, Record, repeated, rounds


def asked(began: float, seconds: float, *askers: Asker, operation: str = "Query") -> Asked:
    call = Call(operation, "shop", None, 1, 3, 0, 0.5, began, seconds, 1, None)
    return Asked(call, frozenset(askers))


def reviews(product: int) -> Asker:
    return Asker("Product.reviews", ("products", "nodes", product, "reviews"))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], []),
        ([(0, 5), (1, 5), (2, 5)], [3]),
        ([(0, 5), (5, 5)], [1, 1]),
        ([(0, 5), (1, 1), (2.5, 1)], [2, 1]),
        ([(0, 5), (4.9, 50), (6, 1), (7, 1)], [2, 1, 1]),
    ],
)
def test_a_round_is_what_began_before_any_of_its_answers_came(
    times: list[tuple[float, float]], expected: list[int]
) -> None:
    calls = [asked(began, seconds) for began, seconds in times]
    assert [len(each) for each in rounds(calls)] == expected


def test_a_field_with_a_call_for_each_of_its_places_is_pointed_out() -> None:
    calls = [asked(0, 1, reviews(product)) for product in range(20)]
    (found,) = repeated(calls)
    assert found == {
        "field": "Product.reviews",
        "path": "products.nodes.reviews",
        "operation": "Query",
        "index": None,
        "calls": 20,
        "times": 20,
    }


def test_places_that_are_asked_for_together_are_nothing_to_point_out() -> None:
    together = [reviews(product) for product in range(20)]
    # Two calls of one batch, as for more than 100 keys or for the shards of a list.
    assert list(repeated([asked(0, 1, *together), asked(0, 1, *together)])) == []


def test_the_fields_of_a_call_are_told_apart() -> None:
    viewer = Asker("Query.viewer", ("viewer",))
    calls = [asked(0, 1, viewer, reviews(0)), asked(2, 1, viewer, reviews(1))]
    assert [each["field"] for each in repeated(calls)] == ["Product.reviews"]


def test_an_operation_without_calls_has_no_rounds() -> None:
    assert Record().told() == {"rounds": [], "repeated": [], "cached": 0}
