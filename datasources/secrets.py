"""The secrets that the embedded mode makes at first start, kept for their owner alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from secrets import token_urlsafe

from datasources.errors import ConfigurationError


def embedded_secret(state_dir: Path, name: str) -> str:
    """The secret of that name, 64 URL-safe characters, made at its first use.

    Raises ConfigurationError for a folder that cannot be used, and for a file that others may
    read or own: taking the permission back would not take back what they have read.
    """
    path = state_dir / name
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        with path.open(encoding="ascii") as file:
            status = os.fstat(file.fileno())
            secret = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"CARTOGRAPH_STATE_DIR: {path} cannot be used ({error}); "
            "should be in a folder that this user can write."
        ) from None
    if status.st_mode & 0o077 or status.st_uid != os.geteuid() or len(secret) < 32:
        raise ConfigurationError(
            f"CARTOGRAPH_STATE_DIR: {path} should be a secret that its owner alone can read; "
            "delete it and another is made."
        )
    return secret


def _make(path: Path) -> None:
    """Writes aside, then links: of several processes the first wins, and none sees half."""
    descriptor, written = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(token_urlsafe(48))
        os.link(written, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(written)
