"""The command line and the composition root, as far as they go without a store."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

import server
import settings
from composition import identity, store
from datasources.errors import ConfigurationError
from resolvers.errors import TokenRefused
from resolvers.global_ids import encode

SECRET = "a secret of thirty-two bytes or more"
CURSOR_KEYS = "a key of sixteen or more"
COMMANDS = re.findall(r"^    (\w+) ", server.parser().format_help(), re.MULTILINE)
Configure = Callable[..., settings.Settings]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Configure:
    """Sets the settings given (without their prefix) and no others, and loads them."""
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"CARTOGRAPH_{name.upper()}", raising=False)
    monkeypatch.setenv("CARTOGRAPH_STATE_DIR", str(tmp_path))

    def configured(**values: str) -> settings.Settings:
        for name, value in values.items():
            monkeypatch.setenv(f"CARTOGRAPH_{name}", value)
        return settings.load()

    return configured


Outcome = tuple[int, str, str]


@pytest.fixture
def cartograph(
    configure: Configure, capsys: pytest.CaptureFixture[str], logging_kept: None
) -> Callable[..., Outcome]:
    """Runs a command in process: its exit code, and what went to stdout and to stderr."""
    configure(JWT_SECRET=SECRET)

    def run(*arguments: str) -> Outcome:
        code: object = 0
        try:
            server.main(arguments)
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


Cartograph = Callable[..., Outcome]


# --- the command line -----------------------------------------------------------------------


def test_the_project_has_the_command_as_its_entry_point() -> None:
    project = tomllib.loads((store.ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert project["project"]["scripts"] == {"cartograph": "server:main"}


def test_the_commands_that_scripts_rely_on_are_there() -> None:
    assert {"serve", "schema", "token", "table", "seed", "deploy", "export"} <= set(COMMANDS)


def test_a_command_does_not_wait_for_what_others_need() -> None:
    wanted = ("strawberry", "uvicorn", "redis", "jwt")
    check = f"import server, sys; print([name for name in {wanted} if name in sys.modules])"
    shown = subprocess.run(  # noqa: S603 the command is ours
        [sys.executable, "-c", check], cwd=store.ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_for_every_command(cartograph: Cartograph, command: str) -> None:
    code, shown, said = cartograph(command, "--help")

    assert (code, said) == (0, "")
    assert shown.startswith(f"usage: cartograph {command}")


def test_the_help_of_serve_lists_every_setting(cartograph: Cartograph) -> None:
    _, shown, _ = cartograph("serve", "--help")

    names = {f"CARTOGRAPH_{name.upper()}" for name in settings.Settings.model_fields}
    assert {name for name in names if f"  {name} (default: " not in shown} == set()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["bogus"], "bogus"),
        (["serve", "--port", "x"], "--port"),
        (["serve", "--port", "65536"], "--port"),
        (["serve", "--port", "-1"], "--port"),
        (["serve", "--host", "256.0.0.1"], "--host"),
        (["serve", "--colour", "red"], "--colour"),
        (["serve", "--workers", "0"], "--workers"),
        (["serve", "--workers", "65"], "--workers"),
        (["serve", "--workers", "two"], "--workers"),
        (["serve", "--workers", "2"], "CARTOGRAPH_STORE"),
        (["token"], "--sub"),
        (["token", "--sub", ""], "--sub"),
        (["token", "--sub", "x" * 129], "--sub"),
        (["token", "--sub", "a\nb"], "--sub"),
        (["token", "--sub", "a", "--role", "king"], "--role"),
        (["token", "--sub", "a", "--tenant", "elsewhere"], "--tenant"),
        (["seed", "--users", "many"], "--users"),
        (["seed", "--users", "1.5"], "--users"),
        (["partiql"], "statement"),
        (["partiql", "SELECT * FROM cartograph", "--limit", "0"], "--limit"),
        (["partiql", "SELECT * FROM cartograph", "--limit", "few"], "--limit"),
        (["partiql", "SELECT * FROM cartograph", "-p", '{"X": 1}'], "--parameter"),
        (["partiql", "SELECT * FROM cartograph", "-p", "{"], "--parameter"),
        (["partiql", "SELECT * FROM cartograph", "-p", "a"], "--parameter"),
        (["partiql", "SELECT * FROM cartograph WHERE a = ?"], "--parameter"),
        (["partiql", "DELETE FROM cartograph"], "only SELECT"),
        (["backup"], "ACTION"),
        (["backup", "eat"], "eat"),
        (["backup", "make"], "NAME"),
        (["backup", "list"], "CARTOGRAPH_STORE"),
        (["backup", "restore", "a", "b", "--at", "noon"], "--at"),
        (["backup", "restore", "a", "b", "--at", "2026-11-22T10:00:00"], "--at"),
        (["export"], "BUCKET"),
        (["export", "bucket"], "CARTOGRAPH_STORE"),
        (["export", "bucket", "--from", "today"], "--from"),
        (["archive"], "EXPORT"),
        (["archive", "s3://bucket/folder", "/nowhere/out"], "CARTOGRAPH_STORE"),
        (["archive", "/nowhere", "/nowhere/out"], "/nowhere/manifest-summary.json"),
        (["archive", "/nowhere", "/"], "OUT"),
        (["deploy"], "CARTOGRAPH_STORE"),
        (["seed"], "CARTOGRAPH_DATA_DIR"),
        (["table"], "CARTOGRAPH_DATA_DIR"),
    ],
    ids=lambda part: " ".join(part)[:40] if isinstance(part, list) else part,
)
def test_a_wrong_argument_is_told_in_one_line(
    cartograph: Cartograph, arguments: list[str], named: str
) -> None:
    code, shown, said = cartograph(*arguments)

    assert (code, shown) == (2, "")
    (line,) = said.splitlines()
    assert line.startswith("cartograph")
    assert named in line


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("STORE", "dynamo", "embedded, aws or an http(s) URL"),
        ("STORE", "ftp://127.0.0.1", "embedded, aws or an http(s) URL"),
        ("CURSOR_KEYS", "short", "16 characters"),
        ("CURSOR_KEYS", f"{CURSOR_KEYS},short", "16 characters"),
        ("TENANTS", ",", "names of 1 to 64"),
        ("TENANTS", "a b", "names of 1 to 64"),
        ("SHARDS", "0", "greater than or equal to 1"),
        ("SHARDS", "many", "integer"),
        ("CURRENCY", "yen", "[A-Z]{3}"),
        ("INTROSPECTION", "perhaps", "boolean"),
        ("DEADLINE", "-1", "greater than 0"),
        ("JWKS_URL", "example.com", "https?://"),
        ("JWKS_URL", "https://id.example/keys", "JWT_SECRET and JWKS_URL"),
        ("LOG_LEVEL", "loud", "debug|info|warning|error"),
        ("PORT", "9000", "no setting"),
        ("STOREE", "aws", "no setting"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line_with_what_it_should_be(
    cartograph: Cartograph, monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(f"CARTOGRAPH_{name}", value)

    code, shown, said = cartograph("schema")

    assert (code, shown) == (2, "")
    (line,) = said.splitlines()
    assert wanted in line
    assert "CARTOGRAPH_" in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["backup", "restore", "new"], "BACKUP or --at"),
        (["backup", "restore", "a", "new", "--at", "latest"], "BACKUP or --at"),
        (["export", "bucket", "--to", "2026-11-22T10:00:00Z"], "--from"),
        (
            ["export", "bucket", "--from", "2026-11-22T10:00Z", "--to", "2026-11-22T10:05Z"],
            "15 minutes to 24 hours",
        ),
        (
            ["export", "bucket", "--from", "2026-11-22T10:00Z", "--at", "2026-11-22T10:05Z"],
            "--at",
        ),
        (["archive", "s3://bucket", "/nowhere/out"], "s3://BUCKET/FOLDER"),
    ],
    ids=lambda part: " ".join(part)[:40] if isinstance(part, list) else part,
)
def test_arguments_that_do_not_go_together_are_told_in_one_line(
    cartograph: Cartograph, configure: Configure, arguments: list[str], named: str
) -> None:
    configure(STORE="http://127.0.0.1:1", CURSOR_KEYS=CURSOR_KEYS)

    code, shown, said = cartograph(*arguments)

    assert (code, shown) == (2, "")
    (line,) = said.splitlines()
    assert named in line


SERVING = (["serve"], ["process"], ["process", "--redrive"])
OTHERS = (
    ["schema"],
    ["token", "--sub", "x"],
    ["table"],
    ["seed"],
    ["recount"],
    ["recount", "--mend"],
    ["erase"],
    ["partiql", "SELECT * FROM cartograph WHERE PK = 'x'"],
    ["backup", "list"],
    ["backup", "make", "x"],
    ["backup", "restore", "x", "new"],
    ["export", "bucket"],
    ["archive", "/nowhere", "/nowhere/out"],
    ["deploy", "--dry-run"],
)


def test_every_command_is_said_to_serve_or_not() -> None:
    assert {arguments[0] for arguments in (*SERVING, *OTHERS)} == set(COMMANDS)


@pytest.mark.parametrize("arguments", SERVING, ids=" ".join)
@pytest.mark.parametrize("where", ["aws", "http://127.0.0.1:1"])
def test_who_serves_others_needs_cursor_keys(
    cartograph: Cartograph, monkeypatch: pytest.MonkeyPatch, arguments: list[str], where: str
) -> None:
    monkeypatch.setenv("CARTOGRAPH_STORE", where)

    code, shown, said = cartograph(*arguments)

    assert (code, shown) == (2, "")
    (line,) = said.splitlines()
    assert line.startswith("cartograph: CARTOGRAPH_CURSOR_KEYS: should be set")


@pytest.mark.parametrize("arguments", OTHERS, ids=" ".join)
@pytest.mark.parametrize("where", ["aws", "http://127.0.0.1:1"])
def test_who_serves_nobody_needs_neither_cursor_keys_nor_a_way_to_believe_tokens(
    configure: Configure, arguments: list[str], where: str
) -> None:
    given = server.parser().parse_args(arguments)
    configure()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CARTOGRAPH_STORE", where)
        found = settings.load(serving=given.serving)

    assert (found.store, found.cursor_keys, found.jwt_secret, found.jwks_url) == (
        where,
        (),
        None,
        None,
    )


def test_several_workers_need_a_broker(cartograph: Cartograph, configure: Configure) -> None:
    configure(STORE="http://127.0.0.1:1", CURSOR_KEYS=CURSOR_KEYS)

    code, shown, said = cartograph("serve", "--port", "0", "--workers", "2")

    assert (code, shown) == (2, "")
    (line,) = said.splitlines()
    assert "CARTOGRAPH_REDIS_URL" in line


def test_a_state_folder_that_cannot_be_used_is_told_in_one_line(
    cartograph: Cartograph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARTOGRAPH_JWT_SECRET")
    monkeypatch.setenv("CARTOGRAPH_STATE_DIR", "/dev/null/x")

    code, _, said = cartograph("token", "--sub", "x")

    assert code == 2
    (line,) = said.splitlines()
    assert "CARTOGRAPH_STATE_DIR" in line


@pytest.mark.parametrize("name", ["JWT_SECRET", "CURSOR_KEYS"])
def test_a_secret_is_never_shown(
    cartograph: Cartograph, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"CARTOGRAPH_{name}", "swordfish")
    monkeypatch.setenv("CARTOGRAPH_SHARDS", "0")

    _, shown, said = cartograph("token", "--sub", "x")

    assert "swordfish" not in shown + said


def test_schema_prints_the_committed_schema(cartograph: Cartograph) -> None:
    committed = (store.ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8")

    assert cartograph("schema") == (0, committed, "")


def test_an_interruption_is_no_traceback(
    cartograph: Cartograph, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "schema", interrupted)

    assert cartograph("schema") == (130, "", "")


# --- tokens ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "claims"),
    [
        (["--sub", "taro"], {"sub": "taro"}),
        (["--sub", encode("User", "taro")], {"sub": "taro"}),
        (["--sub", "auth0|太郎"], {"sub": "auth0|太郎"}),
        (["--sub", encode("User", "a:b%")], {"sub": "a:b%"}),
        (["--sub", encode("Category", "books")], {"sub": encode("Category", "books")}),
        (["--sub", "x", "--role", "staff"], {"sub": "x", "roles": ["staff"]}),
        (["--sub", "x", "--tenant", "north"], {"sub": "x", "tenant": "north"}),
    ],
)
def test_token_says_what_was_asked(
    cartograph: Cartograph,
    configure: Configure,
    arguments: list[str],
    claims: dict[str, object],
) -> None:
    configure(TENANTS="default,north", JWT_ISSUER="https://id.example", JWT_AUDIENCE="shop")

    code, shown, said = cartograph("token", *arguments)

    assert (code, said) == (0, "")
    (token,) = shown.splitlines()
    found = decoded(token, issuer="https://id.example", audience="shop")
    assert found.pop("exp") - found.pop("iat") == 86_400
    assert found == {"iss": "https://id.example", "aud": "shop", **claims}


def decoded(token: str, **expected: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET, algorithms=["HS256"], **expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("elsewhere", [{"STORE": "aws"}, {"JWKS_URL": "https://id.example/keys"}])
def test_without_a_secret_there_is_no_token(
    configure: Configure, elsewhere: dict[str, str]
) -> None:
    found = configure(CURSOR_KEYS=CURSOR_KEYS, **elsewhere)

    with pytest.raises(ConfigurationError, match="CARTOGRAPH_JWT_SECRET"):
        identity.mint_token(found, "x", staff=False, tenant=None)


async def test_the_verifier_believes_the_tokens_that_are_minted(configure: Configure) -> None:
    found = configure(JWT_SECRET=SECRET, JWT_ISSUER="https://id.example")
    async with aiohttp.ClientSession() as session:
        verifier = identity.token_verifier(found, session)

        claims = await verifier.verify(identity.mint_token(found, "x", staff=True, tenant=None))

        assert (claims.subject, claims.is_staff) == ("x", True)
        assert claims.expires_at > time.time()
        other = configure(JWT_ISSUER="https://other.example")
        foreign = identity.mint_token(other, "x", staff=True, tenant=None)
        with pytest.raises(TokenRefused, match="issuer"):
            await verifier.verify(foreign)


async def test_outside_the_embedded_store_no_secret_is_made_up(configure: Configure) -> None:
    found = configure(STORE="aws", CURSOR_KEYS=f"{CURSOR_KEYS}, {CURSOR_KEYS} 2")

    assert identity.jwt_secret(found) is None
    assert identity.cursor_keys(found) == [CURSOR_KEYS, f"{CURSOR_KEYS} 2"]
    async with aiohttp.ClientSession() as session:
        verifier = identity.token_verifier(found, session)
        token = jwt.encode({"sub": "x", "exp": 4e9}, "", algorithm="none")
        with pytest.raises(TokenRefused):
            await verifier.verify(token)


# --- what a setting stands for --------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "open_to_all"),
    [
        ({}, True),
        ({"INTROSPECTION": "false", "GRAPHIQL": "false"}, False),
        ({"STORE": "aws", "CURSOR_KEYS": CURSOR_KEYS}, False),
        ({"STORE": "http://127.0.0.1:1", "CURSOR_KEYS": CURSOR_KEYS}, False),
        (
            {
                "STORE": "aws",
                "CURSOR_KEYS": CURSOR_KEYS,
                "INTROSPECTION": "true",
                "GRAPHIQL": "true",
            },
            True,
        ),
    ],
)
def test_schema_and_explorer_are_shown_over_the_embedded_store_or_on_request(
    configure: Configure, values: dict[str, str], open_to_all: bool
) -> None:
    found = configure(**values)

    assert found.introspection is open_to_all
    assert (identity.explorer(found, trusting=True) is not None) is open_to_all


@pytest.mark.parametrize(
    ("currency", "scale"), [("JPY", 0), ("USD", 2), ("EUR", 2), ("KWD", 3), ("KRW", 0)]
)
def test_an_amount_has_the_digits_of_its_currency(
    configure: Configure, currency: str, scale: int
) -> None:
    assert configure(CURRENCY=currency).currency_scale == scale
