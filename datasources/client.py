"""The one place that knows aioboto3: opens the low-level clients that all else is built on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from datasources.assumed import AssumedCredentials, RoleClient, RoleUnavailableError
from datasources.attributes import decode_row
from datasources.breaker import NotAsked
from datasources.errors import (
    ConfigurationError,
    ServiceUnavailable,
    StoreError,
    from_aws,
    from_cancellation,
)
from datasources.fast.client import FastClient
from datasources.fast.transport import Limits, open_transport
from datasources.pool import Places, PoolTimeoutError

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_CONNECTIONS = 64
_SECONDS_TO_CONNECT = 1
_SECONDS_TO_READ = 2
_SECONDS_TO_WAIT = 1.0  # until a connection is free
# A local store does one thing after another.
_SECONDS_TO_READ_LOCALLY = 30
# An answer given up on may be of a message that was taken, which is then sent twice.
_SECONDS_TO_ACCEPT = 10
_SECONDS_FOR_COMMANDS = 30  # where a person waits who can end it


@dataclass(frozen=True)
class Endpoint:
    """Where the store is. `url` None: AWS itself, by the region and the usual credential chain.

    `local` stores take any credentials; made-up ones are then sent, so that none need be set.
    `fast`: calls that requests are made of go by `datasources.fast` and not by botocore.
    """

    region: str
    url: str | None = None
    local: bool = False
    fast: bool = True


class StreamsClient(Protocol):
    """What is used of the DynamoDB Streams API. `exceptions` has its error codes as classes."""

    exceptions: Any

    async def describe_stream(self, **parameters: Any) -> dict[str, Any]: ...

    async def get_shard_iterator(self, **parameters: Any) -> dict[str, Any]: ...

    async def get_records(self, **parameters: Any) -> dict[str, Any]: ...


class MailClient(Protocol):
    """What is used of the SES API v2."""

    async def send_email(self, **parameters: Any) -> dict[str, Any]: ...


class TopicClient(Protocol):
    """What is used of the SNS API."""

    async def publish(self, **parameters: Any) -> dict[str, Any]: ...


class QueueClient(Protocol):
    """What is used of the SQS API."""

    async def send_message(self, **parameters: Any) -> dict[str, Any]: ...

    async def receive_message(self, **parameters: Any) -> dict[str, Any]: ...

    async def delete_message(self, **parameters: Any) -> dict[str, Any]: ...

    async def change_message_visibility(self, **parameters: Any) -> dict[str, Any]: ...

    async def get_queue_attributes(self, **parameters: Any) -> dict[str, Any]: ...


class FilesClient(Protocol):
    """What is used of the S3 API."""

    async def get_object(self, **parameters: Any) -> dict[str, Any]: ...


class StacksClient(Protocol):
    """What is used of the CloudFormation API."""

    async def describe_stacks(self, **parameters: Any) -> dict[str, Any]: ...

    async def describe_stack_events(self, **parameters: Any) -> dict[str, Any]: ...

    async def create_change_set(self, **parameters: Any) -> dict[str, Any]: ...

    async def describe_change_set(self, **parameters: Any) -> dict[str, Any]: ...

    async def execute_change_set(self, **parameters: Any) -> dict[str, Any]: ...

    async def delete_change_set(self, **parameters: Any) -> dict[str, Any]: ...

    async def delete_stack(self, **parameters: Any) -> dict[str, Any]: ...


def new_session(endpoint: Endpoint) -> aioboto3.Session:
    """What several clients can share: credentials, and the descriptions of the services, which
    take longer to read than a client to open."""
    credentials = (
        {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if endpoint.local else {}
    )
    return aioboto3.Session(region_name=endpoint.region, **credentials)


def sessions(endpoint: Endpoint) -> Callable[[AssumedCredentials], aioboto3.Session]:
    """Makes sessions with credentials of their own, which share the descriptions of services."""
    descriptions = get_session().get_component("data_loader")

    def session_with(credentials: AssumedCredentials) -> aioboto3.Session:
        session = get_session()
        session.register_component("data_loader", descriptions)
        session.register_component("credential_provider", credentials)
        return aioboto3.Session(botocore_session=session, region_name=endpoint.region)

    return session_with


def open_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[DynamoDBClient]:
    """A DynamoDB client, closed at the end of the block."""
    return _open_fast("dynamodb", endpoint, session)


@asynccontextmanager
async def _open_fast(
    service: str, endpoint: Endpoint, session: aioboto3.Session | None
) -> AsyncIterator[Any]:
    """A client whose hot operations are fast where the endpoint says so."""
    session = session or new_session(endpoint)
    http: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        client: object = await stack.enter_async_context(
            _open(service, endpoint, session, http=http)
        )
        if endpoint.fast:
            client = await _fast(client, session, http, stack, local=endpoint.local)
        yield client


async def _fast(
    plain: Any,
    session: aioboto3.Session,
    http: dict[str, Any],
    stack: AsyncExitStack,
    *,
    local: bool,
) -> object:
    """The client, its hot operations made fast: not through a proxy, nor without credentials.

    `http` is what aiobotocore made its own HTTP session of, after all files and variables.
    """
    scheme = urlsplit(plain.meta.endpoint_url).scheme
    credentials = await session.get_credentials()
    if credentials is None or http["client_cert"] or (http["proxies"] or {}).get(scheme):
        return plain
    connect, read = http["timeout"]
    limits = Limits(
        connect,
        read,
        connections=http["max_pool_connections"],
        keepalive=http["connector_args"]["keepalive_timeout"],
        verify=http["verify"],
        patience=_patience(local=local),
    )
    opening = open_transport(limits, secure=scheme == "https")
    return FastClient(plain, await stack.enter_async_context(opening), credentials)


def open_streams_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[StreamsClient]:
    """A client of the tables' streams, closed at the end of the block."""
    return _open_fast("dynamodbstreams", endpoint, session)


def open_ses_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[MailClient]:
    """A client that sends mail, closed at the end of the block."""
    return _open("sesv2", endpoint, session, seconds=_SECONDS_TO_ACCEPT)


def open_sns_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[TopicClient]:
    """A client that publishes to topics, closed at the end of the block."""
    return _open("sns", endpoint, session, seconds=_SECONDS_TO_ACCEPT)


def open_sqs_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[QueueClient]:
    """A client of queues, closed at the end of the block; a long poll has to be under 10 s."""
    return _open("sqs", endpoint, session, seconds=_SECONDS_TO_ACCEPT)


def open_sts_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[RoleClient]:
    """A client that assumes roles, closed at the end of the block."""
    return _open("sts", endpoint, session, seconds=_SECONDS_TO_ACCEPT)


def open_s3_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[FilesClient]:
    """A client of what is kept in S3, closed at the end of the block."""
    return _open("s3", endpoint, session, seconds=_SECONDS_FOR_COMMANDS)


def open_stacks_client(
    endpoint: Endpoint, session: aioboto3.Session | None = None
) -> AbstractAsyncContextManager[StacksClient]:
    """A client of CloudFormation, closed at the end of the block."""
    return _open("cloudformation", endpoint, session, seconds=_SECONDS_FOR_COMMANDS)


@asynccontextmanager
async def _open(
    service: str,
    endpoint: Endpoint,
    session: aioboto3.Session | None,
    *,
    seconds: int = _SECONDS_TO_READ,
    http: dict[str, Any] | None = None,
) -> AsyncIterator[Any]:
    """A client of a service.

    Retries are the caller's business (one layer), so the client makes a single attempt, with
    `seconds` to read. `http` is filled with what its HTTP session is made of.
    """

    def http_session(**given: Any) -> AIOHTTPSession:
        if http is not None:
            http.update(given)
        return _Session(Places(_CONNECTIONS, _patience(local=endpoint.local)), **given)

    config = AioConfig(
        connect_timeout=_SECONDS_TO_CONNECT,
        read_timeout=_SECONDS_TO_READ_LOCALLY if endpoint.local else seconds,
        max_pool_connections=_CONNECTIONS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        parameter_validation=False,
        http_session_cls=http_session,
    )
    session = session or new_session(endpoint)
    try:
        context = session.client(service, endpoint_url=endpoint.url, config=config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"The store cannot be addressed: {error}") from None
    async with context as client:
        yield client


class _Session(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's, which waits for a free connection without end."""

    def __init__(self, places: Places, **given: Any) -> None:
        super().__init__(**given)
        self._places = places

    async def send(self, request: Any) -> Any:
        async with self._places:
            return await super().send(request)


def _patience(*, local: bool) -> float:
    """Seconds that a request waits for a free connection."""
    return _SECONDS_TO_READ_LOCALLY if local else _SECONDS_TO_WAIT


async def unreachable(client: DynamoDBClient, table: str) -> str | None:
    """Why a table cannot be used now; None when it can. Takes 2 seconds at most."""
    try:
        async with asyncio.timeout(2):
            await client.describe_table(TableName=table)
    except TimeoutError:
        return "The store did not answer within 2 seconds."
    except CLIENT_ERRORS as error:
        return as_store_error(error).message
    return None


def as_store_error(error: Exception) -> StoreError:
    """The named error for what a client call raised."""
    if isinstance(error, ClientError):
        answer = error.response
        if "CancellationReasons" in answer:
            return from_cancellation(
                [
                    (reason.get("Code", "None"), decode_row(reason.get("Item", {})))  # type: ignore[arg-type]
                    for reason in answer["CancellationReasons"]
                ]
            )
        return from_aws(
            answer["Error"].get("Code", "Unknown"),
            answer["Error"].get("Message", ""),
            answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
        )
    if isinstance(error, PoolTimeoutError):
        return NotAsked("Too much is asked of the store at once; try again in a moment.")
    if isinstance(error, RoleUnavailableError):
        return NotAsked("The store cannot be asked for this shop now; try again in a moment.")
    return ServiceUnavailable("The store did not answer; try again.")


CLIENT_ERRORS = (ClientError, BotoCoreError, OSError)
