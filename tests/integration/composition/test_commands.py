"""Commands for those who run the service, against stores that answer as AWS does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest
from moto.server import ThreadedMotoServer

import server
import settings
from composition.store import TEMPLATE
from datasources import embedded
from datasources.client import Endpoint, open_client, open_s3_client
from datasources.errors import CartographError, ConfigurationError
from datasources.items import User
from datasources.keys import Keys
from datasources.operating import waiting
from datasources.operating.provision import check, provision
from tests.conftest import CACHE, REGION
from tests.integration.conftest import TABLE
from tests.support import exported, items
from tests.support.shop import TestShop, rows_of

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

Shown = tuple[str, str]
Command = Callable[..., Awaitable[Shown]]


@pytest.fixture
def command(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command in the loop of the test: what it shows, and what it says."""
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"CARTOGRAPH_{name.upper()}", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(waiting, "_FIRST_PAUSE", 0.05)

    async def run(*arguments: str, store: Endpoint = endpoint, table: str = TABLE) -> Shown:
        assert store.url
        monkeypatch.setenv("CARTOGRAPH_STORE", store.url)
        monkeypatch.setenv("CARTOGRAPH_TABLE", table)
        given = server.parser().parse_args(arguments)
        capsys.readouterr()
        await given.run(settings.load(serving=given.serving), given)
        shown = capsys.readouterr()
        return shown.out, shown.err

    return run


@pytest.fixture
def moto() -> Iterator[Endpoint]:
    engine = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    engine.start()
    host, port = engine.get_host_and_port()
    yield Endpoint(REGION, f"http://{host}:{port}", local=True)
    engine.stop()


# --- partiql --------------------------------------------------------------------------------

LOOKUP = f'SELECT * FROM "{TABLE}" WHERE PK = ?'  # noqa: S608 the name is ours
OF_INDEX = f'SELECT "username" FROM "{TABLE}"."GSI2" WHERE GSI2PK IN [?, ?]'  # noqa: S608
SEARCH = f'SELECT "username" FROM "{TABLE}" WHERE "email" = ?'  # noqa: S608


async def put_users(shop: TestShop, count: int, **changes: Any) -> list[User]:
    users = [items.user(number, **changes) for number in range(count)]
    await shop.put(*users)
    return users


async def test_what_is_under_a_key_is_shown_as_a_table(command: Command, shop: TestShop) -> None:
    await put_users(shop, 1, first_name="太郎")
    key = shop.keys.user("user-0")

    shown, said = await command("partiql", LOOKUP, "-p", key.pk)

    header, _rule, line = shown.splitlines()
    assert header.split()[:2] == ["PK", "SK"]
    assert line.split()[:2] == list(key)
    assert "太郎" in line
    assert said.startswith("cartograph: 1 row, 1 request, ")
    assert said.endswith(" read units\n")


async def test_what_is_under_a_key_is_shown_as_json(command: Command, shop: TestShop) -> None:
    [user] = await put_users(shop, 1)

    shown, _ = await command("partiql", "--json", LOOKUP, "-p", shop.keys.user(user.id).pk)

    [row] = json.loads(shown)
    assert row.items() >= user.to_attributes().items()


async def test_an_index_is_read_page_by_page(command: Command, shop: TestShop) -> None:
    shop = replace(shop, shards=1)
    await put_users(shop, 9)
    [shard] = shop.keys.users("ACTIVE")
    parameters = ("-p", shard, "-p", "nothing")

    some, said = await command("partiql", "--json", "--limit", "4", OF_INDEX, *parameters)
    every, told = await command("partiql", "--json", OF_INDEX, *parameters)

    assert len(json.loads(some)) == 4
    assert "there are more" in said
    assert len(json.loads(every)) == 9
    assert "there are more" not in told


async def test_a_scan_wants_to_be_allowed(command: Command, shop: TestShop) -> None:
    email = f"{shop.tenant}@example.com"
    await put_users(shop, 1, email=email)

    with pytest.raises(ConfigurationError, match=r"all of table cartograph: .*--allow-scan"):
        await command("partiql", SEARCH, "-p", email)
    shown, _ = await command("partiql", "--json", "--allow-scan", SEARCH, "-p", email)

    assert json.loads(shown) == [{"username": "user0"}]


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_a_row_cannot_steer_the_terminal(
    command: Command, shop: TestShop, form: tuple[str, ...]
) -> None:
    await put_users(shop, 1, first_name="\x1b]0;title\x07\u202eevil")

    shown, _ = await command("partiql", *form, LOOKUP, "-p", shop.keys.user("user-0").pk)

    assert "\\u001b]0;title\\u0007\\u202eevil" in shown
    assert {"\x1b", "\x07", "\u202e"}.isdisjoint(shown)


async def test_what_the_store_does_not_have_is_told(command: Command) -> None:
    with pytest.raises(ConfigurationError, match="no table nowhere"):
        await command("partiql", "SELECT * FROM nowhere WHERE PK = 'x'")
    with pytest.raises(ConfigurationError, match="no index GSI9"):
        await command("partiql", f'SELECT * FROM "{TABLE}"."GSI9" WHERE PK = \'x\'')  # noqa: S608


async def test_another_engine_reads_alike(command: Command, moto: Endpoint) -> None:
    async with open_client(moto) as client:
        await provision(client, TABLE, TEMPLATE)
        shop = TestShop(client, TABLE, tenant="north")
        [user] = await put_users(shop, 1)
        statement = f"{LOOKUP} AND begins_with(SK, 'PRO')"
        key = shop.keys.user(user.id).pk
        # Its first statement may take this engine longer than the command waits for an answer.
        await client.execute_statement(Statement=statement, Parameters=[{"S": key}])

    shown, _ = await command("partiql", "--json", statement, "-p", key, store=moto)

    assert [row["username"] for row in json.loads(shown)] == [user.username]


# --- backup ---------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["backup", "moment"])
async def test_a_restored_table_can_be_served_from(
    command: Command, client: DynamoDBClient, shop: TestShop, of: str
) -> None:
    [user] = await put_users(shop, 1)
    name, restored = f"backup-{shop.tenant}", f"restored-{shop.tenant}"

    if of == "backup":
        arn, _ = await command("backup", "make", name)
        listed, said = await command("backup", "list")
        assert [name, arn.strip()] in [line.split()[::4] for line in listed.splitlines()]
        assert "can be restored to" in said or "point-in-time recovery" in said
        await command("backup", "restore", name, restored)
    else:
        await command("backup", "restore", "--at", "latest", restored)
    await command("table", table=restored)

    await check(client, restored, TEMPLATE)
    copy = TestShop(client, restored, shop.tenant)
    key = copy.keys.user(user.id)
    assert (await copy.table().batch_get([key]))[key]["username"] == user.username


async def test_nothing_is_restored_over_a_table(command: Command, shop: TestShop) -> None:
    name = f"backup-{shop.tenant}"
    arn, _ = await command("backup", "make", name)

    with pytest.raises(CartographError, match=r"TableAlreadyExistsException: .*; name a table"):
        await command("backup", "restore", arn.strip(), TABLE)
    with pytest.raises(ConfigurationError, match="no backup named nothing"):
        await command("backup", "restore", "nothing", f"restored-{shop.tenant}")


# --- export and archive ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "period", [(), ("--from", "2026-11-22T10:00:00Z", "--to", "2026-11-22T12:00:00+00:00")]
)
async def test_an_export_says_where_it_is(command: Command, period: tuple[str, ...]) -> None:
    shown, said = await command("export", "archive", "--prefix", "all", *period)

    assert shown.startswith("s3://archive/all/AWSDynamoDB/")
    assert "Exported " in said


async def test_an_export_in_s3_is_made_parquet(
    command: Command, moto: Endpoint, tmp_path: Path
) -> None:
    rows = [row for n in range(3) for row in rows_of(Keys("north", 1), items.user(n))]
    async with open_s3_client(moto) as client:
        s3: Any = client
        await s3.create_bucket(
            Bucket="archive", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        for key, content in exported.files([exported.full(rows)]).items():
            await s3.put_object(Bucket="archive", Key=key, Body=content)
    out = tmp_path / "shop.parquet"

    shown, _ = await command("archive", f"s3://archive/{exported.PLACE}", str(out), store=moto)

    assert shown.split() == ["6", f"{out}/unique.parquet", "3", f"{out}/user.parquet"]
    names = pyarrow.parquet.read_table(out / "user.parquet").column("username").to_pylist()
    assert names == ["user0", "user1", "user2"]
    with pytest.raises(CartographError, match="NoSuchKey"):
        await command("archive", "s3://archive/elsewhere", str(tmp_path / "no"), store=moto)


# --- deploy ---------------------------------------------------------------------------------


SERVICES = "cloudformation events firehose iam kinesis kms lambda logs pipes s3".split()


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    """A store that also deploys."""
    monkeypatch.setattr(embedded, "SERVICES", (*embedded.SERVICES, *SERVICES))
    async with embedded.embedded_store(
        cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
    ) as url:
        yield Endpoint(REGION, url, local=True)


async def test_stacks_are_deployed_and_told_what_others_put_out(
    command: Command, cloud: Endpoint
) -> None:
    arguments = ("deploy", "tables", "events", "--yes", "--project", "shop", "--environment")

    shown, said = await command(*arguments, "staging", "-p", "Archive=true", store=cloud)
    none, told = await command(*arguments, "staging", store=cloud)

    lines = [line.split() for line in shown.splitlines()]
    assert ["Add", "MainTable", "AWS::DynamoDB::GlobalTable"] in lines
    assert ["MainTableName", "shop-staging"] in lines
    assert "MainTable CREATE_COMPLETE" in said
    # The archive's stream came after the tables, which were told of it then.
    assert "Stack shop-staging-tables is told ArchiveStreamArn" in said
    *_, stream = (line for line in lines if line[:1] == ["ArchiveStreamArn"])
    assert stream[1].startswith("arn:aws:kinesis:")
    assert "Modify  MainTable" in shown
    assert none == ""
    assert "shop-staging-tables is as it should be" in told
    assert "shop-staging-events is as it should be" in told
    async with open_client(cloud) as client:
        await check(client, "shop-staging", TEMPLATE)
