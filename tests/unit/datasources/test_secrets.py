import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datasources.errors import ConfigurationError
from datasources.secrets import embedded_secret


def test_a_secret_is_made_once_and_read_afterwards(tmp_path: Path) -> None:
    first = embedded_secret(tmp_path / "state", "jwt-secret")

    assert len(first) >= 48
    assert embedded_secret(tmp_path / "state", "jwt-secret") == first


def test_secrets_of_two_names_differ(tmp_path: Path) -> None:
    assert embedded_secret(tmp_path, "jwt-secret") != embedded_secret(tmp_path, "cursor-key")


def test_folder_and_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    embedded_secret(folder, "jwt-secret")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "jwt-secret").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["jwt-secret"]


def test_all_who_start_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        values = set(threads.map(lambda _: embedded_secret(tmp_path, "cursor-key"), range(64)))

    assert len(values) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_secret_that_others_could_read_is_refused(tmp_path: Path, mode: int) -> None:
    embedded_secret(tmp_path, "jwt-secret")
    (tmp_path / "jwt-secret").chmod(mode)

    with pytest.raises(ConfigurationError, match=r"CARTOGRAPH_STATE_DIR.*owner alone"):
        embedded_secret(tmp_path, "jwt-secret")


def test_an_emptied_secret_is_refused(tmp_path: Path) -> None:
    embedded_secret(tmp_path, "jwt-secret")
    (tmp_path / "jwt-secret").write_text("")

    with pytest.raises(ConfigurationError, match="CARTOGRAPH_STATE_DIR"):
        embedded_secret(tmp_path, "jwt-secret")


def test_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="CARTOGRAPH_STATE_DIR") as refused:
        embedded_secret(tmp_path / "file" / "state", "jwt-secret")

    assert "\n" not in refused.value.message
