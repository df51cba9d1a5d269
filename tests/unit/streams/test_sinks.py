from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from datasources.errors import ServiceUnavailable, StoreError, Throttled
from streams.sinks import Event, EventType, Mail, SesMail, SnsEvents
from tests.support.items import NOW

MAIL = Mail(
    kind="welcome",
    tenant="t",
    event_id="event-1",
    language="ja",
    to="taro@example.jp",
    subject="ご登録ありがとうございます",
    text="田中 太郎 様\n",
    html="<p>田中 太郎 様</p>",
)
EVENT = Event(EventType.STOCK_LOW, "t", "event-1", "product-1", NOW, {"inventory": 4})
TOPIC = "arn:aws:sns:ap-northeast-1:000000000000:events"


@dataclass
class Aws:
    """Notes what it is asked; raises `fault` where there is one."""

    fault: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def send_email(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(parameters)

    async def publish(self, **parameters: Any) -> dict[str, Any]:
        return self._answer(parameters)

    def _answer(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(parameters)
        if self.fault:
            raise self.fault
        return {"MessageId": "1"}


def refusal(code: str, status: int = 400) -> ClientError:
    message = "Email address is not verified: taro@example.jp"
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "SendEmail")


async def test_a_mail_is_sent_as_text_and_html_in_utf_8() -> None:
    aws = Aws()
    await SesMail(aws, "Shop <shop@example.com>").send(MAIL)
    [asked] = aws.asked
    assert asked["FromEmailAddress"] == "Shop <shop@example.com>"
    assert asked["Destination"] == {"ToAddresses": ["taro@example.jp"]}
    simple = asked["Content"]["Simple"]
    assert simple["Subject"] == {"Data": MAIL.subject, "Charset": "UTF-8"}
    assert simple["Body"] == {
        "Text": {"Data": MAIL.text, "Charset": "UTF-8"},
        "Html": {"Data": MAIL.html, "Charset": "UTF-8"},
    }
    assert {"Name": "Auto-Submitted", "Value": "auto-generated"} in simple["Headers"]


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("taro@日本語.jp", "taro@xn--wgv71a119e.jp"),
        ("taro@Example.JP", "taro@example.jp"),
        ("太郎@example.jp", "太郎@example.jp"),
        ("taro@..", "taro@.."),
    ],
)
async def test_a_domain_is_sent_in_ascii(address: str, sent: str) -> None:
    aws = Aws()
    await SesMail(aws, "shop@example.com").send(replace(MAIL, to=address))
    assert aws.asked[0]["Destination"] == {"ToAddresses": [sent]}


async def test_an_event_is_published_as_json_with_attributes_to_filter_by() -> None:
    aws = Aws()
    await SnsEvents(aws, TOPIC).publish(EVENT)
    [asked] = aws.asked
    assert orjson.loads(asked.pop("Message")) == {
        "type": "stock-low",
        "eventId": "event-1",
        "tenant": "t",
        "entityId": "product-1",
        "occurredAt": "2026-11-20T12:00:00.000Z",
        "inventory": 4,
    }
    assert asked == {
        "TopicArn": TOPIC,
        "MessageAttributes": {
            "type": {"DataType": "String", "StringValue": "stock-low"},
            "tenant": {"DataType": "String", "StringValue": "t"},
            "entityId": {"DataType": "String", "StringValue": "product-1"},
        },
    }


async def test_a_fifo_topic_can_tell_an_event_that_comes_again() -> None:
    aws = Aws()
    sink = SnsEvents(aws, f"{TOPIC}.fifo")
    for event in (EVENT, EVENT, replace(EVENT, entity_id="商品" * 64), replace(EVENT, tenant="u")):
        await sink.publish(event)
    assert {asked["MessageDeduplicationId"] for asked in aws.asked} == {"event-1"}
    first, again, *others = (asked["MessageGroupId"] for asked in aws.asked)
    assert first == again
    assert len({first, *others}) == 3
    assert all(group.isascii() and len(group) <= 128 for group in (first, *others))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (refusal("TooManyRequestsException", 429), Throttled),
        (refusal("Unheard-of", 429), Throttled),
        (refusal("LimitExceededException"), Throttled),
        (refusal("Throttling"), Throttled),
        (refusal("ThrottledException", 429), Throttled),
        (refusal("InternalErrorException", 500), ServiceUnavailable),
        (refusal("503", 503), ServiceUnavailable),
        (EndpointConnectionError(endpoint_url="http://x"), ServiceUnavailable),
        (ReadTimeoutError(endpoint_url="http://x"), ServiceUnavailable),
        (ConnectionResetError(), ServiceUnavailable),
        (refusal("MessageRejected"), StoreError),
        (refusal("BadRequestException"), StoreError),
        (refusal("NotFound", 404), StoreError),
        (refusal("AuthorizationError", 403), StoreError),
    ],
)
async def test_faults_are_those_of_the_store(fault: Exception, kind: type[StoreError]) -> None:
    for attempt in (
        SesMail(Aws(fault), "shop@example.com").send(MAIL),
        SnsEvents(Aws(fault), TOPIC).publish(EVENT),
    ):
        with pytest.raises(StoreError) as raised:
            await attempt
        assert type(raised.value) is kind
        assert raised.value.retryable is (kind is not StoreError)


async def test_a_refusal_tells_its_code_and_no_address() -> None:
    with pytest.raises(StoreError) as raised:
        await SesMail(Aws(refusal("MessageRejected")), "shop@example.com").send(MAIL)
    assert str(raised.value) == "SES refuses: MessageRejected."
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_mail_that_is_shown_tells_nothing_personal() -> None:
    assert repr(MAIL) == "Mail(kind='welcome', tenant='t', event_id='event-1', language='ja')"
