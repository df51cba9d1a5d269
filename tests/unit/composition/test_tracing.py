"""When requests are traced, and that nothing is paid when they are not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from composition.tracing import is_wanted, open_tracing
from datasources.errors import ConfigurationError

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_wanted_where_an_endpoint_is_set(
    environment: dict[str, str], expected: bool
) -> None:
    assert is_wanted(environment) is expected


def test_a_protocol_that_is_not_spoken_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL: should be http"):
        is_wanted(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


async def test_without_an_endpoint_there_is_nothing() -> None:
    async with open_tracing({}) as spans:
        assert spans is None


def test_without_an_endpoint_nothing_that_makes_or_sends_spans_is_imported() -> None:
    # Where OpenTelemetry is installed, redis-py imports its metrics, whether or not they are used.
    wanted = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf")
    found = f"[name for name in sys.modules if name.startswith({wanted})]"
    check = f"import composition.serving, sys; print({found})"
    shown = subprocess.run(  # noqa: S603 the command is ours
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
