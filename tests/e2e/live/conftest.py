"""One empty store for all tests of a process; each makes tables of its own in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from datasources.embedded import embedded_store
from tests.e2e.live.fleet import Fleet, fleet
from tests.e2e.live.shelves import new_shelf
from tests.integration.conftest import CACHE, REGION


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """Its URL."""
    opening = embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as url:
        yield url


@pytest.fixture(scope="session")
def running(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Instances with a Redis between them, over eight products."""
    shelf = asyncio.run(new_shelf(store, products=8))
    with fleet(shelf, tmp_path_factory.mktemp("fleet")) as running:
        yield running
