"""AWS clients that answer from a script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from datasources.operating.waiting import Waiting


def failed(code: str, message: str = "", status: int = 400) -> ClientError:
    """What the SDK raises for an error answer."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Something")


class ResourceNotFoundException(ClientError):
    """As clients have it among their `exceptions`."""


@dataclass
class ScriptedClient:
    """Each operation has its answers, one call after another, and then the last of them again;
    an exception is raised. `calls` are those made, with their parameters as they were then."""

    answers: dict[str, list[Any]]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(ResourceNotFoundException=ResourceNotFoundException)
    )

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        if operation not in self.answers:
            raise AttributeError(operation)

        async def call(**parameters: Any) -> Any:
            self.calls.append((operation, {**parameters}))
            answers = self.answers[operation]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each call of an operation."""
        return [parameters for name, parameters in self.calls if name == operation]


def client(**answers: Any) -> Any:
    """A client by its operations: an answer, or a list of them."""
    return ScriptedClient(
        {name: each if isinstance(each, list) else [each] for name, each in answers.items()}
    )


@dataclass
class Clock:
    """Time that passes by being slept through, and `reports` of who waits meanwhile."""

    seconds: float = 0.0
    reports: list[str] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def waiting(self) -> Waiting:
        return Waiting(self.reports.append, sleep=self.sleep, clock=lambda: self.seconds)
