"""DAX as its client of Python shows it: blocking calls over rows in memory, and a script of what
goes wrong. There is no DAX to be had outside AWS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.support.memory import MemoryClient

URL = "daxs://shop.abc123.dax-clusters.ap-northeast-1.amazonaws.com"


class StandIn:
    """Its parameters and methods are those of `amazondax.AmazonDaxClient`, as far as they are used;
    a test holds them against it."""

    def __init__(
        self,
        session: Any = None,
        region_name: str | None = None,
        api_version: str | None = None,
        use_ssl: bool | None = None,
        verify: Any = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        config: Any = None,
        endpoints: list[str] | None = None,
        skip_hostname_verification: bool | None = None,
        ip_discovery: str | None = None,
        is_route_manager_enabled: bool = True,
    ) -> None:
        self.made_with = {"region_name": region_name, "endpoint_url": endpoint_url}
        self.config = config
        self.cluster = Cluster()

    def batch_get_item(self, **kwargs: Any) -> dict[str, Any]:
        return self.cluster.answer("batch_get_item", kwargs)

    def query(self, **kwargs: Any) -> dict[str, Any]:
        return self.cluster.answer("query", kwargs)

    def close(self) -> None:
        self.cluster.closed = True


@dataclass
class Cluster:
    """`fails` has what is raised by the next calls, one after another; calls wait until they `may`
    answer, and `most` of them have run at a time. `without` are members that answers lack."""

    rows: MemoryClient = field(default_factory=MemoryClient)
    fails: list[Exception] = field(default_factory=list)
    without: tuple[str, ...] = ()
    may: threading.Event = field(default_factory=threading.Event)
    threads: set[str] = field(default_factory=set)
    running: int = 0
    most: int = 0
    closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.may.set()

    def answer(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.threads.add(threading.current_thread().name)
        try:
            assert self.may.wait(30)
            with self._lock:
                if self.fails:
                    raise self.fails.pop(0)
                call: Callable[..., Any] = getattr(self.rows, method)
                answer: dict[str, Any] = asyncio.run(call(**parameters))
            return {name: each for name, each in answer.items() if name not in self.without}
        finally:
            with self._lock:
                self.running -= 1


def refusal(code: str | None, message: str | None = "no") -> ClientError:
    """As DAX's client makes it: an error that has no code, or no message, lacks the member."""
    told = {"Code": code, "Message": message}
    error: Any = {name: text for name, text in told.items() if text is not None}
    return ClientError({"Error": error} if error else {}, "")
