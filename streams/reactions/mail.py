"""Customers get mail: a welcome, a confirmation of each order, word of each new status of it.

Nothing is sent for rows of a bulk load. The recipient is read when a mail is due, not taken from
the record: who has been erased since, or has no address, gets none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from datasources.items import Address, Order, User, from_row
from datasources.table import Table
from streams.changes import Change
from streams.mail.language import language_of, name_of
from streams.mail.renderer import Renderer
from streams.reactions.outside import OutsideReaction
from streams.sinks import Mail, MailSink

NAME = "mail"


class Kind(StrEnum):
    """Named as their templates are."""

    WELCOME = "welcome"
    ORDER_CONFIRMATION = "order_confirmation"
    ORDER_STATUS = "order_status"


@dataclass(frozen=True, slots=True)
class Occasion:
    """That a change calls for a mail, and to whom; an order's is to its customer."""

    kind: Kind
    change: Change
    user_id: str
    order: Order | None = None


def occasion(change: Change) -> Occasion | None:
    """The mail that a change calls for."""
    if change.loaded:
        return None
    match change.old, change.new:
        case None, User() as user:
            return Occasion(Kind.WELCOME, change, user.id)
        case None, Order() as order:
            return Occasion(Kind.ORDER_CONFIRMATION, change, order.user_id, order)
        case Order() as before, Order() as order if before.status is not order.status:
            return Occasion(Kind.ORDER_STATUS, change, order.user_id, order)
    return None


@dataclass(frozen=True, slots=True)
class Post:
    """Writes the mails and hands them to the sink. `table` gives the main table with a fresh
    deadline."""

    sink: MailSink
    renderer: Renderer
    table: Callable[[], Table]

    async def send(self, due: Occasion) -> None:
        user = await self._recipient(due)
        if user is None or user.email is None:
            return
        await self.sink.send(self._write(due, user, user.email))

    async def _recipient(self, due: Occasion) -> User | None:
        key = due.change.keys.user(due.user_id)
        rows = await self.table().batch_get([key], consistent=True)
        user = from_row(rows[key]) if key in rows else None
        return user if isinstance(user, User) else None

    def _write(self, due: Occasion, user: User, address: str) -> Mail:
        language = language_of(user, _address(due))
        content = self.renderer.render(due.kind, language, **_words(due, user))
        return Mail(
            kind=due.kind,
            tenant=due.change.tenant,
            event_id=due.change.event_id,
            language=language,
            to=address,
            subject=content.subject,
            text=content.text,
            html=content.html,
        )


def _address(due: Occasion) -> Address | None:
    return due.order.shipping_address if due.order else None


def _words(due: Occasion, user: User) -> dict[str, object]:
    """What the templates of the kind are given."""
    words: dict[str, object] = {"name": name_of(user)}
    if due.order is None:
        return {**words, "username": user.username}
    words["order"] = due.order
    if due.kind is Kind.ORDER_STATUS:
        latest = due.order.history[-1] if due.order.history else None
        told = latest if latest and latest.status is due.order.status else None
        words["changed_at"] = told.at if told else due.order.updated_at
        words["note"] = told.note if told else None
    return words


def mail(
    sink: MailSink,
    renderer: Renderer,
    table: Callable[[], Table],
    marks: Callable[[], Table],
    now: Callable[[], datetime],
) -> OutsideReaction[Occasion]:
    """The reaction. `table` gives the main table, `marks` the system table, each with a fresh
    deadline."""
    return OutsideReaction(NAME, occasion, Post(sink, renderer, table).send, marks, now)
