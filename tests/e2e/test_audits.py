"""GraphQL over HTTP as its own audit suite sees it: the npm package `graphql-http`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.support import MUST_NOT_SKIP, PATIENCE, Service

AUDIT = Path(__file__).with_name("audit")
MISSING = [name for name in ("node", "npm") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(
    bool(MISSING) and not MUST_NOT_SKIP, reason=f"Node.js is missing: {', '.join(MISSING)}"
)


def run(*command: str) -> str:
    result = subprocess.run(  # noqa: S603 the command is ours
        command, cwd=AUDIT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def install() -> None:
    """Installs what the lock file says, unless it is there."""
    installed, locked = AUDIT / "node_modules/.package-lock.json", AUDIT / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")


def test_every_must_and_every_should_of_the_audits_holds(service: Service) -> None:
    assert not MISSING, f"Node.js is missing: {', '.join(MISSING)}"
    install()

    results = json.loads(run("node", "audit.mjs", f"{service.url}/graphql"))

    broken = [result for result in results if result["status"] != "ok"]
    for result in broken:
        print(result["status"], result["id"], result["name"], result["reason"], sep="\t")  # noqa: T201
    required = [result for result in results if result["name"].startswith(("MUST", "SHOULD"))]
    assert len(required) == 36
    assert [result for result in broken if result in required] == []


def test_the_lock_file_names_no_address() -> None:
    lock = (AUDIT / "package-lock.json").read_text(encoding="utf-8")

    assert "resolved" not in lock
    assert "://" not in lock
