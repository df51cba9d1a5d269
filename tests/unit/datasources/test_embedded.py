import asyncio
from pathlib import Path

import pytest

from datasources import embedded
from datasources.errors import ConfigurationError


def no_report(_: str) -> None: ...


def test_the_environment_is_named_after_the_version_and_all_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = tmp_path / "pins.lock"
    monkeypatch.setattr(embedded, "LOCK_FILE", pins)
    homes = []
    for other in ("1.0", "1.1", "1.0"):
        pins.write_text(f"other=={other}\nministack==9.8.7\n")
        homes.append(embedded._home(tmp_path))

    assert all(home.name.startswith("ministack-9.8.7-") for home in homes)
    assert homes[0] != homes[1]
    assert homes[0] == homes[2]


async def test_of_two_first_uses_at_once_one_installs_and_the_other_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[Path] = []
    waiting = asyncio.Event()

    async def install(home: Path, _: embedded.Report) -> None:
        installed.append(home)
        await waiting.wait()
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "python").touch()

    monkeypatch.setattr(embedded, "_install", install)
    home = tmp_path / "cache" / "ministack"
    made = await asyncio.gather(
        embedded._environment(home, lambda _: waiting.set()),
        embedded._environment(home, lambda _: waiting.set()),
    )

    assert set(made) == {home / "bin" / "python"}
    assert len(installed) == 1


async def test_what_an_interrupted_first_use_left_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(home: Path, _: embedded.Report) -> None:
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "half").touch()
        raise asyncio.CancelledError

    async def whole(home: Path, _: embedded.Report) -> None:
        (home / "bin").mkdir(parents=True)  # fails where anything was left
        (home / "bin" / "python").touch()

    home = tmp_path / "ministack"
    monkeypatch.setattr(embedded, "_install", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await embedded._environment(home, no_report)
    assert not home.exists()

    monkeypatch.setattr(embedded, "_install", whole)
    assert (await embedded._environment(home, no_report)).exists()
    assert not (home / "bin" / "half").exists()


async def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="CARTOGRAPH_CACHE_DIR"):
        await embedded._environment(tmp_path / "file" / "ministack", no_report)


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(ConfigurationError, match="CARTOGRAPH_DATA_DIR"),
        embedded._folder(tmp_path / "file" / "data"),
    ):
        pass


def test_a_data_folder_is_made_and_serves_one_service_at_a_time(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    with embedded._folder(data) as folder:
        assert folder.is_dir()
        with (
            pytest.raises(ConfigurationError, match=r"CARTOGRAPH_DATA_DIR.*in use"),
            embedded._folder(data),
        ):
            pass
    with embedded._folder(data):
        pass
