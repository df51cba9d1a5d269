"""The reactions as an AWS Lambda function, behind an event source mapping of the table's stream.

The mapping has to report batch item failures (`FunctionResponseTypes`) and to retry for as long as
it can: here only a record that nobody can handle is given up. `infra/service.yaml` has one.

The environment variables are those of the service's settings, with the same defaults but for two:
`CARTOGRAPH_REGION` is the function's own, and `CARTOGRAPH_STORE` is aws (or a URL). Read are
besides `CARTOGRAPH_TABLE`, `CARTOGRAPH_CURRENCY`, `CARTOGRAPH_LOW_STOCK`, `CARTOGRAPH_MAIL_FROM`,
`CARTOGRAPH_EVENTS_TOPIC`, `CARTOGRAPH_DEAD_LETTER_QUEUE` and `CARTOGRAPH_SINK_ENDPOINT`; what has
no sink is a line of the log.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Protocol

from datasources.client import (
    Endpoint,
    open_client,
    open_sqs_client,
)
from datasources.currencies import scale_of
from datasources.errors import ConfigurationError, StoreError
from streams.changes import Change, Record, read_change
from streams.consequences import consequences, open_sinks
from streams.dead_letters import (
    READING,
    TRIES,
    DeadLetter,
    DeadLetters,
    LoggedDeadLetters,
    QueueDeadLetters,
)
from streams.mail.language import Prices
from streams.outbox import Outbox
from streams.patience import Patience
from streams.reactions import Reaction
from streams.tables import Tables

# Kept of the function's time, so that what is done is told before it ends.
_SECONDS_TO_ANSWER = 1.0

log = logging.getLogger("cartograph.streams")


class Context(Protocol):
    """What is used of the second argument of a Lambda function."""

    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Follows a batch, which is of one shard; names the first record that has to come again.

    Lambda sends everything from that one on again ("Reporting batch item failures for DynamoDB"
    in the Developer Guide), so no later record overtakes it.
    """
    container = _container()
    seconds = context.get_remaining_time_in_millis() / 1_000 - _SECONDS_TO_ANSWER
    failed = container.runner.run(container.follower.follow(event["Records"], seconds))
    return {"batchItemFailures": [] if failed is None else [{"itemIdentifier": failed}]}


@dataclass(frozen=True, slots=True)
class BatchFollower:
    """Each record in turn, each reaction in turn."""

    reactions: Sequence[Reaction]
    letters: DeadLetters
    patience: Patience
    now: Callable[[], datetime]

    async def follow(self, records: Sequence[Mapping[str, Any]], seconds: float) -> str | None:
        """The sequence number of the first record that could not be finished within the time,
        None where all are; those before it are finished."""
        number = ""
        try:
            async with asyncio.timeout(seconds):
                for raw in records:
                    number = raw["dynamodb"]["SequenceNumber"]
                    await self._follow(raw)
        except Exception as error:  # not its text, which may quote a row
            log.warning("to come again from %s: %s", number, type(error).__name__)
            return number
        return None

    async def _follow(self, raw: Mapping[str, Any]) -> None:
        try:
            change = read_change(as_record(raw))
        except (StoreError, ValueError, TypeError, KeyError) as error:
            return await self._give_up(raw, READING, error, attempts=1)
        if change is not None:
            for reaction in self.reactions:
                await self._react(reaction, change, raw)
        return None

    async def _react(self, reaction: Reaction, change: Change, raw: Mapping[str, Any]) -> None:
        """Five tries; a store that is away is Lambda's to wait for, and raised at once."""
        if error := await self.patience.persist(partial(reaction.react, change), TRIES):
            await self._give_up(raw, reaction.name, error, attempts=TRIES)

    async def _give_up(
        self, raw: Mapping[str, Any], reaction: str, error: Exception, *, attempts: int
    ) -> None:
        letter = DeadLetter(
            stream=raw["eventSourceARN"],
            shard=None,  # which Lambda does not tell
            sequence_number=raw["dynamodb"]["SequenceNumber"],
            event_id=raw["eventID"],
            reaction=reaction,
            error=type(error).__name__,
            attempts=attempts,
            at=self.now(),
        )
        await self.letters.put(letter)


# --- the form of an event -------------------------------------------------------------------


def as_record(raw: Mapping[str, Any]) -> Record:
    """The record as GetRecords would give it: in an event, which is JSON, its time is in epoch
    seconds, its binary values are in base64, and the names in `userIdentity` begin small."""
    body = dict(raw["dynamodb"])
    seconds = float(body["ApproximateCreationDateTime"])
    body["ApproximateCreationDateTime"] = datetime.fromtimestamp(seconds, UTC)
    for name in ("Keys", "OldImage", "NewImage"):
        if name in body:
            body[name] = {key: _value(value) for key, value in body[name].items()}
    record = {**raw, "dynamodb": body}
    if who := raw.get("userIdentity"):
        record["userIdentity"] = {"Type": who["type"], "PrincipalId": who["principalId"]}
    return record


def _value(value: Mapping[str, Any]) -> dict[str, Any]:
    [(kind, inner)] = value.items()
    match kind:
        case "B":
            return {kind: base64.b64decode(inner)}
        case "BS":
            return {kind: [base64.b64decode(each) for each in inner]}
        case "L":
            return {kind: [_value(each) for each in inner]}
        case "M":
            return {kind: {name: _value(each) for name, each in inner.items()}}
        case _:
            return {kind: inner}


# --- the container --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Container:
    """What lives from one invocation to the next: an event loop, and clients open in it, never
    closed, since a container ends without a word."""

    runner: asyncio.Runner
    clients: AsyncExitStack
    follower: BatchFollower


@cache
def _container() -> Container:
    """Made at the first call, and again at the next one where that fails."""
    logging.getLogger("cartograph").setLevel(logging.INFO)
    runner, clients = asyncio.Runner(), AsyncExitStack()
    follower = runner.run(_open(read_environment(os.environ), clients))
    return Container(runner, clients, follower)


async def _open(configuration: Configuration, stack: AsyncExitStack) -> BatchFollower:
    sinks = configuration.sinks
    tables = Tables(
        await stack.enter_async_context(open_client(configuration.store)), configuration.table
    )
    opening = open_sinks(
        sinks,
        Outbox(_now),
        mail_from=configuration.mail_from,
        events_topic=configuration.events_topic,
        prices=configuration.prices,
        low_stock=configuration.low_stock,
    )
    reactions = consequences(tables, await stack.enter_async_context(opening), _now)
    letters: DeadLetters = LoggedDeadLetters()
    if queue := configuration.dead_letter_queue:
        letters = QueueDeadLetters(await stack.enter_async_context(open_sqs_client(sinks)), queue)
    return BatchFollower(reactions, letters, Patience(asyncio.sleep, random.uniform), _now)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the environment says: where things are, and where what follows goes."""

    table: str
    store: Endpoint
    sinks: Endpoint
    prices: Prices
    low_stock: int
    mail_from: str | None
    events_topic: str | None
    dead_letter_queue: str | None


def read_environment(environment: Mapping[str, str]) -> Configuration:
    """Raises ConfigurationError."""
    region = environment.get("CARTOGRAPH_REGION") or environment.get("AWS_REGION")
    store = environment.get("CARTOGRAPH_STORE") or "aws"
    currency = environment.get("CARTOGRAPH_CURRENCY") or "JPY"
    low_stock = environment.get("CARTOGRAPH_LOW_STOCK") or "5"
    if not region:
        raise ConfigurationError("CARTOGRAPH_REGION: should be set outside AWS Lambda.")
    if store != "aws" and not store.startswith(("http://", "https://")):
        raise ConfigurationError("CARTOGRAPH_STORE: should be aws or an http(s) URL here.")
    if not low_stock.isdecimal():
        raise ConfigurationError("CARTOGRAPH_LOW_STOCK: should be a number of units.")
    return Configuration(
        table=environment.get("CARTOGRAPH_TABLE") or "cartograph",
        store=Endpoint(region, None if store == "aws" else store),
        sinks=Endpoint(region, environment.get("CARTOGRAPH_SINK_ENDPOINT") or None),
        prices=Prices(currency, scale_of(currency)),
        low_stock=int(low_stock),
        mail_from=environment.get("CARTOGRAPH_MAIL_FROM") or None,
        events_topic=environment.get("CARTOGRAPH_EVENTS_TOPIC") or None,
        dead_letter_queue=environment.get("CARTOGRAPH_DEAD_LETTER_QUEUE") or None,
    )


def _now() -> datetime:
    return datetime.now(UTC)
