"""The relay: one process's part in following the table's stream, for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from datasources.client import CLIENT_ERRORS, StreamsClient, as_store_error
from datasources.errors import ConfigurationError
from streams.dead_letters import DeadLetters
from streams.journal import JournalWriter
from streams.leases import Leases
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.processor import Processor
from streams.reactions import Reaction
from streams.reader import NOT_YET, Reader, StreamReplaced
from streams.tables import Tables

log = logging.getLogger("cartograph.streams")


@dataclass(kw_only=True)
class Relay:
    """Reads the stream of a table, writes its changes into a journal, and has the reactions
    follow them.

    `owner` is an ID that no other process has. An `exclusive` relay reads every shard or none;
    others share them. Without `resume` it begins with what the stream has, whatever was read
    before: for a store that is this process's own, and whose streams do not outlive it.
    """

    tables: Tables
    streams: StreamsClient
    owner: str
    journal: JournalWriter
    reactions: Sequence[Reaction]
    letters: DeadLetters
    metrics: StreamMetrics
    patience: Patience
    now: Callable[[], datetime]
    exclusive: bool = False
    resume: bool = True
    _reader: Reader | None = field(default=None, init=False)
    _failed: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Until cancelled: outlasts what passes, and a table that is made anew.

        Raises ConfigurationError for a table without a stream, StoreError where the store
        refuses.
        """
        before = None
        while True:
            stream = await self.patience.insist(self.stream, "Table")
            if before not in {None, stream}:
                # What was written between the two is in neither.
                await self._lose()
            before = stream
            self._reader = self._read(stream)
            try:
                await self._reader.run()
            except StreamReplaced as replaced:
                log.warning("%s", replaced.message)
                await self.patience.pause(5)

    @property
    def missing(self) -> str | None:
        """Why it does not read everything that it should; None when it does."""
        if self._failed:
            return "The stream of this table cannot be read; the log says why."
        return NOT_YET if self._reader is None else self._reader.missing

    def nudge(self) -> None:
        """Something was written: the stream is asked at once."""
        if self._reader is not None:
            self._reader.nudge()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Beside the block, and no longer than it; an end of its own is logged."""
        task = asyncio.create_task(self.run())
        task.add_done_callback(self._report_end)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def stream(self) -> str:
        """The ARN of the table's stream."""
        try:
            answer = await self.tables.client.describe_table(TableName=self.tables.name)
        except CLIENT_ERRORS as error:
            raise as_store_error(error) from error
        if "LatestStreamArn" not in answer["Table"]:
            name = self.tables.name
            raise ConfigurationError(f"CARTOGRAPH_TABLE: table {name} should have a stream.")
        return answer["Table"]["LatestStreamArn"]

    async def _lose(self) -> None:
        await self.patience.insist(self.journal.lose, "Journal")

    def _read(self, stream: str) -> Reader:
        processor = Processor(
            stream,
            self.journal,
            self.reactions,
            self.letters,
            self.patience,
            self.metrics,
            self.now,
        )
        leases = Leases(
            self.tables.leases,
            stream,
            self.owner,
            self.now,
            asyncio.get_running_loop().time,
            resume=self.resume,
        )
        return Reader(
            client=self.streams,
            stream=stream,
            leases=leases,
            deliver=processor.deliver,
            patience=self.patience,
            metrics=self.metrics,
            lost=self._lose,
            exclusive=self.exclusive,
        )

    def _report_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failed = True
            log.error("The stream is read no longer: events stand still.", exc_info=error)
