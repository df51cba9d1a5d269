"""Reads through DAX, by a client that blocks ("Developing with the DAX client", Developer Guide).

Its calls run in threads, as many at a time as there are; one that nobody waits for any more keeps
its thread until its own time is over. It is a cache in front of a table that is there: while it is
away, the table is read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from datasources.errors import ConfigurationError
from datasources.pool import Places

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_THREADS = 32
_SECONDS_TO_CONNECT = 1
_SECONDS_TO_READ = 2
_SECONDS_TO_WAIT = 1.0  # until a thread is free
_SECONDS_BETWEEN = 5.0  # looks whether it is back
# What its client says of the way to the cluster, and not DynamoDB of a call.
_AWAY = frozenset(
    """ConnectionException DecoderException EndOfStreamException InternalServerErrorException
    MalformedResultException NoRouteException""".split()
)

log = logging.getLogger(__name__)


class BlockingReads(Protocol):
    """What is used of a client of DAX: DynamoDB's operations with their parameters and answers."""

    def batch_get_item(self, **parameters: Any) -> dict[str, Any]: ...

    def query(self, **parameters: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


Connect = Callable[..., BlockingReads]


class _Away(Exception):
    """No answer of DynamoDB's came through DAX."""


class DaxClient:
    """Has every method and attribute of the client that it stands for; only that BatchGetItem and
    Query which need not be consistent are answered by DAX."""

    def __init__(
        self,
        client: DynamoDBClient,
        dax: BlockingReads,
        *,
        threads: int = _THREADS,
        patience: float = _SECONDS_TO_WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._dax = dax
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="dax")
        self._places = Places(threads, patience)
        self._clock = clock
        self._is_away = False
        self._next_look = 0.0  # while it is away

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def typed(self, name: str, _form: object) -> Callable[..., Awaitable[Mapping[str, Any]]]:
        """The method as it is: what DAX gives comes as values, not as JSON."""
        method: Callable[..., Awaitable[Mapping[str, Any]]] = getattr(self, name)
        return method

    async def batch_get_item(self, **parameters: Any) -> Mapping[str, Any]:
        if any(each.get("ConsistentRead") for each in parameters["RequestItems"].values()):
            return await self._client.batch_get_item(**parameters)
        here, there = self._client.batch_get_item, self._dax.batch_get_item
        return await self._read("BatchGetItem", here, there, parameters)

    async def query(self, **parameters: Any) -> Mapping[str, Any]:
        if parameters.get("ConsistentRead"):
            return await self._client.query(**parameters)
        return await self._read("Query", self._client.query, self._dax.query, parameters)

    def close(self) -> None:
        """Ends the connections and, as they come to it, the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._dax.close()

    async def _read(
        self,
        operation: str,
        here: Callable[..., Awaitable[Any]],
        there: Callable[..., dict[str, Any]],
        parameters: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """From DAX, or from the table while that is away; one call at a time then looks whether
        it is back."""
        if self._is_away:
            if self._clock() < self._next_look:
                return cast("Mapping[str, Any]", await here(**parameters))
            self._next_look = self._clock() + _SECONDS_BETWEEN
        try:
            answer = await self._ask(operation, there, parameters)
        except _Away as away:
            if not self._is_away:
                error = away.__cause__
                log.warning("DAX is away, the table is read: %s", type(error).__name__)
            self._is_away = True
            self._next_look = self._clock() + _SECONDS_BETWEEN
            return cast("Mapping[str, Any]", await here(**parameters))
        if self._is_away:
            self._is_away = False
            log.info("DAX is back")
        return answer

    async def _ask(
        self,
        operation: str,
        method: Callable[..., dict[str, Any]],
        parameters: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Raises _Away, PoolTimeoutError and what DynamoDB has answered."""
        await self._places.take()
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._threads, _call, operation, method, parameters)
        answer.add_done_callback(self._ended)
        return await asyncio.shield(answer)  # a thread cannot be cancelled

    def _ended(self, answer: asyncio.Future[dict[str, Any]]) -> None:
        self._places.give_back()
        if not answer.cancelled():
            answer.exception()  # that of a call which nobody waits for any more is nobody's


@asynccontextmanager
async def open_dax(
    endpoint: str, region: str, client: DynamoDBClient, connect: Connect | None = None
) -> AsyncIterator[DynamoDBClient]:
    """The client, reading through the cluster whose URL is given: `dax://` or `daxs://`.

    `connect` makes a client of DAX, with the parameters that the one of `amazon-dax-client` has.
    Raises ConfigurationError where the library is missing or the cluster not reached.
    """
    connect = connect or _library()
    config = Config(
        connect_timeout=_SECONDS_TO_CONNECT,
        read_timeout=_SECONDS_TO_READ,
        retries={"max_attempts": 0},
    )
    try:
        dax = await asyncio.to_thread(
            connect, region_name=region, endpoint_url=endpoint, config=config
        )
    except (ClientError, BotoCoreError, OSError, ValueError) as error:
        raise ConfigurationError(f"CARTOGRAPH_DAX_ENDPOINT: cannot be used: {error}") from None
    reading = DaxClient(client, dax)
    try:
        yield cast("DynamoDBClient", reading)
    finally:
        await asyncio.to_thread(reading.close)


def _library() -> Connect:
    try:
        from amazondax import AmazonDaxClient
    except ImportError:
        raise ConfigurationError(
            "CARTOGRAPH_DAX_ENDPOINT: is set, but amazon-dax-client is not installed; "
            "`pip install 'cartograph[dax]'` installs it."
        ) from None
    return cast("Connect", AmazonDaxClient)


def _call(
    operation: str, method: Callable[..., dict[str, Any]], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """In a thread. Raises _Away, and what DynamoDB has answered in the words of its client."""
    try:
        answer = method(**parameters)
    except ClientError as error:
        raise _as_dynamodbs(error, operation) from error
    except (BotoCoreError, OSError) as error:
        raise _Away from error
    except Exception as error:  # of its decoder, when a connection breaks within an answer
        log.warning("what DAX answered to %s was not understood", operation, exc_info=True)
        raise _Away from error
    if "Items" in answer:  # the count is not in each answer
        answer.setdefault("ScannedCount", answer.get("Count", len(answer["Items"])))
    return answer


def _as_dynamodbs(error: ClientError, operation: str) -> ClientError:
    """Raises _Away for what the client of DAX says without a code, or by one of its own."""
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    if not code or code in _AWAY:
        raise _Away from error
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)
