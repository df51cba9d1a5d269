"""compose.yaml with processes for containers: its commands, its environments and its order, each on
a port of this machine. Where this runs as root, what is ours runs confined as there."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.containers.build import Folder
from tests.support.broker import broker
from tests.support.containers import PROXY, Stage, command_of, services, stage_of, stages

HOST = "127.0.0.1"
PATIENCE = 60.0
# Below the ports that Linux gives to connections.
SERVED = (20_000, 32_000)
INSIDE = {"store": 4566, "service-1": 8000, "service-2": 8000, "processor": 8000, "proxy": 8080}
IS_ROOT = os.geteuid() == 0

# A process with a read-only view of all file systems but one folder, as the user of its image and
# with no capability. Each step takes the place of the one before, so that signals arrive.
_CONFINED = """
[ -z "$1" ] || mount --bind "$1" "$1"
for at in /tmp /var/tmp /dev/shm; do
  if mountpoint -q $at; then mount -o remount,ro,bind $at; fi
done
mount -o remount,ro,bind /
user=$2; shift 2
exec setpriv --reuid $user --regid $user --clear-groups --bounding-set=-all --inh-caps=-all \\
  --no-new-privs "$@"
"""


@dataclass
class World:
    """`built` is what the images hold, `path` what the containers have, and say."""

    built: Folder
    path: Path
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports['proxy']}"

    def start(self, name: str) -> subprocess.Popen[str]:
        """A service of ours, whether or not it is well yet."""
        process = self._run(name, command_of(services()[name]), self.path / f"{name}.log")
        self.running[name] = process
        return process

    def well(self, name: str) -> None:
        """Waits until the check of its image says so; what ends before is started again, as by an
        engine."""
        one = services()[name]
        stage = stage_of(one)
        assert stage
        inside = str(INSIDE[name])
        check = [part.replace(inside, str(self.ports[name])) for part in stage.health]
        log = self.path / f"{name}.check.log"

        def is_well() -> bool:
            code = self.running[name].poll()
            if code is not None and one.get("restart") == "unless-stopped":
                said = (self.path / f"{name}.log").read_text(encoding="utf-8")
                print(f"{name} ended with {code}, and is started again:\n{said}", flush=True)  # noqa: T201
                self.start(name)
            return self._run(name, check, log).wait(PATIENCE) == 0

        until(is_well, name)

    def run(self, name: str, *arguments: str) -> str:
        """What a command says that ends by itself: its own, or another in its place."""
        command = ["cartograph", *arguments] if arguments else command_of(services()[name])
        log = self.path / f"{name}.run.log"
        code = self._run(name, command, log).wait(PATIENCE)
        said = log.read_text(encoding="utf-8")
        assert code == 0, said
        return said

    def end(self, name: str) -> float:
        """Told to end, it does, with exit code 0; how many seconds that took."""
        process, began = self.running.pop(name), time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
        log = (self.path / f"{name}.log").read_text(encoding="utf-8")
        assert code == 0, f"{name} ended with {code}:\n{log}"
        return time.monotonic() - began

    def proxy(self) -> None:
        """HAProxy by our configuration, the names of containers being addresses here."""
        said = PROXY.read_text(encoding="utf-8").replace(" resolvers containers", "")
        said = re.sub(r"^resolvers.*?\n\n", "", said, flags=re.DOTALL | re.MULTILINE)
        for name in ("service-1", "service-2"):
            said = said.replace(f"{name}:8000", f"{HOST}:{self.ports[name]}")
        said = said.replace("bind :8080", f"bind {HOST}:{self.ports['proxy']}")
        path, log = self.path / "haproxy.cfg", self.path / "proxy.log"
        path.write_text(said, encoding="utf-8")
        program = shutil.which("haproxy")
        assert program, "haproxy is missing"
        with log.open("w") as output:
            self.running["proxy"] = subprocess.Popen(  # noqa: S603 it is ours
                [program, "-db", "-f", path], stdout=output, stderr=output, text=True
            )
        until(lambda: httpx.get(f"{self.url}/healthz").status_code == 200, "proxy")

    def _run(self, name: str, command: list[str], log: Path) -> subprocess.Popen[str]:
        one = services()[name]
        stage = stage_of(one)
        assert stage
        given = self.built.environment(stage) | one.get("environment", {})
        known = {n: self._here(value) for n, value in given.items()} | {"HOME": "/nonexistent"}
        if "TMPDIR" not in stage.environment:
            known["TMPDIR"] = "/nonexistent"
        placed = [self._placed(stage, part) for part in command]
        if command[:2] == ["cartograph", "serve"]:
            placed += ["--port", str(self.ports[name])]
        elif "--port" in placed:
            placed[placed.index("--port") + 1] = str(self.ports[name])
        # Popen looks for a program by its own PATH.
        program = shutil.which(placed[0], path=known["PATH"])
        assert program, placed[0]
        placed[0] = program
        if IS_ROOT:
            data = str(self.path / "data") if one.get("volumes") else ""
            user = stages()["service"].last("USER").text.partition(":")[0]
            placed = ["/usr/bin/unshare", "-m", "sh", "-euc", _CONFINED, "-", data, user, *placed]
        with log.open("w") as output:
            return subprocess.Popen(  # noqa: S603 it is ours
                placed, cwd="/", env=known, stdout=output, stderr=output, text=True
            )

    def _placed(self, stage: Stage, part: str) -> str:
        return self.built.placed(stage.name, self._here(part))

    def _here(self, text: str) -> str:
        """Addresses between containers, and the volume, as they are here."""
        text = re.sub(r"(?<!\w)/data\b", str(self.path / "data"), text)
        text = text.replace("0.0.0.0", HOST).replace("172.31.254.0/24", f"{HOST}/32")  # noqa: S104
        text = text.replace(f"{HOST}:4566", f"{HOST}:{self.ports['store']}")
        text = text.replace("//store:4566", f"//{HOST}:{self.ports['store']}")
        return text.replace("//broker:6379", f"//{HOST}:{self.ports['broker']}")


@contextmanager
def open_world(built: Folder, path: Path) -> Iterator[World]:
    """All of it, in the order of what waits for what."""
    world = World(built, path, {name: free_port() for name in INSIDE})
    data = path / "data"
    data.mkdir()
    if IS_ROOT:
        os.chown(data, 10001, 10001)
    with broker(path / "broker") as valkey:
        world.ports["broker"] = valkey.port
        try:
            world.start("store")
            world.well("store")
            world.run("prepare")
            for name in ("processor", "service-1", "service-2"):
                world.start(name)
            for name in ("processor", "service-1", "service-2"):
                world.well(name)
            world.proxy()
            yield world
        except AssertionError:
            # Of a check that failed its last line says enough.
            for log in sorted(path.glob("*.log")):
                said = log.read_text(encoding="utf-8").strip().splitlines()
                shown = said[-1:] if log.name.endswith(".check.log") else said[-20:]
                print(f"--- {log.name}", *shown, sep="\n", flush=True)  # noqa: T201
            raise
        finally:
            for process in world.running.values():
                process.kill()
                process.wait()


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits for what another process is to bring about, and does not tell."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"{what} has not come about"
        time.sleep(0.2)


def free_port() -> int:
    """One that no connection from here can take before a server does."""
    while True:
        port = random.SystemRandom().randrange(*SERVED)
        try:
            with socket.create_server((HOST, port)):
                return port
        except OSError:
            continue
