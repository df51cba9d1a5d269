"""A Redis of a test's own, which may be killed and started again, with its data or without."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SERVER = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    SERVER is None and os.environ.get("TESTS_MUST_NOT_SKIP") != "1",
    reason="redis-server is missing",
)


@dataclass
class Broker:
    """A server on a port of this machine that stays the same. Whatever it has answered survives
    its killing, in `folder`."""

    folder: Path
    port: int
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers."""
        assert SERVER is not None, "redis-server is missing"
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "appendonly": "yes",
            # By the second it would answer before it has written, while the disk is slow.
            "appendfsync": "no",
            "save": "",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(  # noqa: S603 the command is ours
            [SERVER, *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError(f"Redis did not start:\n{''.join(said)}")

    def kill(self) -> None:
        """As the kernel would, without a word."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    def copy(self, to: Path) -> None:
        """Of what it has kept by now."""
        shutil.copytree(self.folder, to)

    def put_back(self, kept: Path | None) -> None:
        """It starts again with what a copy has, or with nothing."""
        assert self._process is None
        shutil.rmtree(self.folder)
        if kept is None:
            self.folder.mkdir()
        else:
            shutil.copytree(kept, self.folder)


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """A running one, its data in the folder."""
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = Broker(folder, port)
    try:
        running.start()
        yield running
    finally:
        running.kill()
