"""Property tests: no deadline for an example, since the machines that run them are shared."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

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
