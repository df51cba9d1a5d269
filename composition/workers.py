"""Several processes behind one address: a supervisor accepts the connections and hands them, in
turn, to workers, each of which serves as if it were alone.

In turn, because few long connections should be spread evenly too: of 8 connections to 2 workers a
shared listening socket gives most to whoever is awake already, and SO_REUSEPORT, which draws lots,
5 or 6 to one of them. Workers are forked before there is a loop, a thread or a connection, so what
was imported is in memory once.
"""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import socket
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from time import monotonic

from schema.serving.handed import LEAVING, READY
from schema.serving.server import ENDING

FIRST, LONGEST = 0.1, 30.0  # seconds until another worker starts, doubled from death to death
STEADY = 60.0  # seconds of life after which a death counts as the first again
OVERTIME = 0.5  # seconds that a worker is given beyond those it has for its end
_BACKLOG = 2_048  # connections that wait to be accepted, as many as uvicorn lets wait
_SIGNALS = frozenset((signal.SIGTERM, signal.SIGINT))
# How a worker may end that was told to: by itself, or by the signal if it did not serve yet.
_IN_ORDER = frozenset((0, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT))


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's place: its number among `count`, from 0 on, its link to the supervisor, and the
    path of a folder, made or not, that all of them know."""

    number: int
    count: int
    link: socket.socket
    folder: Path


def fork_workers(
    listener: socket.socket,
    count: int,
    *,
    announce: Callable[[], None],
    say: Callable[[str], None],
) -> Worker:
    """Returns in each worker; in the process that called it raises SystemExit once all have ended.

    `announce` is called there when the first worker serves. Until then only one is started: what
    prevents it from serving is told once, and its exit code is the supervisor's.
    """
    # Made by the first worker that needs it, and gone with the last.
    folder = Path(gettempdir()) / f"cartograph-{uuid.uuid4().hex}"
    supervisor = _Supervisor(listener, count, folder, announce, say)
    worker = None
    try:
        worker = supervisor.run()
    finally:
        if worker is None:
            shutil.rmtree(folder, ignore_errors=True)
    if worker is None:
        raise SystemExit(supervisor.exit_code)
    return worker


class Roster:
    """Which worker is to be started, and when. Times are in seconds of one clock."""

    def __init__(self, count: int) -> None:
        self._due = dict.fromkeys(range(count), 0.0)
        self._pauses = dict.fromkeys(range(count), 0.0)
        self._began: dict[int, float] = {}
        self.serving: list[int] = []

    def due(self, now: float) -> int | None:
        """One to start now, if any. While none serves they are started one by one."""
        if self._began and not self.serving:
            return None
        return next((number for number, at in self._due.items() if at <= now), None)

    def patience(self, now: float) -> float | None:
        """Seconds until one may be due; None: not before something happens."""
        if not self._due or (self._began and not self.serving):
            return None
        return max(0.0, min(self._due.values()) - now)

    def started(self, number: int, now: float) -> None:
        del self._due[number]
        self._began[number] = now

    def serves(self, number: int) -> None:
        self.serving.append(number)

    def leaves(self, number: int) -> None:
        """It takes no more connections."""
        if number in self.serving:
            self.serving.remove(number)

    def ended(self, number: int, now: float) -> float:
        """The seconds until another is to take its place."""
        self.leaves(number)
        lived = now - self._began.pop(number)
        pause = FIRST if lived >= STEADY else min(LONGEST, max(FIRST, 2 * self._pauses[number]))
        self._pauses[number] = pause
        self._due[number] = now + pause
        return pause


@dataclass(slots=True)
class _Child:
    number: int
    pid: int
    link: socket.socket
    served: bool = False


class _Supervisor:
    def __init__(
        self,
        listener: socket.socket,
        count: int,
        folder: Path,
        announce: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.exit_code = 0
        self._listener = listener
        self._count = count
        self._folder = folder
        self._announce = announce
        self._announced = False
        self._say = say
        self._roster = Roster(count)
        self._children: dict[int, _Child] = {}
        self._held: socket.socket | None = None  # accepted, and not handed over yet
        self._last = 0  # the number of the worker that got the last connection
        self._kill_at: float | None = None  # once it is ending
        self._signals, self._waker = socket.socketpair()

    def run(self) -> Worker | None:
        """The place of a worker, in its process; None, in this one, when all have ended."""
        gc.collect()
        gc.freeze()  # or the first collection of a worker would copy every page
        self._listener.listen(_BACKLOG)
        for one in (self._listener, self._signals, self._waker):
            one.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        while self._children or self._kill_at is None:
            due = self._roster.due(monotonic()) if self._kill_at is None else None
            if due is not None:
                if worker := self._fork(due):
                    return worker
            else:
                self._wait()
                self._close_when_left()
                self._kill_late()
        return None

    def _fork(self, number: int) -> Worker | None:
        mine, theirs = socket.socketpair()
        # A signal that came between would be taken by the worker for the supervisor's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._forget(mine)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if pid == 0:
            return Worker(number, self._count, theirs, self._folder)
        theirs.close()
        mine.setblocking(False)
        self._children[number] = _Child(number, pid, mine)
        self._roster.started(number, monotonic())
        return None

    def _forget(self, link: socket.socket) -> None:
        """In a worker: leaves to the supervisor what is its own."""
        # Ctrl-C reaches the whole group of a terminal; the supervisor passes it on.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Or what the supervisor closes would stay open here.
        links = (child.link for child in self._children.values())
        for one in (link, *links, self._listener, self._signals, self._waker, self._held):
            if one:
                one.close()

    def _wait(self) -> None:
        """Until something happens, and does what follows from it."""
        serving = [self._children[number].link for number in self._roster.serving]
        readers = [self._signals, *(child.link for child in self._children.values())]
        if serving and not self._held:
            readers.append(self._listener)
        ready, free, _ = select.select(
            readers, serving if self._held else (), (), self._patience(monotonic())
        )
        for child in tuple(self._children.values()):
            if child.link in ready:
                self._hear(child)
        if self._signals in ready:
            for number in self._signals.recv(64):
                self._pass_on(number)
        if self._listener in ready:
            self._accept()
        elif free and self._held:
            self._hand_over(self._held)

    def _patience(self, now: float) -> float | None:
        if self._kill_at is not None:
            return max(0.0, self._kill_at - now)
        return self._roster.patience(now)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # who came is gone again
            return
        self._hand_over(connection)

    def _hand_over(self, connection: socket.socket) -> None:
        """To the next worker that has room. Where none has, those who come wait meanwhile, as
        they do for one process that is busy."""
        self._held = connection
        for number in _in_turn(self._roster.serving, self._last):
            try:
                socket.send_fds(self._children[number].link, [b"+"], [connection.fileno()])
            except OSError:  # it is full, or has just ended
                continue
            connection.close()
            self._held, self._last = None, number
            return

    def _hear(self, child: _Child) -> None:
        try:
            said = child.link.recv(1)
        except ConnectionResetError:  # it ended with connections that it had not taken
            said = b""
        if said == READY:
            child.served = True
            if self._kill_at is None:
                self._roster.serves(child.number)
            if not self._announced:
                self._announced = True
                self._announce()
        elif said == LEAVING:
            self._roster.leaves(child.number)
        else:
            self._bury(child)

    def _bury(self, child: _Child) -> None:
        del self._children[child.number]
        child.link.close()
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        pause = self._roster.ended(child.number, monotonic())
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if self._kill_at is not None:
            if code not in _IN_ORDER:
                self._say(f"Worker {child.number} ended {how}")
                self.exit_code = 1
        elif child.served or self._children:
            self._say(f"Worker {child.number} ended {how}; another starts in {pause:g} s")
        else:
            # None serves, and none can: whoever started the service should know.
            if code <= 0:
                self._say(f"Worker {child.number} ended {how} before it served")
            self.exit_code = max(code, 1)
            self._end()

    def _pass_on(self, number: int) -> None:
        for child in self._children.values():
            os.kill(child.pid, number)
        if self._kill_at is None:
            self._end()

    def _end(self) -> None:
        self._kill_at = monotonic() + ENDING + OVERTIME

    def _close_when_left(self) -> None:
        """Who comes is let in until the last worker takes no more."""
        if self._kill_at is not None and not self._roster.serving:
            self._listener.close()
            if self._held:
                self._held.close()
                self._held = None

    def _kill_late(self) -> None:
        if self._kill_at is not None and monotonic() >= self._kill_at:
            for child in self._children.values():
                os.kill(child.pid, signal.SIGKILL)


def _in_turn(numbers: Iterable[int], last: int) -> list[int]:
    """From the one after the last on, around."""
    return sorted(numbers, key=lambda number: (number <= last, number))
