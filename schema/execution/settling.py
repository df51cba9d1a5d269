"""Awaiting all that the fields of one level wait for, together and at little cost.

A task for each of some hundred coroutines costs more than what they do: mostly they wait for
a loader's future once. So they are stepped from the loop's callbacks, each when the future that
it waits for is done. They run in no task there, and what needs one, such as `asyncio.timeout`,
raises RuntimeError: that operation is then the reference executor's, and from the next on such
a coroutine has a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from types import CodeType
from typing import Any


async def settle(awaitables: Sequence[Awaitable[Any]], in_tasks: set[CodeType]) -> list[Any]:
    """What all of them come to, in order. Waits for all, and then raises the first error.

    `in_tasks` is the code of the coroutines that need a task, which grows as they are met.
    Cancelled, it cancels what they wait for, as tasks would.
    """
    settling = _Settling(awaitables, in_tasks)
    try:
        await settling.ended
    except asyncio.CancelledError:
        settling.cancel()
        raise
    failure = settling.failure
    if isinstance(failure, asyncio.CancelledError):  # what it waited for was, not this
        raise RuntimeError("what was awaited has been cancelled") from failure
    if failure is not None:
        raise failure
    return settling.results


class _Settling:
    def __init__(self, awaitables: Sequence[Awaitable[Any]], in_tasks: set[CodeType]) -> None:
        self._in_tasks = in_tasks
        self._loop = asyncio.get_running_loop()
        self._awaitables = awaitables
        self._left = len(awaitables)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._batches: dict[asyncio.Future[None], list[tuple[int, Any]]] = {}
        self._cancelled = False
        self.results: list[Any] = [None] * len(awaitables)
        self.failure: BaseException | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        # All first steps in one turn of the loop, so that loaders are asked once.
        self._loop.call_soon(self._start)

    def cancel(self) -> None:
        self._cancelled = True
        for future in list(self._waiting.values()):
            future.cancel()
        # Nobody cancels what is shared, but who waits for it need not go on.
        batches, self._batches = self._batches, {}
        for batch, waiting in batches.items():
            batch.remove_done_callback(self._resume_all)
            for index, steps in waiting:
                self._loop.call_soon(self._leave, index, steps)

    def _start(self) -> None:
        in_tasks = self._in_tasks
        for index, awaitable in enumerate(self._awaitables):
            if in_tasks and getattr(awaitable, "cr_code", None) in in_tasks:
                awaitable = asyncio.ensure_future(awaitable)
            try:
                steps = awaitable.__await__()
            except Exception as error:
                self._fail(index, error)
            else:
                self._step(index, steps)
        if not self._left:
            self._end()

    def _resume(self, index: int, steps: Any, _done: object = None) -> None:
        self._waiting.pop(index, None)
        self._step(index, steps)
        if not self._left:
            self._end()

    def _leave(self, index: int, steps: Any) -> None:
        self._step(index, steps, asyncio.CancelledError())

    def _step(self, index: int, steps: Any, thrown: BaseException | None = None) -> None:
        try:
            # What it waited for, done by now, gives its result or raises its error in there.
            self._wait(index, steps, steps.throw(thrown) if thrown else steps.send(None))
        except StopIteration as stop:
            self.results[index] = stop.value
            self._left -= 1
        except (Exception, asyncio.CancelledError) as error:
            self._fail(index, error)

    def _wait(self, index: int, steps: Any, awaited: Any) -> None:
        if awaited is None:  # only its turn
            self._loop.call_soon(self._resume, index, steps)
        elif getattr(awaited, "_asyncio_future_blocking", None):
            # The protocol between futures and tasks: whoever was given it has taken it.
            awaited._asyncio_future_blocking = False
            if batch := getattr(awaited, "batch", None):
                self._wait_for_all(batch, index, steps)
                return
            self._waiting[index] = awaited
            awaited.add_done_callback(partial(self._resume, index, steps))
            if self._cancelled:
                awaited.cancel()
        else:
            steps.close()
            raise RuntimeError(f"{awaited!r} cannot be awaited")

    def _wait_for_all(self, batch: asyncio.Future[None], index: int, steps: Any) -> None:
        """One callback for all that wait for futures which end together, as a loader's do. (Such
        futures are shared, so that no cancelling is lost on them.)"""
        waiting = self._batches.get(batch)
        if waiting is None:
            waiting = self._batches[batch] = []
            batch.add_done_callback(self._resume_all)
        waiting.append((index, steps))

    def _resume_all(self, batch: asyncio.Future[None]) -> None:
        for index, steps in self._batches.pop(batch):
            self._step(index, steps)
        if not self._left:
            self._end()

    def _fail(self, index: int, error: BaseException) -> None:
        self._left -= 1
        code = getattr(self._awaitables[index], "cr_code", None)
        if code is not None and isinstance(error, RuntimeError):
            self._in_tasks.add(code)
        if self.failure is None:
            self.failure = error

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
