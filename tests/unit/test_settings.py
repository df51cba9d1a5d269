"""Settings: the defaults of the contract, and one line for what is not as it should be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import settings
from datasources.errors import ConfigurationError
from schema.guards.admission import Places
from settings import Settings, describe, load
from tests.support.stacks import dax

KEY = "a key of sixteen or more"
Environment = Callable[..., Settings]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Loads the settings of an environment with these alone."""

    def loaded(**values: str) -> Settings:
        for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
            monkeypatch.delenv(name)
        for name, value in values.items():
            monkeypatch.setenv(settings.PREFIX + name, value)
        return load()

    return loaded


def test_the_times_and_the_room_of_a_request_are_bounded_unless_set(
    environment: Environment,
) -> None:
    found = environment()
    assert (found.deadline, found.write_deadline) == (5.0, 8.0)
    assert (found.sockets, found.sockets_per_principal) == (10_000, 10)
    assert Places().patience == 0.1


def test_the_defaults_are_those_of_the_contract(environment: Environment) -> None:
    found = environment()
    assert (found.store, found.is_embedded, found.endpoint) == ("embedded", True, None)
    assert (found.table, found.region) == ("cartograph", "ap-northeast-1")
    assert (found.jwt_secret, found.jwks_url) == (None, None)
    assert (found.jwt_issuer, found.jwt_audience) == (None, None)
    assert found.cursor_keys == ()
    assert (found.tenants, found.allowed_origins) == (("default",), ())
    assert (found.currency, found.currency_scale) == ("JPY", 0)
    assert (found.introspection, found.graphiql) == (True, True)
    assert (found.shards, found.data_dir) == (4, None)


def test_every_setting_of_the_contract_can_be_given(environment: Environment) -> None:
    found = environment(
        STORE="https://store.example:8000",
        TABLE="shop",
        REGION="us-east-1",
        JWKS_URL="https://id.example/keys",
        JWT_ISSUER="https://id.example",
        JWT_AUDIENCE="shop",
        CURSOR_KEYS=f"{KEY}, another {KEY}",
        TENANTS="one, two,",
        CURRENCY="KWD",
        INTROSPECTION="true",
        GRAPHIQL="1",
        ALLOWED_ORIGINS="https://a.example,https://b.example",
        SHARDS="8",
        DATA_DIR="data",
    )
    assert found.endpoint == "https://store.example:8000"
    assert not found.is_embedded
    assert [key.get_secret_value() for key in found.cursor_keys] == [KEY, f"another {KEY}"]
    assert found.tenants == ("one", "two")
    assert found.allowed_origins == ("https://a.example", "https://b.example")
    assert (found.currency_scale, found.shards) == (3, 8)
    assert (found.introspection, found.graphiql) == (True, True)
    assert found.data_dir == Path("data")


@pytest.mark.parametrize(
    "store", ["aws", "http://127.0.0.1:8000", "https://dynamodb.example", "embedded"]
)
def test_the_schema_and_the_explorer_are_shown_by_the_embedded_store_alone(
    environment: Environment, store: str
) -> None:
    found = environment(STORE=store, CURSOR_KEYS=KEY)
    assert found.introspection is found.graphiql is (store == "embedded")


def test_the_schema_can_be_hidden_in_the_embedded_store(environment: Environment) -> None:
    found = environment(INTROSPECTION="false", GRAPHIQL="false")
    assert (found.introspection, found.graphiql) == (False, False)


def test_rates_are_for_those_who_serve_others(environment: Environment) -> None:
    demo, shop = environment(), environment(STORE="aws", CURSOR_KEYS=KEY)
    assert (demo.rate_capacity, demo.email_capacity) == (1_000_000, 10_000)
    assert (shop.rate_capacity, shop.rate_restore) == (20_000, 1_000)
    assert (shop.email_capacity, shop.email_restore) == (30, 0.5)
    assert environment(RATE_CAPACITY="0").rate_capacity == 0


def test_origins_and_proxies_are_told_as_they_are_compared(environment: Environment) -> None:
    found = environment(
        ALLOWED_ORIGINS="https://Shop.example:8443,*,app://shop",
        TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8,::1",
    )
    assert found.allowed_origins == ("https://shop.example:8443", "*", "app://shop")
    assert found.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8", "::1/128")


@pytest.mark.parametrize(("currency", "scale"), [("JPY", 0), ("USD", 2), ("EUR", 2), ("KWD", 3)])
def test_a_currency_has_the_digits_of_iso_4217(
    environment: Environment, currency: str, scale: int
) -> None:
    assert environment(CURRENCY=currency).currency_scale == scale


def test_an_empty_setting_is_as_one_left_out(environment: Environment) -> None:
    found = environment(JWT_SECRET="", STORE="", TENANTS="", DATA_DIR="", SHARDS="")
    assert found == environment()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE", "dynamo"),
        ("STORE", "ftp://store.example"),
        ("STORE", "http://"),
        ("STORE", "AWS"),
        ("TABLE", "a"),
        ("TABLE", "a table"),
        ("REGION", "Tokyo!"),
        ("JWKS_URL", "id.example/keys"),
        ("CURSOR_KEYS", "short"),
        ("CURSOR_KEYS", f"{KEY},short"),
        ("TENANTS", "a b"),
        ("TENANTS", "a#b"),
        ("TENANTS", ","),
        ("TENANTS", "x" * 65),
        ("CURRENCY", "yen"),
        ("CURRENCY", "JPYX"),
        ("INTROSPECTION", "perhaps"),
        ("GRAPHIQL", "perhaps"),
        ("SHARDS", "0"),
        ("SHARDS", "65"),
        ("SHARDS", "four"),
        ("DEADLINE", "0"),
        ("DEADLINE", "61"),
        ("READ_BUDGET", "1"),
        ("MAX_BODY", "1"),
        ("MAX_TOKENS", "0"),
        ("LOG_LEVEL", "loud"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "shop.example"),
        ("ALLOWED_ORIGINS", "https://shop.example/"),
        ("TRUSTED_PROXIES", "proxy"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "*"),
        ("RATE_CAPACITY", "-1"),
        ("RATE_RESTORE", "0"),
        ("EMAIL_CAPACITY", "0"),
        ("SOCKETS", "0"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    environment: Environment, name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        environment(**{name: value})
    message = refused.value.message
    assert message.startswith(f"CARTOGRAPH_{name}: ")
    assert "\n" not in message
    assert "should " in message


@pytest.mark.parametrize("name", ["STOER", "CURSOR_KEY", "JWT", "MODEL_CONFIG", "EMBEDDED"])
def test_a_name_that_is_no_setting_is_refused(environment: Environment, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CARTOGRAPH_{name} is no setting"):
        environment(**{name: "x"})


def test_several_wrong_settings_are_all_named_in_one_line(environment: Environment) -> None:
    with pytest.raises(ConfigurationError) as refused:
        environment(SHARDS="0", CURRENCY="yen")
    assert "CARTOGRAPH_SHARDS: " in refused.value.message
    assert "CARTOGRAPH_CURRENCY: " in refused.value.message
    assert "\n" not in refused.value.message


def test_a_secret_and_a_key_set_do_not_go_together(environment: Environment) -> None:
    with pytest.raises(ConfigurationError, match=r"^CARTOGRAPH_JWT_SECRET and JWKS_URL: should"):
        environment(JWT_SECRET="s" * 32, JWKS_URL="https://id.example/keys")


@pytest.mark.parametrize("store", ["aws", "http://127.0.0.1:8000"])
def test_outside_the_embedded_store_cursor_keys_are_required(
    environment: Environment, store: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^CARTOGRAPH_CURSOR_KEYS: should"):
        environment(STORE=store)


@pytest.mark.parametrize("store", ["aws", "http://127.0.0.1:8000"])
def test_who_serves_nobody_needs_no_cursor_keys_but_may_have_no_wrong_ones(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    environment()
    monkeypatch.setenv("CARTOGRAPH_STORE", store)
    assert load(serving=False).cursor_keys == ()
    monkeypatch.setenv("CARTOGRAPH_CURSOR_KEYS", "short")
    with pytest.raises(ConfigurationError, match=r"^CARTOGRAPH_CURSOR_KEYS: should"):
        load(serving=False)


def test_no_secret_is_shown(environment: Environment) -> None:
    found = environment(JWT_SECRET="jwt-secret-of-thirty-two-letters", CURSOR_KEYS=KEY)
    for shown in (repr(found), str(found), f"{found!r:s}", found.model_dump_json()):
        assert "jwt-secret" not in shown
        assert KEY not in shown


@pytest.mark.parametrize("name", ["CURSOR_KEYS", "JWT_SECRET"])
def test_no_secret_is_in_the_line_about_a_wrong_setting(
    environment: Environment, name: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        environment(**{name: "hush", "CURSOR_KEYS": "hush", "SHARDS": "0"})
    assert "hush" not in str(refused.value)


def test_settings_cannot_be_changed(environment: Environment) -> None:
    with pytest.raises(ValueError, match="frozen"):
        environment().table = "other"  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    rows = describe()
    assert [name for name, _, _ in rows] == [
        settings.PREFIX + name.upper() for name in Settings.model_fields
    ]
    assert all(meaning and "\n" not in meaning for _, _, meaning in rows)
    defaults = {name: default for name, default, _ in rows}
    assert defaults["CARTOGRAPH_STORE"] == "embedded"
    assert defaults["CARTOGRAPH_TENANTS"] == "default"
    assert defaults["CARTOGRAPH_CURSOR_KEYS"] == "none"
    assert str(Path.home()) not in str(rows)


def test_the_readme_lists_every_setting_as_it_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    listed = [[cell.strip(" `") for cell in row.split("|")[1:4]] for row in table.split("\n")[3:-1]]
    assert listed == [list(row) for row in describe()]


# --- clients of the store -------------------------------------------------------------------

ROLE = "arn:aws:iam::123456789012:role/tenant"
CACHE = "daxs://shop.abc123.dax-clusters.ap-northeast-1.amazonaws.com"


def test_a_role_for_tenants_and_a_cluster_of_dax_can_be_given(environment: Environment) -> None:
    assert environment(STORE="aws", CURSOR_KEYS=KEY, TENANT_ROLE_ARN=ROLE).tenant_role_arn == ROLE
    assert environment(STORE="aws", CURSOR_KEYS=KEY, DAX_ENDPOINT=CACHE).dax_endpoint == CACHE


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"TENANT_ROLE_ARN": "tenant"}, "TENANT_ROLE_ARN"),
        ({"TENANT_ROLE_ARN": "arn:aws:iam::123456789012:user/tenant"}, "TENANT_ROLE_ARN"),
        ({"DAX_ENDPOINT": "https://shop.example"}, "DAX_ENDPOINT"),
        ({"DAX_ENDPOINT": CACHE, "TENANT_ROLE_ARN": ROLE}, "not both"),
        ({"DAX_ENDPOINT": CACHE, "CACHE": "true"}, "not both"),
        ({"STORE": "embedded", "TENANT_ROLE_ARN": ROLE}, "not be set when embedded"),
        ({"STORE": "embedded", "DAX_ENDPOINT": CACHE}, "not be set when embedded"),
    ],
)
def test_a_role_or_a_cluster_that_cannot_be_used_is_refused(
    environment: Environment, given: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why) as refused:
        environment(**{"STORE": "aws", "CURSOR_KEYS": KEY, **given})
    assert "\n" not in str(refused.value)


def test_with_dax_a_change_cursor_looks_back_behind_what_it_may_still_hold(
    environment: Environment,
) -> None:
    held = int(dax().properties("CacheParameters")["ParameterNameValues"]["record-ttl-millis"])
    through_dax = {"STORE": "aws", "CURSOR_KEYS": KEY, "DAX_ENDPOINT": CACHE}
    assert environment(**through_dax).index_lag > held / 1_000
    assert environment(**through_dax, INDEX_LAG="40").index_lag == 40
    assert environment(STORE="aws", CURSOR_KEYS=KEY).index_lag == 1
