"""Cartograph as its users start it: a process, spoken to over HTTP and by signals."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from resolvers.tokens import mint
from tests.support import plain

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; the machine may be busy, and install the embedded store meanwhile
PROC = Path("/proc")
MUST_NOT_SKIP = os.environ.get("TESTS_MUST_NOT_SKIP") == "1"

needs_proc = pytest.mark.skipif(not PROC.exists(), reason="child processes are found in /proc")


def environment(state: Path, **settings: object) -> dict[str, str]:
    """Ours without its settings, with a state folder and settings (without their prefix)."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    given = {f"CARTOGRAPH_{name}": str(value) for name, value in settings.items()}
    return kept | {"XDG_STATE_HOME": str(state)} | given


def elsewhere(state: Path, url: str, **settings: object) -> dict[str, str]:
    """The same for a store at a URL, with credentials that any emulator takes."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    ours = {"CURSOR_KEYS": "a key of sixteen or more", "LINGER": 0}
    return environment(state, STORE=url, **(ours | settings)) | credentials


def _is_setting(name: str) -> bool:
    return name.startswith(("CARTOGRAPH_", "AWS_"))


def run(
    *arguments: str, environment: dict[str, str], patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(  # noqa: S603 the command is ours
        command(*arguments),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def command(*arguments: str) -> list[str]:
    # What the entry point `cartograph` does, whether or not the project is installed.
    return [sys.executable, "-m", "server", *arguments]


def one_line(result: subprocess.CompletedProcess[str], exit_code: int = 2) -> str:
    """The one line of a command that failed with that exit code."""
    assert (result.returncode, result.stdout) == (exit_code, ""), result.stderr
    (line,) = result.stderr.splitlines()
    return line


@dataclass
class Service:
    """A running service; `said` grows with what it writes."""

    url: str
    environment: dict[str, str]
    process: subprocess.Popen[str]
    said: list[str]

    @property
    def port(self) -> int:
        port = httpx.URL(self.url).port
        assert port
        return port

    def token(self, sub: str, *arguments: str) -> str:
        """What `cartograph token` prints beside the service."""
        result = run("token", "--sub", sub, *arguments, environment=self.environment)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def signed(self, sub: str, *, staff: bool = False, lifetime: int = 3_600) -> str:
        """A token good for `lifetime` seconds, without a command run for it."""
        secret = self.environment.get("CARTOGRAPH_JWT_SECRET")
        if secret is None:
            kept = Path(self.environment["XDG_STATE_HOME"]) / "cartograph" / "jwt-secret"
            secret = kept.read_text(encoding="utf-8").strip()
        return mint(secret, sub=sub, staff=staff, tenant=None, now=time.time, lifetime=lifetime)

    def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The answer to a query, whether or not it has errors."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": query, "variables": variables}
        response = plain.post(f"{self.url}/graphql", json=body, headers=headers, timeout=30)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str, **headers: str) -> httpx.Response:
        return plain.get(f"{self.url}{path}", headers=headers)

    def metric(self, name: str) -> float:
        """One without labels."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        (family,) = (each for each in families if each.name == name)
        return family.samples[0].value


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[Service]:
    """A service on a free port that is ready; ended afterwards as a supervisor would end it,
    unless it has ended already."""
    with started(environment, *arguments) as service:
        until(lambda: _is_ready(service))
        yield service


@contextmanager
def started(environment: dict[str, str], *arguments: str) -> Iterator[Service]:
    """The same, ready or not."""
    said: list[str] = []
    running = _running(("serve", "--port", "0", *arguments), environment, " Serving http://", said)
    with running as (process, line):
        address = line.split()[2].removesuffix("/graphql")
        yield Service(address, environment, process, said)


@contextmanager
def processing(
    environment: dict[str, str], *arguments: str, said: list[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A processor that follows the table; ended afterwards as a service is. `said` grows with
    what it writes."""
    heard = [] if said is None else said
    with _running(("process", *arguments), environment, " Following ", heard) as (process, _line):
        yield process


@contextmanager
def _running(
    arguments: tuple[str, ...], environment: dict[str, str], sign: str, said: list[str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that goes on, and the line by which it says that it does; `said` grows with what
    it writes, to stdout too."""
    process = subprocess.Popen(  # noqa: S603 the command is ours
        command(*arguments),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    told = threading.Event()  # the sign, or that there will be none

    def listen() -> None:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if sign in line:
                told.set()
        told.set()

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        told.wait(PATIENCE)
        signs = [line for line in said if sign in line]
        assert signs, f"it did not start:\n{''.join(said)}"
        yield process, signs[0]
    finally:
        ended = process.poll() is not None
        process.terminate()
        exit_code = process.wait(PATIENCE)
        reader.join(PATIENCE)
    assert ended or exit_code == 0, f"exit code {exit_code}:\n{''.join(said)}"


def _is_ready(service: Service) -> bool:
    assert service.process.poll() is None, f"the service ended:\n{''.join(service.said)}"
    try:
        return service.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def until(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits for what another process is to bring about, and does not tell."""
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The children of a process, from the fourth field of proc(5)'s stat."""
    found = []
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            parent = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if int(parent) == pid:
            found.append(int(stat.parent.name))
    return found
