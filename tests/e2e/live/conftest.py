"""One fleet for all tests of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.live.fleet import Fleet, fleet
from tests.e2e.live.shelves import new_shelf


@pytest.fixture(scope="session")
def running(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Instances with a Redis between them, over eight products."""
    shelf = asyncio.run(new_shelf(store, products=8))
    with fleet(shelf, tmp_path_factory.mktemp("fleet")) as running:
        yield running
