"""Dead letters: which reaction to which record was given up, to be taken up again.

A letter says where its record is and nothing of what is in it; the record itself stays in the
stream for 24 hours, and a letter is of use for as long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, PlainSerializer, ValidationError
from pydantic.alias_generators import to_camel

from datasources.client import CLIENT_ERRORS, QueueClient, as_store_error
from datasources.errors import DeadlineExceeded, StoreError, Throttled
from datasources.keys import timestamp

# The name, in place of a reaction's, of letters about a record that could not be read at all.
READING = "reading"
# Tries of a reaction before its letter is written.
TRIES = 5

# "Errors" of ReceiveMessage and SendMessage in the SQS API reference.
_SLOWER = frozenset({"OverLimit", "RequestThrottled", "KmsThrottled"})
_MESSAGES = 10  # the most that SQS gives at a time
_SECONDS_TO_POLL = 1  # any long poll asks every server of the queue, a short one only some
_SECONDS_HIDDEN = 300
_SECONDS_A_CALL = 10.0

log = logging.getLogger("cartograph.streams")


class DeadLetter(BaseModel):
    """One reaction to one record, given up after `attempts` at a time (UTC).

    `stream` is an ARN. `shard` is None where it was not told, as to a Lambda function. `error`
    is the name of a class: its text may quote a row, and rows are about people.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )

    stream: str
    shard: str | None
    sequence_number: str
    event_id: str
    reaction: str
    error: str
    attempts: int
    at: Annotated[datetime, PlainSerializer(timestamp, return_type=str)]

    @property
    def place(self) -> str:
        """Where its record is, for a line of a log."""
        return f"shard {self.shard or 'unknown'}, sequence number {self.sequence_number}"


class DeadLetters(Protocol):
    async def put(self, letter: DeadLetter) -> None:
        """Returns once the letter is safe. Raises StoreError, retryable where that passes."""


class LoggedDeadLetters:
    """A line in the log and no more, where there is no queue."""

    async def put(self, letter: DeadLetter) -> None:
        _log(letter)


@dataclass(frozen=True, slots=True)
class Message:
    """What came off the queue. `letter` is None where the body is none; `receipt` is what it is
    removed by, and a new one each time it comes."""

    id: str
    receipt: str
    letter: DeadLetter | None


@dataclass(frozen=True, slots=True)
class QueueDeadLetters:
    """A standard queue of SQS. What is taken is hidden from others for five minutes, and comes
    back unless it is removed."""

    client: QueueClient
    queue_url: str

    async def put(self, letter: DeadLetter) -> None:
        """A line in the log as well."""
        body = letter.model_dump_json(by_alias=True)
        await self._call(self.client.send_message, MessageBody=body)
        _log(letter)

    async def take(self) -> list[Message]:
        """At most ten; none where no more are to be had."""
        answer = await self._call(
            self.client.receive_message,
            MaxNumberOfMessages=_MESSAGES,
            WaitTimeSeconds=_SECONDS_TO_POLL,
            VisibilityTimeout=_SECONDS_HIDDEN,
        )
        return [_message(raw) for raw in answer.get("Messages", ())]

    async def remove(self, message: Message) -> None:
        await self._call(self.client.delete_message, ReceiptHandle=message.receipt)

    async def give_back(self, message: Message) -> None:
        """Shows it to others at once."""
        await self._call(
            self.client.change_message_visibility,
            ReceiptHandle=message.receipt,
            VisibilityTimeout=0,
        )

    async def _call(
        self, method: Callable[..., Awaitable[dict[str, Any]]], **parameters: Any
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_SECONDS_A_CALL):
                return await method(QueueUrl=self.queue_url, **parameters)
        except TimeoutError:
            raise DeadlineExceeded("The queue did not answer within the deadline.") from None
        except CLIENT_ERRORS as error:
            raise _named(error) from error


def _log(letter: DeadLetter) -> None:
    log.error("passed: %s, %s failed: %s", letter.place, letter.reaction, letter.error)


def _named(error: Exception) -> StoreError:
    if isinstance(error, ClientError):
        code = error.response["Error"].get("Code", "").rpartition(".")[2]
        if code in _SLOWER:
            return Throttled("The queue asks for a slower pace; try again in a moment.")
    return as_store_error(error)


def _message(raw: Mapping[str, Any]) -> Message:
    try:
        letter = DeadLetter.model_validate_json(raw.get("Body", ""))
    except ValidationError:
        letter = None
    return Message(raw["MessageId"], raw["ReceiptHandle"], letter)
