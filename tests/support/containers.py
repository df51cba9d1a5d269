"""The Dockerfile and compose.yaml as they stand, read for tests and for their rehearsal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
PROXY = ROOT / "infra" / "haproxy.cfg"


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction and all that stands behind it, continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of an exec form its parts, of anything else what a shell would make of it."""
        if self.text.startswith("["):
            parts: list[str] = json.loads(self.text)
            return parts
        return shlex.split(self.text)

    @property
    def is_exec(self) -> bool:
        return self.text.startswith("[")


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    base: str
    steps: list[Step] = field(default_factory=list)

    def all(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.name == name]

    def last(self, name: str) -> Step:
        return self.all(name)[-1]

    @property
    def environment(self) -> dict[str, str]:
        pairs = (word.partition("=") for step in self.all("ENV") for word in step.words)
        return {name: value for name, _, value in pairs}

    @property
    def health(self) -> list[str]:
        """The command of its check."""
        _, _, command = self.last("HEALTHCHECK").text.partition("CMD ")
        return Step("CMD", command).words


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    for step in _steps(DOCKERFILE.read_text(encoding="utf-8")):
        if step.name == "FROM":
            base, _, name = step.words
            found[name] = Stage(name, base)
        else:
            list(found.values())[-1].steps.append(step)
    return found


def _steps(text: str) -> Iterator[Step]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        yield Step(name, rest.strip())


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return document


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def stage_of(service: dict[str, Any]) -> Stage | None:
    """The stage that a service is an image of, None where the image is another's."""
    build = service.get("build")
    return stages()[build["target"]] if build else None


def command_of(service: dict[str, Any]) -> list[str]:
    """What a service of ours runs, by compose.yaml and by the Dockerfile."""
    stage = stage_of(service)
    assert stage
    entry = service.get("entrypoint") or stage.last("ENTRYPOINT").words
    own = stage.last("CMD").words if "entrypoint" not in service else []
    return [*entry, *service.get("command", own)]
