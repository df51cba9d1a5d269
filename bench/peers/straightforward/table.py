"""Reading, with what the context of a request holds."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.dataloader import DataLoader

TABLE, TENANT = "cartograph", "default"

Row = dict[str, Any]
Context = dict[str, Any]
Info = strawberry.Info[Context, None]


def key_of(name: str, sk: str = "METADATA") -> Row:
    return {"PK": f"{TENANT}#{name}", "SK": sk}


async def page(info: Info, first: int | None, **parameters: Any) -> tuple[list[Row], bool]:
    size = 20 if first is None else first
    answer = await info.context["table"].query(ScanIndexForward=False, Limit=size + 1, **parameters)
    rows = answer["Items"]
    return rows[:size], len(rows) > size


async def batch_get(dynamo: Any, keys: list[Row]) -> dict[str, Row]:
    answer = await dynamo.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    return {row["PK"]: row for row in answer["Responses"][TABLE]}


def loader(dynamo: Any, kind: str, sk: str) -> DataLoader[str, Row | None]:
    async def load(ids: list[str]) -> list[Row | None]:
        keys = [key_of(f"{kind}#{one}", sk) for one in ids]
        rows = await batch_get(dynamo, keys)
        return [rows.get(key["PK"]) for key in keys]

    return DataLoader(load_fn=load, max_batch_size=100)
