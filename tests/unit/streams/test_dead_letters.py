import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from datasources.errors import StoreError
from streams.dead_letters import DeadLetter, LoggedDeadLetters, QueueDeadLetters
from tests.unit.streams.scripted import NOW, fault

LETTER = DeadLetter(
    stream="arn:aws:dynamodb:ap-northeast-1:000000000000:table/shop/stream/now",
    shard="shard-1",
    sequence_number="12",
    event_id="event-12",
    reaction="ratings",
    error="RuntimeError",
    attempts=5,
    at=NOW,
)


@dataclass
class ScriptedQueue:
    """Notes what it is asked; `fault` is its answer to everything, where there is one."""

    fault: Exception | None = None
    bodies: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def _answer(self, **parameters: Any) -> dict[str, Any]:
        self.calls.append(parameters)
        if self.fault:
            raise self.fault
        return {}

    send_message = delete_message = change_message_visibility = get_queue_attributes = _answer

    async def receive_message(self, **parameters: Any) -> dict[str, Any]:
        await self._answer(**parameters)
        return {
            "Messages": [
                {"MessageId": str(n), "ReceiptHandle": f"receipt-{n}", "Body": body}
                for n, body in enumerate(self.bodies)
            ]
        }


async def test_a_letter_is_sent_and_read_again() -> None:
    queue = ScriptedQueue()
    letters = QueueDeadLetters(queue, "http://queue")
    await letters.put(LETTER)
    [sent] = queue.calls
    assert sent["QueueUrl"] == "http://queue"
    queue.bodies = [sent["MessageBody"]]
    [message] = await letters.take()
    assert (message.receipt, message.letter) == ("receipt-0", LETTER)


async def test_a_letter_says_where_the_record_is_and_nothing_of_what_is_in_it() -> None:
    queue = ScriptedQueue()
    await QueueDeadLetters(queue, "http://queue").put(LETTER)
    assert json.loads(queue.calls[0]["MessageBody"]) == {
        "stream": LETTER.stream,
        "shard": "shard-1",
        "sequenceNumber": "12",
        "eventId": "event-12",
        "reaction": "ratings",
        "error": "RuntimeError",
        "attempts": 5,
        "at": "2026-11-20T12:00:00.000Z",
    }


@pytest.mark.parametrize("shard", ["shard-1", None])
async def test_a_letter_is_a_line_of_the_log_with_and_without_a_queue(
    shard: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    letter = LETTER.model_copy(update={"shard": shard})
    await LoggedDeadLetters().put(letter)
    await QueueDeadLetters(ScriptedQueue(), "http://queue").put(letter)
    line = f"passed: shard {shard or 'unknown'}, sequence number 12, ratings failed: RuntimeError"
    assert [each.getMessage() for each in caplog.records] == [line, line]
    assert {each.levelno for each in caplog.records} == {logging.ERROR}


@pytest.mark.parametrize("body", ["", "{}", "null", "no letter", '{"shard": "shard-1"}'])
async def test_what_is_no_letter_comes_without_one(body: str) -> None:
    [message] = await QueueDeadLetters(ScriptedQueue(bodies=[body]), "http://queue").take()
    assert message.letter is None
    assert message.id == "0"


async def test_what_newer_writers_add_to_a_letter_is_passed_over() -> None:
    body = json.dumps({**json.loads(LETTER.model_dump_json(by_alias=True)), "colour": "blue"})
    [message] = await QueueDeadLetters(ScriptedQueue(bodies=[body]), "http://queue").take()
    assert message.letter == LETTER


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (fault("RequestThrottled"), True),
        (fault("AWS.SimpleQueueService.OverLimit"), True),
        (fault("OverLimit"), True),
        (fault("ServiceUnavailable"), True),
        (ConnectionClosedError(endpoint_url="http://queue"), True),
        (TimeoutError(), True),
        (fault("AWS.SimpleQueueService.NonExistentQueue"), False),
        (fault("AccessDenied"), False),
    ],
    ids=str,
)
async def test_a_fault_of_the_queue_is_one_that_passes_or_not(
    error: ClientError | Exception, passes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    letters = QueueDeadLetters(ScriptedQueue(error), "http://queue")
    with pytest.raises(StoreError) as raised:
        await letters.put(LETTER)
    assert raised.value.retryable is passes
    assert not caplog.records
