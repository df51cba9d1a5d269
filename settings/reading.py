"""How settings are read from the environment, and how they are told."""

from __future__ import annotations

import os

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from datasources.errors import ConfigurationError
from settings.declared import PREFIX, Settings


def load(*, serving: bool = True) -> Settings:
    """The settings that the environment gives; without those that only serving needs where it is
    not for that.

    Raises ConfigurationError, in one line, for a name that is no setting and for every value
    that is not as it should be.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(n for n in os.environ if n.startswith(PREFIX) and n not in known)
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]} is no setting; `cartograph serve --help` lists them."
        )
    try:
        settings = Settings()
    except ValidationError as error:
        raise ConfigurationError("; ".join(_sentence(e) for e in error.errors())) from None
    if serving and not (settings.is_embedded or settings.cursor_keys):
        raise ConfigurationError(
            f"{PREFIX}CURSOR_KEYS: should be set outside the embedded store, "
            "to one or more secrets of 16 characters or more"
        )
    return settings


def _sentence(error: ErrorDetails) -> str:
    where = error["loc"]
    text = error["msg"].removeprefix("Value error, ")
    if not where:
        return f"{PREFIX}{text}"
    return f"{PREFIX}{str(where[0]).upper()}: {text[0].lower()}{text[1:]}"


def describe() -> list[tuple[str, str, str]]:
    """(name, default, meaning) of every setting."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default_factory or field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        elif isinstance(default, bool):
            default = str(default).lower()
        shown = "none" if default in {None, ""} else str(default)
        rows.append((PREFIX + name.upper(), shown, field.description or ""))
    return rows


def help_text() -> str:
    """Every setting with its default and its meaning, for `--help`."""
    lines = ["settings (environment):"]
    for name, default, meaning in describe():
        lines += [f"  {name} (default: {default})", f"      {meaning}"]
    return "\n".join(lines)
