from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from datasources.attributes import encode_row
from datasources.client import Endpoint
from datasources.errors import ConfigurationError, ServiceUnavailable, StoreError
from datasources.items import Item, Product
from datasources.keys import PK, SK
from settings import Settings
from streams.changes import Change, ChangeKind, read_change
from streams.dead_letters import READING, TRIES, DeadLetter
from streams.lambda_handler import BatchFollower, Configuration, as_record, read_environment
from streams.mail.language import Prices
from streams.patience import Patience
from tests.support.items import product, user
from tests.unit.streams.scripted import NOW, row

ARN = "arn:aws:dynamodb:us-west-2:123456789012:table/shop/stream/2026-11-20T00:00:00.000"

# A record of "Using AWS Lambda with Amazon DynamoDB" in the Developer Guide, and the removal of an
# expired item as "DynamoDB Streams and Time to Live" has it, with a binary value in each place.
RECORDED = json.loads(
    """
    {
      "eventID": "c4ca4238a0b923820dcc509a6f75849b",
      "eventName": "REMOVE",
      "eventVersion": "1.1",
      "eventSource": "aws:dynamodb",
      "awsRegion": "us-west-2",
      "dynamodb": {
        "ApproximateCreationDateTime": 1.479499740E9,
        "Keys": {"Id": {"N": "101"}, "Raw": {"B": "AAEqQQ=="}},
        "OldImage": {
          "Message": {"S": "AAEqQQ=="},
          "Id": {"N": "101"},
          "Raw": {"B": "AAEqQQ=="},
          "Set": {"BS": ["QQ==", "Qg=="]},
          "List": {"L": [{"B": "QQ=="}, {"M": {"Inner": {"B": "Qg=="}}}, {"NULL": true}]},
          "Flag": {"BOOL": true}
        },
        "SequenceNumber": "4421584500000000017450439091",
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES"
      },
      "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
      "eventSourceARN":
        "arn:aws:dynamodb:us-west-2:123456789012:table/shop/stream/2026-11-20T00:00:00.000"
    }
    """
)


def event(number: int, old: Any = None, new: Any = None) -> dict[str, Any]:
    """What Lambda sends of a write."""
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": int(NOW.timestamp()),
        "Keys": {},
        "SequenceNumber": str(number),
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    for name, image in (("OldImage", old), ("NewImage", new)):
        if image is not None:
            body[name] = encode_row(row(image) if isinstance(image, Item) else image)
    kind = "MODIFY" if old is not None and new is not None else "REMOVE" if old else "INSERT"
    sent = {
        "eventID": f"event-{number}",
        "eventName": kind,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-west-2",
        "dynamodb": body,
        "eventSourceARN": ARN,
    }
    through_json: dict[str, Any] = json.loads(json.dumps(sent))
    return through_json


# --- the form of an event -------------------------------------------------------------------


def test_a_recorded_event_becomes_the_record_that_the_stream_gives() -> None:
    record = as_record(RECORDED)
    assert record["dynamodb"] == {
        "ApproximateCreationDateTime": datetime(2016, 11, 18, 20, 9, tzinfo=UTC),
        "Keys": {"Id": {"N": "101"}, "Raw": {"B": b"\x00\x01*A"}},
        "OldImage": {
            "Message": {"S": "AAEqQQ=="},
            "Id": {"N": "101"},
            "Raw": {"B": b"\x00\x01*A"},
            "Set": {"BS": [b"A", b"B"]},
            "List": {"L": [{"B": b"A"}, {"M": {"Inner": {"B": b"B"}}}, {"NULL": True}]},
            "Flag": {"BOOL": True},
        },
        "SequenceNumber": "4421584500000000017450439091",
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    assert record["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert (record["eventID"], record["eventName"]) == (
        "c4ca4238a0b923820dcc509a6f75849b",
        "REMOVE",
    )


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (None, product(1), ChangeKind.CREATED),
        (product(1), product(1, price=7), ChangeKind.UPDATED),
        (product(1), None, ChangeKind.DELETED),
    ],
)
def test_an_event_is_the_change_of_its_images(
    old: Product | None, new: Product | None, kind: ChangeKind
) -> None:
    change = read_change(as_record(event(7, old, new)))
    assert change is not None
    assert (change.kind, change.old, change.new) == (kind, old, new)
    assert (change.event_id, change.sequence_number) == ("event-7", "7")
    assert change.occurred_at == NOW


# --- following ------------------------------------------------------------------------------


@dataclass
class Note:
    """Notes what it gets, fails on what it is told to, and never comes back from `stuck`."""

    name: str = "note"
    poison: dict[str, Exception] = field(default_factory=dict)
    stuck: str | None = None
    tried: list[str] = field(default_factory=list)

    async def react(self, change: Change) -> None:
        self.tried.append(change.event_id)
        if change.event_id == self.stuck:
            await asyncio.Event().wait()
        if change.event_id in self.poison:
            raise self.poison[change.event_id]


@dataclass
class Letters:
    fault: StoreError | None = None
    put_down: list[DeadLetter] = field(default_factory=list)

    async def put(self, letter: DeadLetter) -> None:
        if self.fault:
            raise self.fault
        self.put_down.append(letter)


@dataclass
class Function:
    note: Note = field(default_factory=Note)
    letters: Letters = field(default_factory=Letters)
    slept: list[float] = field(default_factory=list)

    async def __call__(self, *events: dict[str, Any], seconds: float = 60) -> str | None:
        async def sleep(pause: float) -> None:
            self.slept.append(pause)

        patience = Patience(sleep, lambda _low, high: high)
        follower = BatchFollower([self.note], self.letters, patience, lambda: NOW)
        return await follower.follow(events, seconds)


EVENTS = [event(n, new=user(n)) for n in (1, 2, 3)]


async def test_every_record_of_a_batch_is_followed_in_order() -> None:
    function = Function()
    assert await function(*EVENTS) is None
    assert function.note.tried == ["event-1", "event-2", "event-3"]
    assert await function() is None


async def test_a_store_that_is_away_is_reported_at_once_and_nothing_overtakes() -> None:
    function = Function(Note(poison={"event-2": ServiceUnavailable("Not now.")}))
    assert await function(*EVENTS) == "2"
    assert function.note.tried == ["event-1", "event-2"]
    assert not function.slept
    assert not function.letters.put_down


@pytest.mark.parametrize("error", [RuntimeError("taro@example.com"), StoreError("Refused.")])
async def test_a_poison_record_is_put_down_after_five_tries_and_passed(error: Exception) -> None:
    function = Function(Note(poison={"event-2": error}))
    assert await function(*EVENTS) is None
    assert function.note.tried == ["event-1", *["event-2"] * TRIES, "event-3"]
    assert function.slept == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert function.letters.put_down == [
        DeadLetter(
            stream=ARN,
            shard=None,
            sequence_number="2",
            event_id="event-2",
            reaction="note",
            error=type(error).__name__,
            attempts=TRIES,
            at=NOW,
        )
    ]


async def test_a_row_that_breaks_its_form_is_put_down_unread() -> None:
    function = Function()
    broken = event(2, new={**row(user(2)), "createdAt": "secret"})
    assert await function(EVENTS[0], broken, EVENTS[2]) is None
    assert function.note.tried == ["event-1", "event-3"]
    [letter] = function.letters.put_down
    assert (letter.sequence_number, letter.reaction, letter.attempts) == ("2", READING, 1)
    assert "secret" not in letter.model_dump_json()


async def test_binary_values_that_are_none_are_put_down_unread() -> None:
    function = Function()
    broken = event(2, new=user(2))
    broken["dynamodb"]["NewImage"]["raw"] = {"B": "!"}
    assert await function(broken, EVENTS[2]) is None
    assert [letter.reaction for letter in function.letters.put_down] == [READING]


async def test_rows_that_are_nobodys_business_reach_no_reaction() -> None:
    function = Function()
    assert await function(event(1, new={PK: "t#USERNAME#x", SK: "UNIQUE"}), RECORDED) is None
    assert function.note.tried == []
    assert not function.letters.put_down


@pytest.mark.parametrize("fault", [ServiceUnavailable("Not now."), StoreError("No such queue.")])
async def test_a_record_whose_letter_is_not_safe_comes_again(
    fault: StoreError, caplog: pytest.LogCaptureFixture
) -> None:
    function = Function(Note(poison={"event-2": RuntimeError("taro@example.com")}), Letters(fault))
    assert await function(*EVENTS) == "2"
    assert "event-3" not in function.note.tried
    assert "taro" not in caplog.text


async def test_what_the_time_does_not_suffice_for_comes_again() -> None:
    function = Function(Note(stuck="event-2"))
    assert await function(*EVENTS, seconds=0.01) == "2"
    assert function.note.tried == ["event-1", "event-2"]


# --- the environment ------------------------------------------------------------------------


def test_the_store_is_that_of_the_functions_own_region() -> None:
    found = read_environment({"AWS_REGION": "eu-west-1"})
    assert found.store == found.sinks == Endpoint("eu-west-1")
    other = {"AWS_REGION": "eu-west-1", "CARTOGRAPH_REGION": "ap-northeast-1"}
    assert read_environment(other).store == Endpoint("ap-northeast-1")


def test_what_is_not_set_is_as_the_settings_have_it() -> None:
    found, fields = read_environment({"AWS_REGION": "eu-west-1"}), Settings.model_fields
    for name in ("table", "low_stock", "mail_from", "events_topic", "dead_letter_queue"):
        assert getattr(found, name) == fields[name].default, name
    assert found.prices == Prices(fields["currency"].default, 0)


def test_every_variable_is_read() -> None:
    found = read_environment(
        {
            "AWS_REGION": "eu-west-1",
            "CARTOGRAPH_TABLE": "shop",
            "CARTOGRAPH_STORE": "http://store",
            "CARTOGRAPH_SINK_ENDPOINT": "http://sinks",
            "CARTOGRAPH_CURRENCY": "USD",
            "CARTOGRAPH_LOW_STOCK": "9",
            "CARTOGRAPH_MAIL_FROM": "shop@example.com",
            "CARTOGRAPH_EVENTS_TOPIC": "arn:topic",
            "CARTOGRAPH_DEAD_LETTER_QUEUE": "http://queue",
        }
    )
    assert found == Configuration(
        table="shop",
        store=Endpoint("eu-west-1", "http://store"),
        sinks=Endpoint("eu-west-1", "http://sinks"),
        prices=Prices("USD", 2),
        low_stock=9,
        mail_from="shop@example.com",
        events_topic="arn:topic",
        dead_letter_queue="http://queue",
    )


@pytest.mark.parametrize(("currency", "scale"), [("USD", 2), ("JPY", 0), ("KWD", 3)])
def test_prices_have_the_digits_of_their_currency(currency: str, scale: int) -> None:
    found = read_environment({"AWS_REGION": "eu-west-1", "CARTOGRAPH_CURRENCY": currency})
    assert found.prices.scale == scale


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "CARTOGRAPH_REGION"),
        ({"AWS_REGION": "eu-west-1", "CARTOGRAPH_STORE": "embedded"}, "CARTOGRAPH_STORE"),
        ({"AWS_REGION": "eu-west-1", "CARTOGRAPH_LOW_STOCK": "few"}, "CARTOGRAPH_LOW_STOCK"),
    ],
)
def test_an_environment_that_is_wrong_is_named(environment: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_environment(environment)
