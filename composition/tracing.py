"""Whether requests are traced: where an OTLP endpoint is set, by the variables that OpenTelemetry
has for it. Where none is, what makes and sends spans is not as much as imported.

"OpenTelemetry Protocol Exporter" and "Environment Variable Specification" of OpenTelemetry.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from datasources.errors import ConfigurationError

if TYPE_CHECKING:
    from composition.spans import Spans

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Raises ConfigurationError for a protocol that is not spoken here."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    if not any(environment.get(name) for name in _ENDPOINTS):
        return False
    for name in _PROTOCOLS:
        if environment.get(name, _PROTOCOL) not in {"", _PROTOCOL}:
            raise ConfigurationError(f"{name}: should be {_PROTOCOL}, or not set.")
    return True


@asynccontextmanager
async def open_tracing(environment: Mapping[str, str]) -> AsyncIterator[Spans | None]:
    """Raises ConfigurationError where traces are wanted and OpenTelemetry is not installed."""
    if not is_wanted(environment):
        yield None
        return
    try:
        from composition import spans
    except ImportError:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: is set, but OpenTelemetry is not installed; "
            "`pip install 'cartograph[tracing]'` installs it."
        ) from None
    provider = spans.new_provider(environment)
    try:
        yield spans.Spans(provider)
    finally:
        # It sends what is left, or gives up, in a thread: requests that still run go on.
        await asyncio.to_thread(provider.shutdown)
