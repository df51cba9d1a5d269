"""Where mails and events go: what they are, and the sinks of AWS for them, SES and SNS."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import idna
import orjson
from botocore.exceptions import ClientError

from datasources.client import CLIENT_ERRORS, MailClient, TopicClient
from datasources.errors import ServiceUnavailable, StoreError, Throttled
from datasources.keys import timestamp


@dataclass(frozen=True, slots=True)
class Mail:
    """`event_id` is of the change that it follows, `language` as HTML's `lang` has it. Shown, as
    in a log line, it tells nothing personal."""

    kind: str
    tenant: str
    event_id: str
    language: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


class EventType(StrEnum):
    USER_CREATED = "user-created"
    ORDER_CREATED = "order-created"
    ORDER_STATUS_CHANGED = "order-status-changed"
    REVIEW_CREATED = "review-created"
    STOCK_LOW = "stock-low"


@dataclass(frozen=True, slots=True)
class Event:
    """`entity_id` is the ID of the item it is about; `facts` are further members of the message,
    of JSON's types and about nobody's person."""

    type: EventType
    tenant: str
    event_id: str
    entity_id: str
    occurred_at: datetime
    facts: Mapping[str, object]

    @property
    def message(self) -> dict[str, object]:
        """What is published, as JSON."""
        return {
            "type": self.type.value,
            "eventId": self.event_id,
            "tenant": self.tenant,
            "entityId": self.entity_id,
            "occurredAt": timestamp(self.occurred_at),
            **self.facts,
        }


class MailSink(Protocol):
    """Raises StoreError: a retryable one for what passes, another for a mail that is refused."""

    async def send(self, mail: Mail) -> None: ...


class EventSink(Protocol):
    """Raises StoreError as a MailSink does."""

    async def publish(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class SesMail:
    """`sender` is an address, with or without a name, that SES knows as verified.

    SES has nothing to tell a mail that comes again by.
    """

    client: MailClient
    sender: str

    async def send(self, mail: Mail) -> None:
        try:
            await self.client.send_email(
                FromEmailAddress=self.sender,
                Destination={"ToAddresses": [_ascii_domain(mail.to)]},
                Content={
                    "Simple": {
                        "Subject": _utf8(mail.subject),
                        "Body": {"Text": _utf8(mail.text), "Html": _utf8(mail.html)},
                        # No automatic reply should be sent to it (RFC 3834, section 5).
                        "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
                    }
                },
            )
        except CLIENT_ERRORS as error:
            raise _as_sink_error("SES", error) from None


@dataclass(frozen=True, slots=True)
class SnsEvents:
    """`topic` is an ARN. Filter policies can go by the attributes `type`, `tenant` and `entityId`.

    A FIFO topic keeps the events of an entity in order, and for 5 minutes drops one that comes
    again.
    """

    client: TopicClient
    topic: str

    async def publish(self, event: Event) -> None:
        attributes = {"type": event.type, "tenant": event.tenant, "entityId": event.entity_id}
        try:
            await self.client.publish(
                TopicArn=self.topic,
                Message=orjson.dumps(event.message).decode(),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in attributes.items()
                },
                **(_fifo(event) if self.topic.endswith(".fifo") else {}),
            )
        except CLIENT_ERRORS as error:
            raise _as_sink_error("SNS", error) from None


def _fifo(event: Event) -> dict[str, str]:
    # An ID of a group has 128 characters of ASCII at most; one of an entity has any.
    group = hashlib.sha256(f"{event.tenant} {event.entity_id}".encode()).hexdigest()
    return {"MessageGroupId": group, "MessageDeduplicationId": event.event_id}


def _utf8(text: str) -> dict[str, Any]:
    return {"Data": text, "Charset": "UTF-8"}


def _ascii_domain(address: str) -> str:
    """SES takes ASCII alone: a domain has such a form (IDNA); a local part has none, and SES
    refuses it."""
    local, at, domain = address.rpartition("@")
    try:
        return local + at + idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return address


# "Common errors" of the SES API v2 and SNS API references; 5xx and silence are waited for as well.
_THROTTLED = frozenset(
    "LimitExceededException RequestLimitExceeded Throttled ThrottledException Throttling "
    "ThrottlingException TooManyRequestsException KMSThrottlingException".split()
)


def _as_sink_error(service: str, error: Exception) -> StoreError:
    """The named error for what a client call raised; not its text, which may quote an address."""
    if not isinstance(error, ClientError):
        return ServiceUnavailable(f"{service} did not answer; try again.")
    code = error.response["Error"].get("Code", "Unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED or status == 429:
        return Throttled(f"{service} asks for a slower pace: {code}.")
    if status >= 500:
        return ServiceUnavailable(f"{service} cannot answer now: {code}.")
    return StoreError(f"{service} refuses: {code}.")
