"""The log: what is let through, of whom, and in which form."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from composition import logs
from datasources.cursor import CursorCodec
from datasources.errors import ConfigurationError, ServiceUnavailable, StoreError
from schema.errors import told
from streams import patience

SECRET = "swordfish"
OURS = logging.getLogger("tests.ours")


@pytest.fixture
def stream(logging_kept: None) -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """What has been written, as JSON."""
    logs.configure("info", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


Lines = Callable[[], list[dict[str, Any]]]


def library(source: str, **names: Any) -> None:
    """Runs what a library might, from a file that is none of the service's."""
    path = Path(__file__).with_name("a_library.py")
    exec(compile(source, str(path), "exec"), {"logging": logging, **names})  # noqa: S102


def test_a_line_of_a_library_is_its_message_as_it_stands_in_its_source(
    lines: Lines, tmp_path: Path
) -> None:
    module = tmp_path / "module.py"
    source = "logging.getLogger('lib').error('refused %s after %d attempts', secret, 3)\n"
    module.write_text(source)
    exec(compile(source, str(module), "exec"), {"logging": logging, "secret": SECRET})  # noqa: S102
    (line,) = lines()
    assert line["event"] == "refused … after … attempts"
    assert (line["level"], line["logger"]) == ("error", "lib")


def test_a_message_that_a_library_puts_together_is_its_place_alone(lines: Lines) -> None:
    library("logging.getLogger('lib').error(f'refused {secret}')", secret=SECRET)
    (line,) = lines()
    assert line["event"] == "from a_library.py:1"


def test_a_line_of_the_service_is_told_in_full(lines: Lines) -> None:
    patience.log.warning("%s: %s, attempt %d", "Journal", "Throttled", 3)
    told([], "r-1")
    assert logs.own(str(Path(patience.__file__))) == "streams/patience.py"
    # It is this file that says it here, and this file is not the service's.
    (line,) = lines()
    assert line["event"] == "…: …, attempt …"


async def test_the_service_says_what_it_fills_its_lines_with(lines: Lines) -> None:
    async def fail(failures: list[Exception]) -> None:
        if failures:
            raise failures.pop()

    async def at_once(_seconds: float) -> None: ...

    left: list[Exception] = [ServiceUnavailable(SECRET)]
    await patience.Patience(at_once, max).insist(lambda: fail(left), "Journal")
    (line,) = lines()
    assert line["event"] == "Journal: ServiceUnavailable, attempt 1"


def test_fields_that_are_not_listed_are_dropped(lines: Lines) -> None:
    more = {"request_id": "r-1", "email": SECRET, "variables": {"a": SECRET}, "codes": ["A"]}
    OURS.info("request", extra=more)
    (line,) = lines()
    assert (line["request_id"], line["codes"]) == ("r-1", ["A"])
    assert SECRET not in str(line)


def test_of_an_exception_there_is_its_class_and_where_it_was(lines: Lines) -> None:
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        OURS.exception("it failed")
    (line,) = lines()
    assert line["error"] == "RuntimeError from ValueError"
    assert [place.partition(":")[0] for place in line["raised_at"]] == [
        "composition/test_logs.py",
        "composition/test_logs.py",
    ]


def test_frames_of_the_service_are_told_with_the_librarys_that_raised() -> None:
    error: Exception | None = None
    try:
        CursorCodec(["a key"]).seal("position", ["a\ud800"])
    except UnicodeEncodeError as raised:
        error = raised
    assert error
    found = [place.partition(":")[0] for place in logs.places(error.__traceback__)]
    assert found[:3] == ["datasources/cursor.py"] * 3
    assert found[-1] != "composition/test_logs.py"  # a test is none of the service's

    try:
        jwt.decode("x", SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as raised:
        error = raised
    assert [place.partition(":")[0] for place in logs.places(error.__traceback__)] == [
        "jwt/api_jws.py"
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ServiceUnavailable("The store is away."), "ServiceUnavailable (The store is away.)"),
        (ConfigurationError("TABLE: is none."), "ConfigurationError (TABLE: is none.)"),
        (StoreError(f"ValidationException: {SECRET}"), "StoreError (ValidationException)"),
        (StoreError(f"A row holds no User: {SECRET}"), "StoreError"),
        (KeyError(SECRET), "KeyError"),
    ],
)
def test_the_text_of_an_error_is_told_where_it_is_our_own(error: Exception, expected: str) -> None:
    assert logs.named(error) == expected


def test_a_group_is_told_by_the_first_of_its_exceptions(lines: Lines) -> None:
    OURS.error("it failed", exc_info=ExceptionGroup(SECRET, [KeyError(SECRET)]))
    assert [line["error"] for line in lines()] == ["ExceptionGroup from KeyError"]


def test_a_line_is_one_line_whatever_is_in_it(lines: Lines, stream: io.StringIO) -> None:
    logs.configure("info", "console", stream)
    OURS.info("one\ntwo\x1b[31m\u2028three")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_what_nobody_catches_is_told_without_its_text(lines: Lines) -> None:
    sys.excepthook(ValueError, ValueError(SECRET), None)
    thread = threading.Thread(target=lambda: int(SECRET))
    thread.start()
    thread.join()
    assert [(line["level"], line["error"]) for line in lines()] == [("critical", "ValueError")] * 2


def test_an_exception_that_nobody_asks_for_is_told_without_its_text(lines: Lines) -> None:
    async def fail(what: str) -> None:
        raise ValueError(what)

    async def forget() -> None:
        # Its repr, in debug mode, has the call that made it.
        task = asyncio.create_task(fail(SECRET), name=SECRET)
        await asyncio.wait([task])
        del task
        gc.collect()
        asyncio.get_running_loop().call_exception_handler({"message": SECRET, SECRET: SECRET})

    asyncio.run(forget(), debug=True)
    found = [line for line in lines() if line["level"] == "error"]
    assert [(line["logger"], line.get("error")) for line in found] == [
        ("asyncio", "ValueError"),
        ("asyncio", None),
    ]
    assert SECRET not in str(lines())


def test_warnings_are_lines_as_well(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(SECRET, stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert SECRET not in str(line)


def test_a_line_that_cannot_be_made_shows_nothing_of_what_was_to_be_in_it(
    lines: Lines, stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __iter__(self) -> Iterator[str]:
            raise RuntimeError(SECRET)

    OURS.error("it failed", extra={"codes": {Broken(): SECRET}})
    assert stream.getvalue().startswith("a log line could not be made: test_logs.py:")
    assert SECRET not in stream.getvalue() + "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("form", "is_terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("console", False, False)],
)
def test_a_terminal_gets_lines_to_read_and_all_others_json(
    form: logs.Format, is_terminal: bool, is_json: bool, stream: io.StringIO
) -> None:
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    logs.configure("info", form, stream)
    OURS.info("request", extra={"request_id": "r-1"})
    assert stream.getvalue().startswith("{") is is_json
    assert "r-1" in stream.getvalue()


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream)
    OURS.info("nothing")
    logging.getLogger("botocore.credentials").info("found in a file")
    assert stream.getvalue() == ""
