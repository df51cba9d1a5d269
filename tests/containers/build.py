"""The Dockerfile's steps in a plain folder: what it copies and runs, in its order.

What stands at the root of an image stands under the folder here: `/opt` and `/wheels` of all stages
at one place, so that what is copied there from another stage is there already, and `/build` of each
at one of its own. Accounts are not made, since they would be this machine's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers import ROOT, Stage, Step, stages

_PLACED = re.compile(r"(?<![\w./:$])/(opt|wheels|build)\b")
_OWN = "build"
_SKIPPED = ("groupadd ", "useradd ")


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    def placed(self, stage: str, text: str) -> str:
        """The text with an image's paths as they are here."""

        def place(match: re.Match[str]) -> str:
            name = match.group(1)
            return str(self.path / stage / name if name == _OWN else self.path / name)

        return _PLACED.sub(place, text)

    def environment(self, stage: Stage) -> dict[str, str]:
        """What a process of the stage is given. Of this machine's it keeps what tells pip and npm
        where packages are, and no settings."""
        kept = {name: value for name, value in os.environ.items() if not _is_other(name)}
        path = f"{self.path / 'bin'}:{os.environ['PATH']}"
        given = {n: self.placed(stage.name, value) for n, value in stage.environment.items()}
        return kept | given | {"PATH": given.get("PATH", "$PATH").replace("$PATH", path)}


def _is_other(name: str) -> bool:
    return name.startswith(("CARTOGRAPH_", "AWS_", "PYTHON")) or name == "VIRTUAL_ENV"


def build(folder: Folder) -> None:
    """All stages. Raises CalledProcessError where a step fails."""
    _have_python(folder)
    for stage in stages().values():
        workdir = folder.path / stage.name
        workdir.mkdir()
        for step in stage.steps:
            if step.name == "WORKDIR":
                workdir = Path(folder.placed(stage.name, step.text))
                workdir.mkdir(parents=True, exist_ok=True)
            elif step.name == "COPY":
                _copy(folder, stage, step, workdir)
            elif step.name == "RUN" and not step.text.startswith(_SKIPPED):
                _run(folder, stage, step, workdir)


def _have_python(folder: Folder) -> None:
    """What stands for the `python` of the base images: the system's, which any user can reach, or
    else the one that runs this."""
    (folder.path / "bin").mkdir()
    wanted = [
        "/usr/bin/python3",
        "-c",
        "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))",
    ]
    found = Path(wanted[0])
    if not found.exists() or subprocess.run(wanted, check=False).returncode:  # noqa: S603
        found = Path(sys.executable).resolve()
    (folder.path / "bin" / "python").symlink_to(found)


def _run(folder: Folder, stage: Stage, step: Step, workdir: Path) -> None:
    began = time.monotonic()
    command = folder.placed(stage.name, step.text)
    result = subprocess.run(  # noqa: S603 it is ours
        ["/bin/sh", "-c", command],
        cwd=workdir,
        env=folder.environment(stage),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"{time.monotonic() - began:6.1f} s  {stage.name}: {step.text[:80]}", flush=True)  # noqa: T201
    if result.returncode:
        raise SystemExit(f"exit code {result.returncode}:\n{result.stdout}")


def _copy(folder: Folder, stage: Stage, step: Step, workdir: Path) -> None:
    words = step.words
    *sources, target = [word for word in words if not word.startswith("--")]
    goal = workdir / folder.placed(stage.name, target)
    if words[0].startswith("--from="):
        [made] = [Path(folder.placed(words[0].removeprefix("--from="), one)) for one in sources]
        if made != goal:
            shutil.copytree(made, goal, dirs_exist_ok=True)
        return
    for name in _context():
        for source in sources:
            if source == "." or name == source:
                _put(name, goal / (name if source == "." else Path(name).name))
            elif source.endswith("/") and name.startswith(source):
                _put(name, goal / name.removeprefix(source))


def _put(name: str, goal: Path) -> None:
    goal.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / name, goal)


def _context() -> list[str]:
    """The files that a build would be sent: those of the project, less what it ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    return [
        name
        for name in listed.stdout.splitlines()
        if (ROOT / name).is_file()
        and not any(name == one or name.startswith(f"{one}/") for one in ignored)
    ]
