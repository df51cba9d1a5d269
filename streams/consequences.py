"""Everything that follows a change, each consequence a reaction of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from datasources.client import Endpoint, open_ses_client, open_sns_client
from streams.mail.language import Prices
from streams.mail.renderer import Renderer
from streams.outbox import Outbox
from streams.reactions import Reaction, TableReaction, product_counts, ratings
from streams.reactions.erasure import ErasureReaction
from streams.reactions.mail import mail
from streams.reactions.notifications import notifications
from streams.reactions.purchases import PurchaseReaction
from streams.sinks import EventSink, MailSink, SesMail, SnsEvents
from streams.tables import Tables


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where mails and events go, and how prices are written in them. Stock is low at `low_stock`
    units and below."""

    mail: MailSink
    events: EventSink
    prices: Prices
    low_stock: int


@asynccontextmanager
async def open_sinks(
    endpoint: Endpoint,
    outbox: Outbox,
    *,
    mail_from: str | None,
    events_topic: str | None,
    prices: Prices,
    low_stock: int,
) -> AsyncIterator[Sinks]:
    """SES where there is a sender, SNS where there is a topic, and the outbox in their place."""
    mails: MailSink = outbox
    events: EventSink = outbox
    async with AsyncExitStack() as stack:
        if mail_from is not None:
            mails = SesMail(await stack.enter_async_context(open_ses_client(endpoint)), mail_from)
        if events_topic is not None:
            client = await stack.enter_async_context(open_sns_client(endpoint))
            events = SnsEvents(client, events_topic)
        yield Sinks(mails, events, prices, low_stock)


def consequences(
    tables: Tables,
    sinks: Sinks,
    now: Callable[[], datetime],
    new_token: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> list[Reaction]:
    """The reactions; `new_token` gives ClientRequestTokens."""
    return [
        *(
            TableReaction(each.NAME, each.effects, tables.main, tables.system_name, now, new_token)
            for each in (ratings, product_counts)
        ),
        PurchaseReaction(tables.main, new_token),
        ErasureReaction(tables.main, now),
        mail(sinks.mail, Renderer(sinks.prices), tables.main, tables.system, now),
        notifications(sinks.events, tables.system, now, sinks.low_stock),
    ]
