"""Which requests have a line in the log, and what it holds."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphql import OperationDefinitionNode, OperationType, parse

from datasources.table import Meter
from resolvers.principal import Principal
from schema.limits import Limits
from schema.operations.metrics import RequestMetrics
from schema.operations.operation import Operation, Refused
from schema.operations.watching import Lines, WatchedExecutor, Watcher
from schema.running import failed
from tests.support.endpoint import SCHEMA

BUSY = {"message": "swordfish", "extensions": {"code": "SERVICE_UNAVAILABLE"}}
FORBIDDEN = {"message": "swordfish", "extensions": {"code": "FORBIDDEN"}}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def ran(watcher: Watcher, *errors: dict[str, Any], took: float = 0.01) -> None:
    definition = parse("query Storefront { hello }").definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    operation = SimpleNamespace(definition=definition, kind=OperationType.QUERY, requested=7)
    context = SimpleNamespace(
        table=SimpleNamespace(meter=Meter(2, 1.5, 0.0)),
        request_id="r-1",
        principal=Principal("swordfish", "t", False, None),
    )
    watcher.ran(cast("Operation", operation), cast("Any", context), errors, took)


@pytest.fixture
def metrics() -> RequestMetrics:
    return RequestMetrics()


@pytest.mark.parametrize(
    ("lines", "expected"), [(Lines.NONE, 0), (Lines.NOTABLE, 2), (Lines.ALL, 4)]
)
def test_what_was_slow_or_failed_for_our_part_is_notable(
    lines: Lines, expected: int, metrics: RequestMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watcher = Watcher(metrics, lines, slow=1.0)
    ran(watcher)
    ran(watcher, FORBIDDEN)
    ran(watcher, BUSY)
    ran(watcher, took=1.5)
    assert len(caplog.records) == expected


def test_a_line_says_what_it_cost_and_nothing_of_who_asked_for_what(
    metrics: RequestMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    ran(Watcher(metrics, Lines.ALL), BUSY, FORBIDDEN, took=0.0123)
    (record,) = caplog.records
    told = vars(record)
    assert record.levelno == logging.WARNING
    assert (told["operation"], told["kind"], told["tenant"]) == ("Storefront", "query", "t")
    assert told["codes"] == ["FORBIDDEN", "SERVICE_UNAVAILABLE"]
    assert (told["milliseconds"], told["cost"], told["calls"]) == (12.3, 7, 2)
    assert (told["read_units"], told["request_id"]) == (1.5, "r-1")
    assert "swordfish" not in str(told)


def test_when_all_fail_some_have_a_line_and_the_next_says_how_many_had_none(
    metrics: RequestMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    watcher = Watcher(metrics, clock=clock)
    for _ in range(1_000):
        ran(watcher, BUSY)
    assert len(caplog.records) == 20
    clock.now += 1
    ran(watcher, BUSY)
    assert vars(caplog.records[-1])["skipped"] == 980


def test_what_is_refused_is_counted(metrics: RequestMetrics) -> None:
    executor = WatchedExecutor(
        SCHEMA, limits=Limits(), introspection=False, watcher=Watcher(metrics)
    )
    for query in ("{ nonsense }", "{"):
        with pytest.raises(Refused) as refused:
            executor.prepare(query, None, {})
        failed(executor, refused.value, "r-1")
    failed(executor, RuntimeError("swordfish"), "r-1")
    executor.watcher.refused("UNAUTHENTICATED")

    (_, errors) = metrics.collect()
    assert {sample.labels["code"]: sample.value for sample in errors.samples} == {
        "GRAPHQL_VALIDATION_FAILED": 1,
        "GRAPHQL_PARSE_FAILED": 1,
        "INTERNAL_SERVER_ERROR": 1,
        "UNAUTHENTICATED": 1,
    }
