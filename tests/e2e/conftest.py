"""One service with the demo data for all tests of a process, started by the first that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.support import Service, environment, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(environment(tmp_path_factory.mktemp("state"))) as running:
        yield running


@pytest.fixture(scope="session")
def taro(service: Service) -> str:
    """The token of a customer."""
    return service.signed("taro")


@pytest.fixture(scope="session")
def hanako(service: Service) -> str:
    """The token of another customer."""
    return service.signed("hanako")


@pytest.fixture(scope="session")
def staff(service: Service) -> str:
    return service.signed("staff", staff=True)
