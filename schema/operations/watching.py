"""What is told of requests to those who run the service: counts, and a line in the log of those
that are worth one.

A line holds what is listed here and nothing else: no variables, nobody's ID, no message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import Any

from resolvers.context import Context
from schema.errors import INTERNAL
from schema.operations.metrics import RequestMetrics
from schema.operations.operation import Executor, Operation

log = logging.getLogger(__name__)

# What the service answers for, and not the client.
_OURS = frozenset({INTERNAL, "DEADLINE_EXCEEDED", "SERVICE_UNAVAILABLE", "THROTTLED"})
_LINES_A_SECOND = 20
_LONGEST_NAME = 64  # characters


class Lines(Enum):
    """Which requests get a line in the log."""

    NONE = "none"
    NOTABLE = "notable"  # those that were slow, and those that failed for the service's part
    ALL = "all"


@dataclass(slots=True)
class Watcher:
    """`slow` is in seconds. Of notable requests 20 a second have a line, and the next one says
    how many had none: when all fail, lines should not be what is left to do."""

    metrics: RequestMetrics
    lines: Lines = Lines.NOTABLE
    slow: float = 1.0
    clock: Callable[[], float] = monotonic
    _second: float = field(default=0.0, init=False)
    _written: int = field(default=0, init=False)
    _skipped: int = field(default=0, init=False)

    def ran(
        self, operation: Operation, context: Context, errors: Sequence[dict[str, Any]], took: float
    ) -> None:
        """A query or mutation has been answered, with these errors as the client has them."""
        name = operation.definition.name
        codes = [error["extensions"]["code"] for error in errors] if errors else ()
        self.metrics.ran(name.value if name else None, took, codes)
        if self.lines is Lines.ALL or (
            self.lines is Lines.NOTABLE
            and (took >= self.slow or (codes and not _OURS.isdisjoint(codes)))
            and self._may_write()
        ):
            self._write(operation, context, codes, took)

    def refused(self, *codes: str) -> None:
        """A request was none that could be run, or none that may be, or a subscription ended for
        such reasons."""
        self.metrics.refused(codes)

    def _may_write(self) -> bool:
        now = self.clock()
        if now - self._second >= 1:
            self._second, self._written = now, 0
        self._written += 1
        if self._written > _LINES_A_SECOND:
            self._skipped += 1
            return False
        return True

    def _write(
        self, operation: Operation, context: Context, codes: Collection[str], took: float
    ) -> None:
        name = operation.definition.name
        meter = context.table.meter
        failed = not _OURS.isdisjoint(codes)
        skipped, self._skipped = self._skipped, 0
        log.log(
            logging.WARNING if failed else logging.INFO,
            "request",
            extra={
                "operation": name.value[:_LONGEST_NAME] if name else None,
                "kind": operation.kind.value,
                "codes": sorted(set(codes)),
                "milliseconds": round(took * 1_000, 1),
                "cost": operation.requested,
                "calls": meter.requests,
                "read_units": meter.read_units,
                "write_units": meter.write_units,
                "request_id": context.request_id,
                "tenant": context.principal.tenant,
                **({"skipped": skipped} if skipped else {}),
            },
        )


class WatchedExecutor(Executor):
    """An executor whose answers and refusals are counted."""

    def __init__(self, *given: Any, watcher: Watcher, **named: Any) -> None:
        super().__init__(*given, **named)
        self.watcher = watcher


def watcher_of(executor: Executor) -> Watcher | None:
    return executor.watcher if isinstance(executor, WatchedExecutor) else None
