"""Mails and events through the embedded store's SES, SNS and SQS, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from datasources.client import Endpoint, open_ses_client, open_sns_client, open_sqs_client
from datasources.errors import ServiceUnavailable, StoreError
from datasources.items import OrderStatus
from datasources.table import Table
from streams.mail.language import Prices
from streams.mail.renderer import Renderer
from streams.reactions import Reaction
from streams.reactions.mail import mail
from streams.reactions.notifications import notifications
from streams.sinks import EventType, SesMail, SnsEvents
from tests.support.items import NOW, order, user
from tests.support.shop import TestShop
from tests.unit.streams.reactions.outside import change_of
from tests.unit.streams.test_sinks import EVENT, MAIL

SECONDS = 30


@pytest.fixture
async def ses(endpoint: Endpoint, session: Any) -> AsyncIterator[Any]:
    async with open_ses_client(endpoint, session) as client:
        yield client


@pytest.fixture
async def sns(endpoint: Endpoint, session: Any) -> AsyncIterator[Any]:
    async with open_sns_client(endpoint, session) as client:
        yield client


@pytest.fixture
async def sqs(endpoint: Endpoint, session: Any) -> AsyncIterator[Any]:
    async with open_sqs_client(endpoint, session) as client:
        yield client


@pytest.fixture
async def sender(ses: Any) -> str:
    """An address of its own for each test, verified."""
    address = f"shop-{uuid.uuid4().hex}@example.com"
    await ses.create_email_identity(EmailIdentity=address)
    return address


async def mails_from(endpoint: Endpoint, sender: str) -> list[dict[str, Any]]:
    """What the store's SES has taken from a sender, as the store itself tells."""
    async with httpx.AsyncClient() as http:
        answer = (await http.get(f"{endpoint.url}/_ministack/ses/messages")).json()
    return [
        one for account in answer["messages"].values() for one in account if one["Source"] == sender
    ]


async def queue_of(
    sns: Any, sqs: Any, topic: str, policy: dict[str, list[str]] | None = None
) -> str:
    """The URL of a new queue that gets what is published, where a filter policy lets it pass."""
    fifo = {"FifoQueue": "true"} if topic.endswith(".fifo") else {}
    name = f"q-{uuid.uuid4().hex}" + (".fifo" if fifo else "")
    url = (await sqs.create_queue(QueueName=name, Attributes=fifo))["QueueUrl"]
    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    await sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=answer["Attributes"]["QueueArn"],
        Attributes={
            "RawMessageDelivery": "true",
            **({"FilterPolicy": json.dumps(policy)} if policy else {}),
        },
    )
    return str(url)


async def received(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    """The next messages of a queue, in order, and that there are no more."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            found += await _receive(sqs, url, wait=2)
    return found + await _receive(sqs, url, wait=0)


async def _receive(sqs: Any, url: str, wait: int) -> list[dict[str, Any]]:
    answer = await sqs.receive_message(
        QueueUrl=url,
        WaitTimeSeconds=wait,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    for message in messages:
        await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return messages


async def new_topic(sns: Any, fifo: bool = False) -> str:
    name = f"events-{uuid.uuid4().hex}" + (".fifo" if fifo else "")
    attributes = {"FifoTopic": "true"} if fifo else {}
    return str((await sns.create_topic(Name=name, Attributes=attributes))["TopicArn"])


async def test_ses_takes_a_mail_whole(ses: Any, endpoint: Endpoint, sender: str) -> None:
    await SesMail(ses, sender).send(MAIL)
    [taken] = await mails_from(endpoint, sender)
    assert taken["To"] == [MAIL.to]
    assert (taken["Subject"], taken["BodyText"], taken["BodyHtml"]) == (
        MAIL.subject,
        MAIL.text,
        MAIL.html,
    )


async def test_ses_refuses_a_sender_it_does_not_know(ses: Any) -> None:
    with pytest.raises(StoreError, match=r"^SES refuses: MessageRejected\.$") as raised:
        await SesMail(ses, "stranger@elsewhere.example").send(MAIL)
    assert not raised.value.retryable


async def test_a_sink_that_is_away_is_waited_for(session: Any) -> None:
    nobody = Endpoint("ap-northeast-1", "http://127.0.0.1:9", local=True)
    async with open_ses_client(nobody, session) as ses, open_sns_client(nobody, session) as sns:
        with pytest.raises(ServiceUnavailable):
            await SesMail(ses, "shop@example.com").send(MAIL)
        with pytest.raises(ServiceUnavailable):
            await SnsEvents(sns, "arn:aws:sns:ap-northeast-1:000000000000:x").publish(EVENT)


async def test_subscribers_get_the_events_that_their_filter_policy_lets_pass(
    sns: Any, sqs: Any
) -> None:
    topic = await new_topic(sns)
    everything = await queue_of(sns, sqs, topic)
    low = await queue_of(sns, sqs, topic, {"type": ["stock-low"], "tenant": ["t"]})
    one = await queue_of(sns, sqs, topic, {"entityId": ["order-1"]})
    other_tenant = replace(EVENT, tenant="u")
    placed = replace(EVENT, type=EventType.ORDER_CREATED, entity_id="order-1")
    for event in (EVENT, other_tenant, placed):
        await SnsEvents(sns, topic).publish(event)

    found = await received(sqs, everything, 3)
    assert [json.loads(each["Body"]) for each in found] == [
        event.message for event in (EVENT, other_tenant, placed)
    ]
    attributes = found[0]["MessageAttributes"]
    assert {name: each["StringValue"] for name, each in attributes.items()} == {
        "type": "stock-low",
        "tenant": "t",
        "entityId": "product-1",
    }
    for queue, wanted in ((low, EVENT), (one, placed)):
        assert [json.loads(each["Body"]) for each in await received(sqs, queue, 1)] == [
            wanted.message
        ]


async def test_a_fifo_topic_passes_an_event_on_once(sns: Any, sqs: Any) -> None:
    topic = await new_topic(sns, fifo=True)
    queue = await queue_of(sns, sqs, topic)
    later = replace(EVENT, event_id="event-2")
    for event in (EVENT, EVENT, later, EVENT):
        await SnsEvents(sns, topic).publish(event)
    found = [json.loads(each["Body"]) for each in await received(sqs, queue, 2)]
    assert [each["eventId"] for each in found] == ["event-1", "event-2"]


async def test_a_topic_that_is_not_there_is_refused(sns: Any) -> None:
    with pytest.raises(StoreError, match=r"^SNS refuses: ") as raised:
        await SnsEvents(sns, "arn:aws:sns:ap-northeast-1:000000000000:no-such").publish(EVENT)
    assert not raised.value.retryable


async def test_a_change_becomes_one_mail_and_one_event_however_often_it_comes(
    shop: TestShop, ses: Any, sns: Any, sqs: Any, endpoint: Endpoint, sender: str
) -> None:
    topic = await new_topic(sns)
    queue = await queue_of(sns, sqs, topic)

    def marks() -> Table:
        return replace(shop.table(), name=f"{shop.table_name}-system")

    renderer = Renderer(Prices("JPY", 0))
    reactions: list[Reaction] = [
        mail(SesMail(ses, sender), renderer, shop.table, marks, lambda: NOW),
        notifications(SnsEvents(sns, topic), marks, lambda: NOW),
    ]
    customer = user(1, first_name="太郎", last_name="田中", email="taro@example.jp")
    await shop.put(customer)
    paid = order(1, customer.id, status=OrderStatus.PAID)
    change = replace(
        change_of(order(1, customer.id), paid), tenant=shop.tenant, event_id=uuid.uuid4().hex
    )
    for _ in range(3):
        for reaction in reactions:
            await reaction.react(change)

    [taken] = await mails_from(endpoint, sender)
    assert taken["To"] == ["taro@example.jp"]
    assert taken["Subject"].startswith("お支払いを確認しました")
    [event] = [json.loads(each["Body"]) for each in await received(sqs, queue, 1)]
    assert (event["type"], event["newStatus"]) == ("order-status-changed", "PAID")
