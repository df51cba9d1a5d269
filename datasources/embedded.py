"""The embedded store: MiniStack as a child process, in an environment of its own.

Its pins conflict with ours, so its packages are installed beside ours, at first use, into the
cache folder. The child is ended by the end of a pipe that we hold, which the kernel closes for
us whatever we die of; it then saves its state (`embedded_child.py`). For POSIX systems.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import http.client
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import IO, Any

from datasources.errors import ConfigurationError

Report = Callable[[str], None]

LOCK_FILE = Path(__file__).with_name("ministack.lock")
CHILD = Path(__file__).with_name("embedded_child.py")
SERVICES = ("dynamodb", "dynamodbstreams", "sqs", "sns", "ses")
LOG_NAME = "store.log"
SECONDS_TO_START = 120
SECONDS_TO_END = 130  # longer than the child gives itself
_FETCHING = ("Collecting ", "Processing ")  # how pip begins a package from an index, from a file
_OTHERWISE = "or set CARTOGRAPH_STORE to the URL of a DynamoDB-compatible endpoint."


@asynccontextmanager
async def embedded_store(
    *, cache_dir: Path, data_dir: Path | None, region: str, report: Report
) -> AsyncIterator[str]:
    """Yields the URL of a store that lives as long as the block, once it answers.

    With a `data_dir` its rows are read from there and saved there when it ends; stream records
    are not kept. Raises ConfigurationError, in one line, when the environment cannot be made,
    the folder cannot be used or is in use, or the store does not start.
    """
    python = await _environment(_home(cache_dir), report)
    with _folder(data_dir) as folder:
        process = _start(python, folder, region, persist=data_dir is not None)
        try:
            yield await _answering(process, folder / LOG_NAME)
        finally:
            if data_dir is not None:
                report("Saving the embedded store's data")
            await _end(process)


# --- the environment ---------------------------------------------------------------------


def _home(cache_dir: Path) -> Path:
    """The environment's folder: another one for other pins, or for another Python."""
    lock = LOCK_FILE.read_bytes()
    version = re.findall(rb"^ministack==(\S+)", lock, re.MULTILINE)[0].decode()
    ours = f"{sys.version} {sys.base_prefix} {platform.machine()}".encode()
    digest = hashlib.sha256(lock + ours).hexdigest()[:12]
    return cache_dir.absolute() / f"ministack-{version}-{digest}"


async def _environment(home: Path, report: Report) -> Path:
    """The interpreter that has MiniStack, made when missing."""
    python = home / "bin" / "python"
    if python.exists():
        return python
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        async with _alone(home.with_name(f"{home.name}.lock"), report):
            if not python.exists():
                # Made under a name of its own, so that what an interruption leaves, perhaps with
                # its pip still at it, is never used.
                part = home.with_name(f"{home.name}.part-{os.getpid()}")
                await asyncio.to_thread(_clear, home)
                await _install(part, report)
                part.rename(home)
    except OSError as error:
        raise ConfigurationError(
            f"CARTOGRAPH_CACHE_DIR: the embedded store cannot be installed in {home.parent} "
            f"({error.strerror}); should be a folder that can be written."
        ) from None
    return python


@asynccontextmanager
async def _alone(path: Path, report: Report) -> AsyncIterator[None]:
    """Holds the file's lock, which ends with the process that holds it."""
    with path.open("ab") as file:
        if not _locked(file):
            report("Waiting for another process that installs the embedded store")
            while not _locked(file):  # noqa: ASYNC110 the other is another process
                await asyncio.sleep(0.2)
        yield


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(home: Path) -> None:
    """Removes an environment without an interpreter, and all that were not finished."""
    for folder in (home, *home.parent.glob(f"{home.name}.part-*")):
        shutil.rmtree(folder, ignore_errors=True)


async def _install(home: Path, report: Report) -> None:
    packages = LOCK_FILE.read_text().count("==")
    report("Installing the embedded store (at first use only)")

    def nothing(_: str) -> None: ...

    if await _run(nothing, sys.executable, "-I", "-m", "venv", str(home)):
        raise ConfigurationError(
            "The embedded store's environment cannot be made: `python -m venv` failed; install "
            f"what it needs (python3-venv on Debian), {_OTHERWISE}"
        )
    said: list[str] = []

    def progress(line: str) -> None:
        said.append(line)
        if line.startswith(_FETCHING):
            fetched = sum(earlier.startswith(_FETCHING) for earlier in said)
            report(f"  package {fetched} of {packages}")
        elif line.startswith("Installing "):
            report("  setting them up")

    pip = [str(home / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check"]
    pip += ["install", "--no-input", "--progress-bar", "off", "--require-hashes"]
    if await _run(progress, *pip, "-r", str(LOCK_FILE)):
        errors = [line for line in said if line.startswith("ERROR")] or said or ["no reason given"]
        raise ConfigurationError(
            f"The embedded store cannot be installed ({errors[-1].removeprefix('ERROR: ')}); "
            f"check that pip reaches its package index, {_OTHERWISE}"
        )


async def _run(each_line: Report, *command: str) -> int:
    """The exit code of a command, whose output goes to `each_line`."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout  # noqa: S101 it is a pipe
        async for line in process.stdout:
            each_line(line.decode(errors="replace").strip())
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- the process -------------------------------------------------------------------------


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    """Where the child keeps state and log, for one service at a time."""
    if data_dir is None:
        # Kept when the start fails, for the log in it; else removed, by the child if we die.
        folder = Path(tempfile.mkdtemp(prefix="cartograph-"))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        return
    folder = data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        file = (folder / "service.lock").open("ab")
    except OSError as error:
        raise ConfigurationError(
            f"CARTOGRAPH_DATA_DIR: {data_dir} cannot be used ({error.strerror}); "
            "should be a folder that can be written."
        ) from None
    with file:
        if not _locked(file):
            raise ConfigurationError(
                f"CARTOGRAPH_DATA_DIR: {data_dir} is in use by another service; "
                "should be a folder of this service's own."
            )
        yield folder


def _start(python: Path, folder: Path, region: str, *, persist: bool) -> subprocess.Popen[bytes]:
    # MiniStack heeds dozens of variables, so it gets none of ours. The last four keep it from
    # opening other ports, from reaping containers of the user's, and from chatting.
    environment = {
        "PATH": os.defpath,
        "SERVICES": ",".join(SERVICES),
        "MINISTACK_REGION": region,
        "PERSIST_STATE": str(int(persist)),
        "STATE_DIR": str(folder),
        "TMPDIR": str(folder),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker",
        "LOG_LEVEL": "WARNING",
    }
    log = folder / LOG_NAME
    log.unlink(missing_ok=True)
    with log.open("xb") as stderr:
        return subprocess.Popen(  # noqa: S603 both paths are ours
            [python, "-I", CHILD],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            start_new_session=True,  # a terminal's Ctrl-C is for us, who end the child
        )


async def _answering(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout  # noqa: S101 it is a pipe
    try:
        async with asyncio.timeout(SECONDS_TO_START):
            port = int(await asyncio.to_thread(process.stdout.readline))
            await asyncio.to_thread(_wake, port)
    except (OSError, ValueError, http.client.HTTPException):
        raise ConfigurationError(
            f"The embedded store did not start: {_last_line(log)}; its log is {log}."
        ) from None
    return f"http://127.0.0.1:{port}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").rstrip().splitlines()
    return lines[-1].strip() if lines else "it did not answer"


def _wake(port: int) -> None:
    """Waits for the first answers, among them those that are slow once.

    MiniStack sorts saved rows into their indexes at the first Query of one: seconds for 100,000
    rows, more than a client of ours waits.
    """
    for table in _ask(port, "ListTables", {}).get("TableNames", []):
        description = _ask(port, "DescribeTable", {"TableName": table}).get("Table", {})
        for index in description.get("GlobalSecondaryIndexes", [])[:1]:
            query = {
                "TableName": table,
                "IndexName": index["IndexName"],
                "KeyConditionExpression": "#key = :none",
                "ExpressionAttributeNames": {"#key": index["KeySchema"][0]["AttributeName"]},
                "ExpressionAttributeValues": {":none": {"S": "-"}},
            }
            _ask(port, "Query", query)


def _ask(port: int, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_TO_START)
    headers = {
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
    }
    with closing(connection):
        connection.request("POST", "/", json.dumps(request), headers)
        answer: dict[str, Any] = json.load(connection.getresponse())
        return answer


async def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin  # noqa: S101 it is a pipe
    assert process.stdout  # noqa: S101
    process.stdin.close()
    try:
        await asyncio.to_thread(process.wait, SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
