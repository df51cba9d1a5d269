"""How a command is added to the command line, and what several of them check."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, NoReturn, Protocol

from datasources.errors import ConfigurationError
from settings import Settings

Command = Callable[[Settings, argparse.Namespace], None]
Work = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, None]]


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, exit code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


class Add(Protocol):
    def __call__(
        self, name: str, run: Command | Work, summary: str, epilog: str | None = None
    ) -> Parser: ...


def elsewhere(settings: Settings) -> None:
    """ConfigurationError for the embedded store, which ends with the command."""
    if settings.is_embedded:
        raise ConfigurationError(
            "CARTOGRAPH_STORE: should not be embedded here, but aws or the URL of an endpoint."
        )


def moment(text: str) -> datetime:
    """A time with its zone, as RFC 3339 has it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError("should be a time such as 2026-11-22T10:00:00Z")
    return found
