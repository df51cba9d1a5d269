"""What tests of all kinds share. Property tests have no deadline for an example, since the machines
that run them are shared."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings

from datasources.embedded import embedded_store

REGION = "ap-northeast-1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartograph"

settings.register_profile("shared", deadline=None, max_examples=60)
settings.load_profile("shared")


@pytest.fixture
def logging_kept() -> Iterator[None]:
    """What `composition.logs.configure` changes is as before afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The URL of an empty store for all tests of a process; each has tables or tenants of its own
    in it."""
    opening = embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as url:
        yield url
