"""Reads through DAX, by a client that blocks ("Developing with the DAX client", Developer Guide).

Its calls run in threads, as many at a time as there are; one that nobody waits for any more keeps
its thread until its own time is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
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
    ) -> None:
        self._client = client
        self._dax = dax
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="dax")
        self._places = Places(threads, patience)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def batch_get_item(self, **parameters: Any) -> Mapping[str, Any]:
        if any(each.get("ConsistentRead") for each in parameters["RequestItems"].values()):
            return await self._client.batch_get_item(**parameters)
        return await self._ask("BatchGetItem", self._dax.batch_get_item, parameters)

    async def query(self, **parameters: Any) -> Mapping[str, Any]:
        if parameters.get("ConsistentRead"):
            return await self._client.query(**parameters)
        return await self._ask("Query", self._dax.query, parameters)

    def close(self) -> None:
        """Ends the connections and, as they come to it, the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._dax.close()

    async def _ask(
        self,
        operation: str,
        method: Callable[..., dict[str, Any]],
        parameters: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Raises PoolTimeoutError and what a client of DynamoDB raises."""
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
    """In a thread. Raises what a client of DynamoDB raises, in the words of that."""
    try:
        answer = method(**parameters)
    except ClientError as error:
        raise _as_dynamodbs(error, operation) from error
    except (BotoCoreError, OSError):
        raise
    except Exception as error:  # of its decoder, when a connection breaks within an answer
        log.warning("what DAX answered to %s was not understood", operation, exc_info=True)
        raise ConnectionError("DAX gave no answer that is one") from error
    if "Items" in answer:  # the count is not in each answer
        answer.setdefault("ScannedCount", answer.get("Count", len(answer["Items"])))
    return answer


def _as_dynamodbs(error: ClientError, operation: str) -> ClientError:
    """What the client of DAX says without a code, or by one of its own, is no answer."""
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    if not code or code in _AWAY:
        code = "ServiceUnavailable"
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)
