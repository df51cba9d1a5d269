"""Workers as processes, with as little in them as can tell who they are."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
# Each answers with its number and its process; what else it does is the test's.
PROGRAM = """
import asyncio, os, signal, socket, sys
from composition import workers
from schema.serving.handed import HandedConnections

class Teller(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"%d %d\\n" % (place.number, os.getpid()))

async def tell():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    HandedConnections(place.link).start(Teller)
    await told.wait()

def say(line):
    print(line, flush=True)

workers.ENDING = ENDING
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
place = workers.fork_workers(listener, 2, announce=lambda: say(f"port {port}"), say=say)
"""
SERVE = "asyncio.run(tell())"


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int

    def who(self) -> tuple[int, int]:
        """The number and the process of the worker that got the next connection."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            number, pid = connection.makefile().readline().split()
        return int(number), int(pid)

    def both(self) -> dict[int, int]:
        """The processes of both workers, by number, once both serve."""
        found: dict[int, int] = {}
        while len(found) < 2:
            found |= [self.who()]
        return found

    def says(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


def program(body: str, ending: float = PATIENCE) -> subprocess.Popen[str]:
    """`ending`: seconds that the workers are given for their end."""
    return subprocess.Popen(  # noqa: S603 the command is ours
        [sys.executable, "-c", PROGRAM.replace("= ENDING", f"= {ending}") + body],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running(body: str = SERVE, ending: float = PATIENCE) -> Iterator[Running]:
    with program(body, ending) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.fullmatch(r"port (\d+)\n", line)
            assert found, line + process.stdout.read()
            yield Running(process, int(found[1]))
        finally:
            process.terminate()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it has said since."""
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def test_connections_are_spread_evenly() -> None:
    with running() as workers:
        workers.both()

        counts = Counter(workers.who()[0] for _ in range(8))

    assert counts == {0: 4, 1: 4}


def test_one_that_is_killed_is_replaced_and_the_other_stays() -> None:
    with running() as workers:
        before = workers.both()

        os.kill(before[0], signal.SIGKILL)

        assert "Worker 0 ended by signal 9" in workers.says()
        after = workers.both()
        assert after[0] != before[0]
        assert after[1] == before[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_reaches_all(number: signal.Signals) -> None:
    body = "signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM));" + SERVE
    with running(body) as workers:
        pids = workers.both().values()

        workers.process.send_signal(number)

        assert outcome(workers.process) == (0, "")
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_workers_end_with_a_supervisor_that_is_killed() -> None:
    with running() as workers:
        workers.both()

        workers.process.kill()

        # They have its output open: it ends when the last of them has.
        assert outcome(workers.process) == (-signal.SIGKILL, "")


@pytest.mark.parametrize(
    ("body", "code"), [("sys.exit(2)", 2), ("os.kill(os.getpid(), signal.SIGKILL)", 1)]
)
def test_one_that_cannot_serve_ends_all_and_is_started_once(body: str, code: int) -> None:
    with program("say('started');" + body) as process:
        ended, said = outcome(process)

    assert (ended, said.count("started")) == (code, 1)


def test_one_that_does_not_end_is_killed() -> None:
    body = """
async def deaf():
    HandedConnections(place.link).start(Teller)
    await asyncio.Event().wait()

signal.signal(signal.SIGTERM, signal.SIG_IGN)
asyncio.run(deaf() if place.number == 1 else tell())
"""
    with running(body, ending=0.1) as workers:
        workers.both()

        workers.process.send_signal(signal.SIGTERM)

        assert outcome(workers.process) == (1, "Worker 1 ended by signal 9\n")
