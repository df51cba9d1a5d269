import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from datasources import embedded
from datasources.client import Endpoint, open_client
from datasources.embedded import embedded_store
from datasources.errors import ConfigurationError
from datasources.operating.provision import provision
from datasources.rows import stored

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "infra" / "template.yaml"
REGION = "ap-northeast-1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartograph"


def no_report(_: str) -> None: ...


def store(data_dir: Path | None, cache_dir: Path = CACHE) -> AbstractAsyncContextManager[str]:
    return embedded_store(cache_dir=cache_dir, data_dir=data_dir, region=REGION, report=no_report)


async def write(url: str, sort_key: str) -> None:
    async with open_client(Endpoint(REGION, url, local=True)) as client:
        await provision(client, "cartograph", TEMPLATE)
        await client.put_item(
            TableName="cartograph",
            Item={
                "PK": {"S": "shop"},
                "SK": {"S": sort_key},
                "GSI1PK": {"S": "list"},
                "GSI1SK": {"S": sort_key},
            },
        )


async def read(url: str) -> list[str]:
    """The sort keys of what `write` wrote, by way of an index."""
    async with open_client(Endpoint(REGION, url, local=True)) as client:
        answer = await client.query(
            TableName="cartograph",
            IndexName="GSI1",
            KeyConditionExpression="GSI1PK = :list",
            ExpressionAttributeValues={":list": {"S": "list"}},
        )
        return [stored(item)["SK"] for item in answer["Items"]]


async def test_rows_survive_a_restart_in_the_data_folder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        async with store(tmp_path / "data") as url:
            await write(url, name)
    async with store(tmp_path / "data") as url:
        assert await read(url) == ["first", "second"]


async def test_without_a_data_folder_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with store(None) as url:
        await write(url, "gone")
        assert len(os.listdir(tmp_path)) == 1

    assert os.listdir(tmp_path) == []


PARENT = """
import asyncio, signal, sys
from pathlib import Path
from datasources.embedded import embedded_store

# What is started in the background of a shell ignores it, and so does what that starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    cache, data = (Path(argument) for argument in sys.argv[1:])
    async with embedded_store(
        cache_dir=cache, data_dir=data, region="ap-northeast-1", report=lambda _: None
    ) as url:
        print(url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def service(data_dir: Path) -> subprocess.Popen[str]:
    """A process, in a group of its own, that runs a store and tells its URL."""
    return subprocess.Popen(  # noqa: S603 all of it is ours
        [sys.executable, "-c", PARENT, CACHE, data_dir],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # how Python tells of a Ctrl-C
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
async def test_a_store_ends_with_its_service_and_saves(
    tmp_path: Path, sign: signal.Signals
) -> None:
    with service(tmp_path) as process:
        assert process.stdout
        url = (await asyncio.to_thread(process.stdout.readline)).strip()
        await write(url, "kept")
        os.killpg(process.pid, sign)  # as a terminal does
        process.wait()

    # It reads the folder once the store before it has saved and ended.
    async with store(tmp_path) as next_url:
        assert await read(next_url) == ["kept"]
    with pytest.raises(ConfigurationError, match=url):
        async with open_client(Endpoint(REGION, url, local=True)) as client:
            await provision(client, "cartograph", TEMPLATE)


async def test_a_start_that_is_interrupted_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    async def interrupted(process: subprocess.Popen[bytes], _: Path) -> str:
        started.append(process)
        raise asyncio.CancelledError

    monkeypatch.setattr(embedded, "_answering", interrupted)
    with pytest.raises(asyncio.CancelledError):
        async with store(tmp_path):
            pass

    assert [process.poll() is None for process in started] == [False]


async def test_a_second_service_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with store(tmp_path) as url:
        await write(url, "first")
        with pytest.raises(ConfigurationError, match="CARTOGRAPH_DATA_DIR"):
            async with store(tmp_path):
                pass
        assert await read(url) == ["first"]


async def test_a_store_that_dies_at_start_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "dying.py"
    dying.write_text("import sys\nsys.exit('no room\\nfor a store')")
    monkeypatch.setattr(embedded, "CHILD", dying)

    with pytest.raises(ConfigurationError, match="for a store") as refused:
        async with store(tmp_path / "data"):
            pass

    assert str(tmp_path / "data" / "store.log") in refused.value.message
    assert "\n" not in refused.value.message


async def test_a_package_index_out_of_reach_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(ConfigurationError, match=r"pip reaches .* CARTOGRAPH_STORE") as refused:
        async with store(None, cache_dir=tmp_path):
            pass

    assert "\n" not in refused.value.message
