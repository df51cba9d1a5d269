"""What follows a write comes about: beside the embedded store, and by a processor of its own."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from datasources.embedded import embedded_store
from tests.e2e.support import (
    PATIENCE,
    ROOT,
    Service,
    command,
    elsewhere,
    environment,
    one_line,
    run,
    serving,
)
from tests.integration.conftest import CACHE, REGION

SIGN_UP = "mutation($input: CreateUserInput!) { createUser(input: $input) { userErrors { code } } }"
REVIEW = "mutation($input: AddReviewInput!) { addReview(input: $input) { userErrors { code } } }"
RATING = "query($id: ID!) { product(id: $id) { ratingSummary { count histogram } } }"
PRODUCT = "{ products(first: 1) { nodes { id } } }"


def rate(service: Service, stars: int) -> tuple[str, list[int]]:
    """Has a new customer review a product: its ID, and the histogram that is to come."""
    subject = f"u{uuid.uuid4().hex[:12]}"
    customer = service.token(subject)
    account = {"email": f"{subject}@example.com", "username": subject}
    assert service.ask(SIGN_UP, customer, input=account)["data"]["createUser"]["userErrors"] == []
    product = service.ask(PRODUCT)["data"]["products"]["nodes"][0]["id"]
    histogram: list[int] = rating(service, product)
    review = {"productId": product, "rating": stars}
    assert service.ask(REVIEW, customer, input=review)["data"]["addReview"]["userErrors"] == []
    histogram[stars - 1] += 1
    return product, histogram


def rating(service: Service, product: str) -> list[int]:
    summary = service.ask(RATING, id=product)["data"]["product"]["ratingSummary"]
    histogram: list[int] = summary["histogram"]
    return histogram


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_over_the_embedded_store_a_rating_follows_a_review(service: Service) -> None:
    product, expected = rate(service, stars=2)

    until(lambda: rating(service, product) == expected)


@pytest.fixture
async def store() -> AsyncIterator[str]:
    async with embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
    ) as url:
        yield url


async def test_a_processor_follows_another_store_and_ends_when_told(
    store: str, tmp_path: Path
) -> None:
    settings = elsewhere(tmp_path, store, JWT_SECRET="a secret of thirty-two bytes or more")
    counts = ["--users", "2", "--products", "2", "--orders", "2", "--reviews", "2"]
    run("table", environment=settings)
    run("seed", *counts, environment=settings)
    processor = subprocess.Popen(  # noqa: S603, ASYNC220 the command is ours
        command("process"), cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True
    )
    try:
        with serving(settings) as service:
            product, expected = rate(service, stars=5)
            until(lambda: rating(service, product) == expected)
    finally:
        processor.terminate()
        exit_code = processor.wait(PATIENCE)

    assert exit_code == 0


def test_the_embedded_store_has_no_processor_beside_its_service(tmp_path: Path) -> None:
    line = one_line(run("process", environment=environment(tmp_path)))

    assert "CARTOGRAPH_STORE" in line
