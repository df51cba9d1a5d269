import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from streams.outbox import KEPT, Outbox
from tests.support.items import NOW
from tests.unit.streams.test_sinks import EVENT, MAIL


async def test_what_is_sent_is_kept_newest_first_with_its_time() -> None:
    times = iter(NOW + timedelta(seconds=n) for n in range(4))
    outbox = Outbox(lambda: next(times))
    later_mail, later_event = replace(MAIL, event_id="event-2"), replace(EVENT, event_id="event-2")
    await outbox.send(MAIL)
    await outbox.publish(EVENT)
    await outbox.send(later_mail)
    await outbox.publish(later_event)
    assert [entry.sent for entry in outbox.mails] == [later_mail, MAIL]
    assert [entry.sent for entry in outbox.events] == [later_event, EVENT]
    assert [entry.at.second for entry in outbox.mails] == [2, 0]
    assert [entry.at.second for entry in outbox.events] == [3, 1]


async def test_the_oldest_go_and_events_push_out_no_mail() -> None:
    outbox = Outbox(lambda: NOW)
    await outbox.send(MAIL)
    for number in range(KEPT + 5):
        await outbox.publish(replace(EVENT, event_id=f"event-{number}"))
    assert [entry.sent.event_id for entry in outbox.events] == [
        f"event-{number}" for number in reversed(range(5, KEPT + 5))
    ]
    assert len(outbox.mails) == 1


async def test_the_log_tells_what_went_out_and_nothing_personal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    outbox = Outbox(lambda: NOW)
    await outbox.send(MAIL)
    await outbox.publish(EVENT)
    assert caplog.messages == [
        "mail welcome, tenant t, eventID event-1",
        "event stock-low, tenant t, eventID event-1",
    ]
