"""What people do to a shop with the commands of `cartograph`, and what that asks of AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import server
from datasources.client import Endpoint, open_client, open_s3_client
from datasources.items import Address, OrderStatus, UserStatus
from datasources.keys import Keys
from datasources.operating.provision import provision
from datasources.operating.recount import recount
from settings import Settings
from tests.support import exported, items
from tests.support.asked import Recorder
from tests.support.shop import TestShop, rows_of
from tests.support.templates import INFRA

TENANT = "t"
ADDRESS = Address(recipient="N", line1="1", city="C", postal_code="1", country_code="JP")
ERASED = items.user(0, username="deleted-0123abcd", email=None, status=UserStatus.DELETED)


async def looked_after(
    endpoint: Endpoint, files: Endpoint, table: str, bucket: str, folder: Path
) -> Recorder:
    """A table of a shop that every command was used on, by support and by an operator. `files` is
    where S3 is; nothing is expected of it but that it keeps objects."""
    recorder = Recorder()
    listening = _listening(recorder)
    restored, store = f"{table}-restored-1", _settings(endpoint, table)
    async with open_client(endpoint) as client:
        await provision(client, table, INFRA / "template.yaml")
        shop = TestShop(client, table, TENANT)
        await _filled(shop)
    await _put_export(files, bucket)
    key = shop.keys.user(ERASED.id).pk
    with (
        patch("composition.store.open_client", listening(open_client)),
        patch("composition.commands.archive.open_s3_client", listening(open_s3_client)),
        patch("datasources.operating.waiting._FIRST_PAUSE", 0.01),
        patch("server.recount_all", _in_haste(recount)),
    ):
        with recorder.by("support"):
            await _run(store, "partiql", f'SELECT * FROM "{table}" WHERE PK = ?', "-p", key)  # noqa: S608
            for index in ("GSI1", "GSI2", "GSI3"):
                looked = f'SELECT * FROM "{table}"."{index}" WHERE {index}PK IN [?]'  # noqa: S608
                await _run(store, "partiql", looked, "-p", "x")
        with recorder.by("operator"):
            await _run(store, "table")
            await _run(store, "backup", "make", "before-the-sale")
            await _run(store, "backup", "list")
            await _run(store, "backup", "restore", "before-the-sale", restored)
            await _run(_settings(endpoint, restored), "table")
            await _run(store, "backup", "restore", "--at", "latest", f"{table}-restored-2")
            await _run(store, "export", bucket, "--prefix", "nightly")
            place = f"s3://{bucket}/{exported.PLACE}"
            await _run(_settings(files, table), "archive", place, str(folder / "shop.parquet"))
            await _run(store, "recount", "--mend")
            await _run(store, "erase")
            few = [f"--{what}=2" for what in ("users", "products", "orders", "reviews")]
            await _run(store, "seed", *few)
    return recorder


async def _filled(shop: TestShop) -> None:
    """A count that is wrong, and an address that should be gone."""
    finished = items.order(0, ERASED.id, status=OrderStatus.DELIVERED, shipping_address=ADDRESS)
    book = items.product(0, category="books")
    await shop.put(ERASED, finished, items.category("books", product_count=7), book)


async def _put_export(files: Endpoint, bucket: str) -> None:
    rows = rows_of(Keys(TENANT, 1), items.user(0))
    async with open_s3_client(files) as client:
        s3: Any = client
        where = {"LocationConstraint": files.region}
        await s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        for key, content in exported.files([exported.full(rows)]).items():
            await s3.put_object(Bucket=bucket, Key=key, Body=content)


def _settings(endpoint: Endpoint, table: str) -> Settings:
    return Settings(store=str(endpoint.url), table=table, tenants=(TENANT,))


async def _run(settings: Settings, *arguments: str) -> None:
    given = server.parser().parse_args(arguments)
    await given.run(settings, given)


Opening = Callable[..., AbstractAsyncContextManager[Any]]


def _listening(recorder: Recorder) -> Callable[[Opening], Opening]:
    """The clients that a command opens, listened to."""

    def listening(opening: Opening) -> Opening:
        @asynccontextmanager
        async def opened(*arguments: Any) -> AsyncIterator[Any]:
            async with opening(*arguments) as client:
                recorder.listen(client)
                yield client

        return opened

    return listening


def _in_haste(counting: Callable[..., Any]) -> Callable[..., Any]:
    async def hasty(*arguments: Any, **more: Any) -> Any:
        return await counting(*arguments, pause=0.0, **more)

    return hasty
