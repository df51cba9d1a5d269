"""How the service starts, ends, and says why it does not start."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from datasources.client import Endpoint, open_client
from tests.conftest import REGION
from tests.e2e.support import (
    PATIENCE,
    ROOT,
    Service,
    children,
    elsewhere,
    environment,
    needs_proc,
    one_line,
    run,
    serving,
)


@contextmanager
def watched(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends, whoever its parent is then."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def ends(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], PATIENCE)[0])


# --- running --------------------------------------------------------------------------------


def test_the_service_is_up_and_ready(service: Service) -> None:
    assert service.get("/healthz").status_code == 200
    assert service.get("/readyz").json() == {"status": "ready"}


def test_the_service_listens_on_this_machine_alone(service: Service) -> None:
    assert httpx.URL(service.url).host == "127.0.0.1"


def test_the_query_of_the_readme_runs_on_the_demo_data(service: Service, taro: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```graphql\n(.+?)```", readme, re.DOTALL)
    assert example

    answer = service.ask(example[1], taro)

    assert "errors" not in answer
    orders = answer["data"]["viewer"]["orders"]["nodes"]
    assert len(orders) == 10
    products = [line["product"] for order in orders for line in order["items"]]
    assert all(product["name"] and product["category"]["name"] for product in products)
    assert any(product["reviews"]["nodes"] for product in products)
    assert answer["extensions"]["cost"]["requested"] <= 5_000


@needs_proc
def test_sigterm_ends_the_service_and_its_store(tmp_path: Path) -> None:
    with serving(environment(tmp_path)) as running:
        (store,) = children(running.process.pid)
        with watched(store) as end:
            running.process.send_signal(signal.SIGTERM)
            exit_code = running.process.wait(PATIENCE)
            assert ends(end)

    assert exit_code == 0
    assert "Traceback" not in "".join(running.said)


@needs_proc
def test_the_store_ends_with_a_service_that_is_killed(tmp_path: Path) -> None:
    with serving(environment(tmp_path)) as running:
        (store,) = children(running.process.pid)
        with watched(store) as end:
            running.process.kill()
            running.process.wait(PATIENCE)
            assert ends(end)


def test_secrets_of_the_state_folder_are_for_their_owner(service: Service) -> None:
    folder = Path(service.environment["XDG_STATE_HOME"]) / "cartograph"

    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}

    assert modes == {"jwt-secret": 0o600, "cursor-key": 0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_data_survives_a_restart_in_the_data_folder(tmp_path: Path) -> None:
    settings = environment(tmp_path / "state", DATA_DIR=tmp_path / "data")
    counts = ["--users", "30", "--products", "3", "--orders", "5", "--reviews", "5"]

    def users(running: Service) -> set[str]:
        nodes = running.ask("{ users(first: 100) { nodes { id } } }", staff)["data"]["users"]
        return {node["id"] for node in nodes["nodes"]}

    with serving(settings) as first:
        staff = first.signed("staff", staff=True)
        demo = users(first)
    seeded = run("seed", *counts, environment=settings)
    assert seeded.returncode == 0, seeded.stderr
    with serving(settings) as second:
        both = users(second)  # with a token from before

    assert demo < both
    assert len(both - demo) > 15  # of 30, since some are not ACTIVE


# --- not starting ---------------------------------------------------------------------------


def test_a_port_in_use_is_told_with_what_to_do(service: Service, tmp_path: Path) -> None:
    result = run("serve", "--port", str(service.port), environment=environment(tmp_path))

    line = one_line(result)
    assert f"--port {service.port}" in line


def test_a_second_service_on_the_same_data_is_refused(tmp_path: Path) -> None:
    settings = environment(tmp_path / "state", DATA_DIR=tmp_path / "data")
    with serving(settings):
        result = run("serve", "--port", "0", environment=settings)

    assert "CARTOGRAPH_DATA_DIR" in one_line(result)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"STOER": "aws"}, "CARTOGRAPH_STOER"),
        ({"DATA_DIR": "/dev/null/x"}, "CARTOGRAPH_DATA_DIR"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_wrong_setting_is_one_line(settings: dict[str, str], named: str, tmp_path: Path) -> None:
    result = run("serve", "--port", "0", environment=environment(tmp_path, **settings))

    assert named in one_line(result)


@pytest.mark.parametrize("command", ["serve", "table"])
def test_a_store_out_of_reach_is_one_line(command: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    arguments = [command, *(["--port", "0"] if command == "serve" else [])]

    line = one_line(run(*arguments, environment=elsewhere(tmp_path, f"http://127.0.0.1:{port}")))

    assert "CARTOGRAPH_STORE" in line
    assert f"127.0.0.1:{port}" in line


@pytest.fixture
def table() -> str:
    """The name of one that is not there."""
    return f"start-{uuid.uuid4().hex[:12]}"


def test_any_endpoint_is_served_once_its_tables_are_there(
    store: str, table: str, tmp_path: Path
) -> None:
    settings = elsewhere(
        tmp_path, store, TABLE=table, JWT_SECRET="a secret of thirty-two bytes or more"
    )
    counts = ["--users", "5", "--products", "3", "--orders", "5", "--reviews", "5"]

    missing = one_line(run("serve", "--port", "0", environment=settings))
    created = run("table", environment=settings)
    again = run("table", environment=settings)
    seeded = run("seed", *counts, environment=settings)
    with serving(settings) as running:
        staff = running.signed("staff", staff=True)
        users = running.ask("{ users(first: 100) { nodes { id } } }", staff)["data"]["users"]
        schema = running.ask("{ __schema { queryType { name } } }")
        page = running.get("/graphql", accept="text/html")

    assert "CARTOGRAPH_TABLE" in missing
    assert "cartograph table" in missing
    assert created.returncode == again.returncode == seeded.returncode == 0
    assert f"created table {table}" in created.stderr
    assert "Nothing to do" in again.stderr
    assert 0 < len(users["nodes"]) <= 5
    assert schema["errors"][0]["extensions"]["code"] == "INTROSPECTION_DISABLED"
    assert page.status_code == 406


async def test_a_table_with_other_keys_is_told_and_left_alone(
    store: str, table: str, tmp_path: Path
) -> None:
    settings = elsewhere(tmp_path, store, TABLE=table)
    async with open_client(Endpoint(REGION, store, local=True)) as client:
        await client.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

        lines = [
            one_line(run(*arguments, environment=settings))
            for arguments in (["serve", "--port", "0"], ["table"])
        ]
        described = await client.describe_table(TableName=table)
        tables = await client.list_tables()

    assert all("CARTOGRAPH_TABLE" in line and "PK" in line for line in lines)
    assert described["Table"]["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert [name for name in tables["TableNames"] if name.startswith(table)] == [table]
