"""`cartograph partiql`: one statement that reads, for support."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from composition.commands.adding import Add
from composition.store import open_store, prepare_store
from composition.terminal import as_json, as_table, say, show
from datasources.errors import ConfigurationError
from datasources.operating.partiql import parse
from datasources.operating.statements import check_lookup, keys_of, run
from settings import Settings

EXAMPLES = """examples:
  cartograph partiql 'SELECT * FROM "cartograph" WHERE PK = ?' --parameter KEY
  cartograph partiql --json 'SELECT "number", "total" FROM "cartograph"."GSI1"
      WHERE GSI1PK IN [?, ?]' --parameter KEY --parameter KEY

docs/table.md says which keys there are."""


def add(to: Add) -> None:
    command = to("partiql", partiql, "Runs one SELECT of PartiQL, which only reads.", EXAMPLES)
    command.add_argument("statement", help="the statement; ? stands for a parameter")
    command.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        type=parameter,
        metavar="VALUE",
        help='the next parameter: text, or an attribute value such as {"N": "5"}',
    )
    command.add_argument(
        "--limit",
        type=limit,
        default=100,
        metavar="N",
        help="rows to show at most (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="shows JSON instead of a table")
    command.add_argument(
        "--allow-scan",
        action="store_true",
        help="also runs what has to read the whole table or index",
    )


async def partiql(settings: Settings, arguments: argparse.Namespace) -> None:
    select = parse(arguments.statement, arguments.parameter)
    if select.parameters != (given := len(arguments.parameter)):
        raise ConfigurationError(
            f"--parameter: the statement has {select.parameters} of them, given are {given}."
        )
    async with open_store(settings, say) as client:
        if settings.is_embedded and settings.data_dir is None:
            await prepare_store(settings, client)  # there would be nothing to read
        keys = await keys_of(client, select)
        if not arguments.allow_scan:
            check_lookup(select, keys)
        answer = await run(
            client, select, keys, arguments.parameter, most=arguments.limit, report=say
        )
    if arguments.json:
        show(as_json(answer.rows))
    elif answer.rows:
        show(as_table(answer.rows, keys))
    more = "" if answer.is_all else "; there are more, --limit shows them"
    say(
        f"{counted(len(answer.rows), 'row')}, {counted(answer.requests, 'request')}, "
        f"{answer.units:g} read units{more}"
    )


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def parameter(text: str) -> Mapping[str, Any]:
    """What begins as a JSON object is an attribute value, anything else is a text."""
    if not text.startswith("{"):
        return {"S": text}
    wrong = argparse.ArgumentTypeError('should be text, or an attribute value as {"N": "5"}')
    try:
        value = json.loads(text)
    except ValueError:
        raise wrong from None
    match value:
        case {"S": str()} | {"N": str()} | {"BOOL": bool()} | {"NULL": True} if len(value) == 1:
            return value  # type: ignore[no-any-return]
    raise wrong


def limit(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"should be 1 or more, not {number}")
    return number
