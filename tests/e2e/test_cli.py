"""The command line, as a process; `tests/unit/test_server.py` has more of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from resolvers.global_ids import encode
from tests.e2e.support import (
    PATIENCE,
    ROOT,
    Service,
    command,
    elsewhere,
    environment,
    one_line,
    run,
)


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


def test_help_goes_to_stdout(plain: dict[str, str]) -> None:
    result = run("serve", "--help", environment=plain)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: cartograph serve")


def test_a_wrong_argument_is_one_line_and_exit_code_2(plain: dict[str, str]) -> None:
    line = one_line(run("serve", "--host", "256.0.0.1", environment=plain))

    assert line.startswith("cartograph")
    assert "--host" in line


def test_a_reader_that_goes_away_is_no_traceback(plain: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stdout:
        result = subprocess.run(  # noqa: S603 the command is ours
            command("schema"),
            cwd=ROOT,
            env=plain,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert (result.returncode, result.stderr) == (1, "")


def test_a_statement_can_be_tried_on_the_demo_shop(plain: dict[str, str]) -> None:
    statement = "SELECT SK, username FROM cartograph WHERE PK = ? AND SK = 'PROFILE'"

    result = run("partiql", "--json", statement, "-p", "default#USER#taro", environment=plain)

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [{"SK": "PROFILE", "username": "taro"}]
    assert "Traceback" not in result.stderr


def test_a_dry_run_of_a_deployment_is_shown_without_a_store(plain: dict[str, str]) -> None:
    result = run("deploy", "tables", "--dry-run", environment=plain)

    assert (result.returncode, result.stderr) == (0, "")
    assert "Stack cartograph-dev-tables in ap-northeast-1" in result.stdout


def test_a_store_that_is_not_there_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    nowhere = elsewhere(tmp_path, "http://127.0.0.1:9")

    line = one_line(run("backup", "list", environment=nowhere), exit_code=1)

    assert "127.0.0.1:9" in line
    assert "CARTOGRAPH_STORE" in line


def test_a_token_is_good_beside_the_running_service_and_nowhere_else(
    service: Service, tmp_path: Path
) -> None:
    stranger = run("token", "--sub", "taro", environment=environment(tmp_path)).stdout.strip()
    known = service.token(encode("User", "taro"))

    query = "{ viewer { username } }"
    assert service.ask(query, known)["data"]["viewer"] == {"username": "taro"}
    with pytest.raises(AssertionError, match="signature"):
        service.ask(query, stranger)
