"""Lines in the log: every one, of the service and of libraries, goes through one chain that lets
through only what is listed here.

What a library has to say may quote anything, a row or a token, and so may the text of an
exception. Of a library's line there is its message as it stands in the library's source, without
what it was to be filled with; of an exception its class and where it happened. Lines of our own
are told in full: a test holds what they are filled with to a list.
"""

from __future__ import annotations

import linecache
import logging
import re
import sys
import threading
from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor

from datasources.errors import CartographError, ConfigurationError, StoreError

Format = Literal["auto", "json", "console"]

# What a line may hold, whoever writes it, and in this order.
FIELDS = """timestamp level logger event request_id tenant kind operation field codes milliseconds
    cost calls read_units write_units skipped error raised_at""".split()
_ROOT = Path(__file__).parents[1]
_OURS = frozenset("composition datasources resolvers schema streams server.py settings".split())
_LONGEST = 1_000  # characters of a message
_MOST_CAUSES = 5
_MOST_FRAMES = 10
_BLANK = re.compile(r"%(\(\w+\))?[-+ #0]*\d*(\.\d+)?[a-zA-Z]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

log = logging.getLogger(__name__)


def configure(level: str, form: Format = "auto", stream: TextIO = sys.stderr) -> None:
    """Has all loggers write to the stream, from the level on: JSON, a line each, unless a terminal
    reads them or `form` says otherwise."""
    console = form == "console" or (form == "auto" and stream.isatty())
    handler = _Handler(stream)
    handler.setFormatter(formatter(console=console, colors=console and stream.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    for library in ("aiobotocore", "botocore"):  # which tell where credentials were found
        logging.getLogger(library).setLevel(logging.WARNING)
    # What nobody catches is written with its text and its source otherwise.
    sys.excepthook = _tell_uncaught
    threading.excepthook = lambda given: _tell_uncaught(
        given.exc_type, given.exc_value, given.exc_traceback
    )
    sys.unraisablehook = lambda given: _tell_uncaught(
        given.exc_type, given.exc_value, given.exc_traceback
    )


def formatter(*, console: bool, colors: bool = False) -> logging.Formatter:
    render: Processor = structlog.processors.JSONRenderer(_json)
    if console:
        render = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            ExtraAdder(allow=FIELDS),
            _say,
            _tell_error,
        ],
        processors=[_let_through, render],
        use_get_message=False,
        pass_foreign_args=True,
    )


def _say(_logger: object, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    message = str(record.msg)
    if own(record.pathname):
        filled = event["positional_args"]
        message = message % filled if filled else message
    elif message in _source(record.pathname):
        message = _BLANK.sub("…", message)
    else:
        message = f"from {record.module}.py:{record.lineno}"
    event["event"] = _CONTROL.sub(" ", message)[:_LONGEST]
    return event


def _tell_error(_logger: object, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        causes = list(_causes(error))
        event["error"] = " from ".join(map(named, causes))
        event["raised_at"] = [place for each in causes for place in places(each.__traceback__)]
        event["raised_at"] = event["raised_at"][:_MOST_FRAMES]
    return event


def _let_through(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {name: event[name] for name in FIELDS if name in event}


def named(error: BaseException) -> str:
    """The class of an exception, and the text of one of ours that quotes nobody."""
    name = type(error).__qualname__
    if not isinstance(error, CartographError):
        return name
    if type(error) is StoreError:
        # The code that DynamoDB gave; behind it its text, which may quote a value.
        code, colon, _ = error.message.partition(":")
        return f"{name} ({code})" if colon and code.isidentifier() else name
    told = isinstance(error, ConfigurationError) or error.retryable
    return f"{name} ({error.message})" if told else name


def places(traceback: TracebackType | None) -> Iterator[str]:
    """Where an exception came through the service's own code, the innermost first, and before
    that the line of a library that raised it."""
    frames: list[tuple[str, int]] = []
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    for at, (path, line) in enumerate(reversed(frames)):
        if where := own(path):
            yield f"{where}:{line}"
        elif at == 0:
            yield f"{'/'.join(Path(path).parts[-2:])}:{line}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came of; of a group the first."""
    following: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if following is None:
            return
        yield following
        if isinstance(following, BaseExceptionGroup):
            following = following.exceptions[0]
        else:
            hidden = following.__suppress_context__
            following = following.__cause__ or (None if hidden else following.__context__)


@lru_cache(maxsize=512)
def own(path: str) -> str | None:
    """The path of a module of the service from its root, None for any other's."""
    try:
        found = Path(path).resolve().relative_to(_ROOT)
    except ValueError:
        return None
    return found.as_posix() if found.parts[0] in _OURS else None


@lru_cache(maxsize=64)
def _source(path: str) -> str:
    return "".join(linecache.getlines(path))


def _json(event: object, **_: object) -> str:
    return orjson.dumps(event, default=lambda value: type(value).__name__).decode()


def _tell_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        log.critical("nothing caught this", exc_info=(kind, error or kind(), traceback))


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the library's name
        """A line that cannot be made: logging itself would write all that was to be in it."""
        self.stream.write(f"a log line could not be made: {record.module}.py:{record.lineno}\n")
