"""Queries: what is asked of one partition, in the words of the DynamoDB API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from datasources.attributes import encode
from datasources.keys import EVERYTHING, SortRange, partition_attribute, sort_attribute

R = TypeVar("R")

_PARTITION = "#pk = :pk"
_CONDITIONS = {
    (False, False): _PARTITION,
    (True, False): _PARTITION + " AND #sk >= :low",
    (False, True): _PARTITION + " AND #sk <= :high",
    (True, True): _PARTITION + " AND #sk BETWEEN :low AND :high",
}
_FILTER = "#filter = :filter"
_SORT_KEY = "#sk"


@dataclass(frozen=True, slots=True)
class Query:
    """One partition of the table (`index` None) or of an index, a range of it, in one direction.

    `equals` is a filter on one attribute: read, paid for and left out of the answer. With
    `keys_only` rows come with their sort key alone, for who asks only whether there are any.
    """

    pk: str
    range: SortRange = EVERYTHING
    index: str | None = None
    descending: bool = False
    equals: tuple[str, str] | None = None
    keys_only: bool = False


class QueryPage(NamedTuple, Generic[R]):
    """Rows in order, how many were read for them, and where to go on; None: nothing is left."""

    rows: Sequence[R]
    read: int
    start: Mapping[str, Any] | None


def page_of(answer: Mapping[str, Any], rows: Sequence[R]) -> QueryPage[R]:
    """The page that the answer of the operation is, its rows read."""
    return QueryPage(rows, answer["ScannedCount"], answer.get("LastEvaluatedKey"))


def parameters_of(query: Query) -> dict[str, Any]:
    """Those of the operation Query that say which rows, and in which order."""
    low, high = query.range.low, query.range.high
    names = {"#pk": partition_attribute(query.index)}
    values = {":pk": encode(query.pk)}
    if low is not None or high is not None or query.keys_only:
        names["#sk"] = sort_attribute(query.index)
    if low is not None:
        values[":low"] = encode(low)
    if high is not None:
        values[":high"] = encode(high)
    parameters: dict[str, Any] = {
        "KeyConditionExpression": _CONDITIONS[low is not None, high is not None],
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": not query.descending,
    }
    if query.keys_only:
        parameters["ProjectionExpression"] = _SORT_KEY
    if query.index:
        parameters["IndexName"] = query.index
    if query.equals:
        names["#filter"], values[":filter"] = query.equals[0], encode(query.equals[1])
        parameters["FilterExpression"] = _FILTER
    return parameters
