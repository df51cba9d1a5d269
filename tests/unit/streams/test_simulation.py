"""Readers of a stream while everything goes wrong. SIMULATED in the environment is how often;
`make simulate` does it 2,000 times."""

import logging
import os
from collections.abc import Iterator

import pytest

from tests.unit.streams.simulation import simulate

SEEDS = int(os.environ.get("SIMULATED", "250"))
CHUNK = 50


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The readers say much of all that goes wrong; a replay shows it."""
    log = logging.getLogger("cartograph.streams")
    log.disabled = True
    yield
    log.disabled = False


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_every_record_comes_in_order_and_losses_are_told(first: int) -> None:
    lost = takeovers = 0
    for seed in range(first, first + CHUNK):
        try:
            world = simulate(seed)
        except Exception as error:
            replay = f"python -m tests.unit.streams.simulation {seed}"
            pytest.fail(f"{error!r}\nto be replayed by: {replay}")
        lost += len(world.told_losses)
        takeovers += world.takeovers
    assert lost, "nothing was trimmed before it was read"
    assert takeovers, "no owner has followed another"
