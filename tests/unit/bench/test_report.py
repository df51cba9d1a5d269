"""What becomes of the numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.contenders import APOLLO, BARE, FLOOR, OURS, STRAIGHTFORWARD, YOGA
from bench.load import Round
from bench.report import Figures, figures, times
from bench.workloads import Workload

SMALL = Workload("a", "one product", "{ product }", {}, False, 8, (12, 4, 3))


def costing(*cpus: float) -> Figures:
    return Figures(cpus, cpus[0], rate=1, half=1, worst=1, calls=1)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(report, "CHART", tmp_path / "results.svg")
    return tmp_path / "RESULTS.md"


def write(own: float) -> None:
    by = {OURS: own, STRAIGHTFORWARD: 24.0, BARE: 30.0, APOLLO: 8.0, YOGA: 12.0, FLOOR: 1.0}
    found = {"a": {name: costing(cpu / 1_000) for name, cpu in by.items()}}
    report.write([SMALL], found, {OURS: (2**20, 2**21)}, {})


def test_figures_are_those_of_the_round_in_the_middle() -> None:
    disturbed, usual = Round([0.3, 0.5], took=1), Round([0.1] * 97 + [0.2] * 3, took=2)
    lucky = Round([0.1, 0.1], took=1)
    found = figures([(disturbed, 0.2), (usual, 1.0), (lucky, 0.002)], calls=1)
    cpus = [0.1, 0.01, 0.001]
    assert found == Figures(cpus, cpu=0.01, rate=50, half=0.1, worst=0.2, calls=1)


def test_ratios_are_of_figures_of_the_same_round() -> None:
    # A machine that is half as fast from the second round on, and stood still once.
    assert times(costing(4, 8, 8, 8), costing(1, 2, 2, 90)) == 4


def test_goals_say_what_is_reached(page: Path) -> None:
    write(own=2.0)
    assert "| a: one product | 12.0× ✓ | 15.0× ✓ | 12× | 4.0× ✓ | 4× | 2.0× ✓ | at most 3× |" in (  # noqa: RUF001
        page.read_text(encoding="utf-8")
    )


def test_goals_say_what_is_not_reached(page: Path) -> None:
    write(own=4.0)
    assert "6.0× ✗ | 7.5× ✗ | 12× | 2.0× ✗ | 4× | 4.0× ✗" in page.read_text(encoding="utf-8")  # noqa: RUF001


def test_notes_are_kept(page: Path) -> None:
    write(own=2.0)
    page.write_text(page.read_text(encoding="utf-8") + "\n## Tried\n", encoding="utf-8")
    write(own=4.0)
    text = page.read_text(encoding="utf-8")
    assert text.endswith("\n## Tried\n")
    assert text.count("## Tried") == 1
