"""Cartograph as its users start it: a process, spoken to over HTTP and by signals."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds; the machine may be busy, and install the embedded store meanwhile
MUST_NOT_SKIP = os.environ.get("TESTS_MUST_NOT_SKIP") == "1"


def environment(state: Path, **settings: object) -> dict[str, str]:
    """Ours without its settings, with a state folder and settings (without their prefix)."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    given = {f"CARTOGRAPH_{name}": str(value) for name, value in settings.items()}
    return kept | {"XDG_STATE_HOME": str(state)} | given


def elsewhere(state: Path, url: str, **settings: object) -> dict[str, str]:
    """The same for a store at a URL, with credentials that any emulator takes."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    keys = {"CURSOR_KEYS": "a key of sixteen or more"}
    return environment(state, STORE=url, **(keys | settings)) | credentials


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
    """A running service; `said` grows with what it writes to stderr."""

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

    def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The answer to a query, whether or not it has errors."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": query, "variables": variables}
        response = httpx.post(f"{self.url}/graphql", json=body, headers=headers, timeout=30)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=headers)


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[Service]:
    """A service on a free port that is ready; ended afterwards as a supervisor would end it,
    unless it has ended already."""
    process = subprocess.Popen(  # noqa: S603 the command is ours
        command("serve", "--port", "0", *arguments),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    told = threading.Event()  # where it serves, or that it will not
    address: list[str] = []

    def listen() -> None:
        assert process.stderr
        for line in process.stderr:
            said.append(line)
            if " Serving http://" in line:
                address.append(line.split()[2].removesuffix("/graphql"))
                told.set()
        told.set()

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        told.wait(PATIENCE)
        assert address, f"the service did not start:\n{''.join(said)}"
        _until_ready(process, address[0], said)
        yield Service(address[0], environment, process, said)
    finally:
        ended = process.poll() is not None
        process.terminate()
        exit_code = process.wait(PATIENCE)
        reader.join(PATIENCE)
    assert ended or exit_code == 0, f"exit code {exit_code}:\n{''.join(said)}"


def _until_ready(process: subprocess.Popen[str], url: str, said: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended:\n{''.join(said)}"
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the service is not ready:\n{''.join(said)}")
