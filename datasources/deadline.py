"""A time by which an operation must be done with all it waits for, held by one timer.

`asyncio.timeout_at` makes a timer for each thing that is waited for, which for an operation of
forty calls costs more than anything else between them.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from datasources.errors import DeadlineExceeded

_SENTENCE = "The time for this operation is over; try again, or ask for less."


class Deadline:
    """Cancels the tasks that are within it `at` a time of the event loop's clock, and turns that
    cancellation, and no other, into DeadlineExceeded: what `asyncio.timeout_at` does for one task.

    A task is within it from `with` to the end of that block, once at a time. The timer runs
    while any is.
    """

    __slots__ = ("_cancelled", "_tasks", "_timer", "at")

    def __init__(self, at: float) -> None:
        self.at = at
        # Each with the requests for its cancellation there were when it came.
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.Handle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline can hold tasks alone")
        self._tasks[task] = task.cancelling()
        if self._timer is None:
            self._timer = self._arm(task.get_loop())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 it came in
        before = self._tasks.pop(task)
        if not self._tasks and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if task in self._cancelled:
            self._cancelled.remove(task)
            # Where others want the task cancelled as well, it is.
            if task.uncancel() <= before and kind is asyncio.CancelledError:
                raise DeadlineExceeded(_SENTENCE) from None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
        if loop.time() >= self.at:
            return loop.call_soon(self._expire)  # before what is in there has its next turn
        return loop.call_at(self.at, self._expire)

    def _expire(self) -> None:
        self._timer = None
        for task in self._tasks:
            self._cancelled.add(task)
            task.cancel()
