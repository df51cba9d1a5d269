"""A store whose transactions are answered by a script: what an emulator never answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from datasources.attributes import decode_row, encode_row
from tests.support.memory import MemoryClient


class Answer(Enum):
    CARRIED_OUT = "carried out"
    LOST = "carried out, and the answer lost"
    NEVER = "carried out, and no answer ever"


@dataclass
class ScriptedStore(MemoryClient):
    """Transactions get the answers of the script, one after another, and then the last of it;
    `meanwhile` is what others do before the answer arrives."""

    script: Sequence[Answer | Exception] = (Answer.CARRIED_OUT,)
    payloads: list[bytes] = field(default_factory=list)
    unreadable: bool = False
    meanwhile: Callable[[], object] = lambda: None

    async def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        answer = await super().batch_get_item(**parameters)
        if self.unreadable:
            raise disconnected()
        return answer

    async def transact_write_items(self, **parameters: Any) -> dict[str, Any]:
        self.calls.append(("transact_write_items", parameters))
        self.payloads.append(json.dumps(parameters).encode())
        answer = self.script[min(len(self.payloads), len(self.script)) - 1]
        if isinstance(answer, Answer):
            self.put(
                decode_row(action["Put"]["Item"])
                for action in parameters["TransactItems"]
                if "Put" in action
            )
        self.meanwhile()
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is Answer.LOST:
            raise disconnected()
        if answer is Answer.NEVER:
            await asyncio.Event().wait()
        return {}

    @property
    def tokens(self) -> set[str]:
        return {call["ClientRequestToken"] for call in self.named("transact_write_items")}

    def orders(self) -> list[Mapping[str, Any]]:
        return [row for row in self.rows.values() if row["entity"] == "Order"]


def disconnected() -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url="http://store")


def cancelled(*codes: str, rows: Mapping[int, Mapping[str, Any]] | None = None) -> ClientError:
    """The reasons of a cancelled transaction, with the rows that conditions failed on."""
    reasons: list[dict[str, Any]] = [{"Code": code} for code in codes]
    for position, row in (rows or {}).items():
        reasons[position]["Item"] = encode_row(row)
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": reasons,
    }
    return ClientError(answer, "TransactWriteItems")


def throttled() -> ClientError:
    answer: Any = {"Error": {"Code": "ThrottlingException", "Message": "slower"}}
    return ClientError(answer, "TransactWriteItems")
