"""Every setting: its name, its default, its meaning, and which go together."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from datasources.currencies import scale_of
from settings.kinds import BrokerUrl, CursorKeys, Home, Networks, Origins, Store, Tenants, Url

PREFIX = "CARTOGRAPH_"

# What differs where a demo is served.
_EMBEDDED: dict[str, object] = {
    "index_lag": 0.0,
    "linger": 0.0,
    "rate_capacity": 1_000_000,
    "rate_restore": 100_000,
    "email_capacity": 10_000,
    "email_restore": 1_000,
}

# By when what was changed is read through DAX: its parameter group has 30 s, and an index lags.
_DAX_LAG = 31.0


class Settings(BaseSettings):
    """What the environment says, checked."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )
    embedded: ClassVar[str] = "embedded"

    store: Store = Field(
        "embedded",
        description="embedded: a store started by the service itself, with demo data; aws: "
        "DynamoDB by the usual credential chain; an http(s) URL: a DynamoDB-compatible endpoint",
    )
    table: str = Field("cartograph", pattern=r"^[A-Za-z0-9_.-]{3,200}$", description="table name")
    region: str = Field("ap-northeast-1", pattern=r"^[a-z0-9-]+$", description="AWS region")
    fast_calls: bool = Field(
        True,
        description="whether calls to the store skip what costs the AWS SDK most; false: all of "
        "each call is the SDK's",
    )
    tenant_role_arn: str | None = Field(
        None,
        pattern=r"^arn:[^:]+:iam::[0-9]+:role/.+",
        description="ARN of a role that is assumed for each tenant, with the session tag tenant, "
        "so that nothing of another can be reached",
    )
    dax_endpoint: str | None = Field(
        None,
        pattern=r"^daxs?://",
        description="URL of a DAX cluster that queries are read through, up to 30 seconds old; "
        "needs the extra dax",
    )
    jwt_secret: SecretStr | None = Field(
        None,
        description="HS256 secret, better of 32 bytes or more, for development and tests "
        "(embedded: one is made at start)",
    )
    jwks_url: Url | None = Field(None, description="OpenID Connect key set: RS256 and ES256")
    jwt_issuer: str | None = Field(None, description="the iss that a token must carry")
    jwt_audience: str | None = Field(None, description="the aud that a token must carry")
    cursor_keys: CursorKeys = Field(
        (),
        description="comma-separated secrets of 16 characters or more; the first encrypts, "
        "all decrypt; needed by serve and process (embedded: one is made at start)",
    )
    redis_url: BrokerUrl | None = Field(
        None,
        description="Redis or Valkey that fans changes out to several instances; without it one "
        "instance serves, and reads the stream itself",
    )
    tenants: Tenants = Field(
        ("default",),
        description="comma-separated tenant names; the first serves callers who name none",
    )
    currency: str = Field(
        "JPY", pattern=r"^[A-Z]{3}$", description="the store's one currency (ISO 4217)"
    )
    introspection: bool = Field(
        True, description="whether the schema may be asked for; false unless embedded"
    )
    graphiql: bool = Field(
        True, description="whether browsers get the explorer; false unless embedded"
    )
    allowed_origins: Origins = Field((), description="CORS and websocket origins")
    shards: int = Field(4, ge=1, le=64, description="write shards of the lists over everything")
    data_dir: Path | None = Field(
        None, description="where the embedded store keeps its data across restarts"
    )
    state_dir: Path = Field(
        default_factory=Home("XDG_STATE_HOME", ".local/state"),
        description="where the secrets made at start are kept, readable by their owner alone",
    )
    cache_dir: Path = Field(
        default_factory=Home("XDG_CACHE_HOME", ".cache"),
        description="where the environment of the embedded store is made and reused",
    )
    deadline: float = Field(
        5.0, gt=0, le=60, description="seconds from a request's arrival to its answer"
    )
    write_deadline: float = Field(8.0, gt=0, le=60, description="the same for a mutation")
    read_budget: int = Field(
        2_000, ge=100, description="rows read at most to fill one page of a filtered list"
    )
    cache: bool = Field(
        False,
        description="whether what is read by key is kept for 30 seconds, or until it changes; in "
        "Redis, where it is set",
    )
    cache_items: int = Field(
        20_000, ge=1, description="items that are kept at most; the same for all processes"
    )
    index_lag: float = Field(
        1.0,
        ge=0,
        le=60,
        description="seconds that an index may lag behind the stream, by which changeCursor looks "
        "back; 0 when embedded, 31 with DAX",
    )
    mail_from: str | None = Field(
        None,
        description="sender of mails, verified by SES; without it mails go to the log and, "
        "embedded, to /dev/outbox",
    )
    events_topic: str | None = Field(
        None, pattern=r"^arn:", description="ARN of the SNS topic for events; without it as mails"
    )
    dead_letter_queue: Url | None = Field(
        None,
        description="URL of the SQS queue for what no reaction could handle; without it a log line",
    )
    sink_endpoint: Url | None = Field(
        None, description="endpoint of SES, SNS and SQS; without it AWS's"
    )
    reactions: bool = Field(
        True,
        description="whether what follows a change is done here; false where a Lambda function "
        "does it, and changes are only told",
    )
    plans: bool = Field(
        True,
        description="whether operations are run by compiled plans, several times cheaper, and by "
        "the reference executor only where a plan does not fit; false: by that alone",
    )
    plans_checked: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the queries that a plan has answered, 0 to 1, to run once more by "
        "the reference executor, whose answer is given; a difference is logged and counted",
    )
    low_stock: int = Field(5, ge=0, description="units at which a product's stock is low")
    socket_init: float = Field(
        5.0, gt=0, le=60, description="seconds a websocket has to say who it is"
    )
    socket_operations: int = Field(
        20, ge=1, description="operations that may run on one websocket at a time"
    )
    socket_message: int = Field(
        65_536, ge=1_024, description="bytes a message on a websocket may have"
    )
    sockets: int = Field(
        10_000, ge=1, description="websockets and event streams that may be open in a process"
    )
    sockets_per_principal: int = Field(10, ge=1, description="the same of one caller with a token")
    sockets_per_address: int = Field(
        2_000, ge=1, description="the same of the callers without a token from one address"
    )
    trusted_proxies: Networks = Field(
        (),
        description="comma-separated addresses and networks of proxies before the service, of "
        "which alone X-Forwarded-For and X-Forwarded-Proto are believed; without them all callers "
        "without a token behind a proxy are one caller",
    )
    rate_capacity: int = Field(
        20_000,
        ge=0,
        description="points of cost that a caller may have at once (embedded: 1000000); 0: no "
        "rate is limited",
    )
    rate_restore: float = Field(
        1_000, gt=0, description="points that come back each second (embedded: 100000)"
    )
    email_capacity: int = Field(
        30,
        ge=1,
        description="sign-ups and lookups by email that a caller, and an address, may make at "
        "once (embedded: 10000)",
    )
    email_restore: float = Field(
        0.5, gt=0, description="how many of these come back each second (embedded: 1000)"
    )
    max_tokens: int = Field(1_000, ge=1, description="tokens a document may have")
    max_characters: int = Field(15_000, ge=1, description="characters a document may have")
    max_depth: int = Field(
        10, ge=1, le=100, description="levels of fields a document may have; {viewer{id}} has 2"
    )
    max_aliases: int = Field(
        15, ge=0, description="aliases a document may have, those of fragments in each place"
    )
    max_fields: int = Field(
        200, ge=1, description="fields a document may have, those of fragments in each place"
    )
    max_directives: int = Field(
        10, ge=0, description="directives a document may have, those of fragments in each place"
    )
    max_introspection_depth: int = Field(
        20, ge=1, le=100, description="levels of fields from __schema or __type on"
    )
    max_introspection_fields: int = Field(
        250, ge=1, description="fields of either sort in a document that asks for the schema"
    )
    max_cost: int = Field(
        5_000, ge=0, description="what a document may cost: one for each object it could read"
    )
    trusted_documents: Path | None = Field(
        None,
        description="JSON file of documents by their hashes, as graphql-codegen writes it, that "
        "requests may name in documentId or by Apollo's protocol",
    )
    trusted_documents_only: bool = Field(
        False, description="whether nothing runs but the trusted documents"
    )
    persisted_queries: bool = Field(
        True,
        description="whether clients may send a document once and its hash from then on (Apollo's "
        "automatic persisted queries)",
    )
    max_body: int = Field(102_400, ge=1_024, description="bytes a request's body may have")
    linger: float = Field(
        3.0,
        ge=0,
        le=5,
        description="seconds after SIGTERM in which connections may still come, /readyz being 503: "
        "at least what a load balancer takes to see that; 0 when embedded",
    )
    log_level: str = Field(
        "info", pattern=r"^(debug|info|warning|error)$", description="least level that is logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="json: a line of JSON each; console: for people; auto: console where a "
        "terminal reads it, else json",
    )
    log_requests: Literal["none", "notable", "all"] = Field(
        "notable",
        description="which requests have a line in the log; notable: those that were slow, or "
        "failed for the service's part, 20 a second at most",
    )
    log_slow: float = Field(1.0, gt=0, description="seconds after which a request was slow")

    @model_validator(mode="before")
    @classmethod
    def _open_when_embedded(cls, values: dict[str, object]) -> dict[str, object]:
        embedded = values.get("store", "embedded") == "embedded"
        own = _EMBEDDED if embedded else {}
        if values.get("dax_endpoint"):
            own = {**own, "index_lag": _DAX_LAG}
        return {"introspection": embedded, "graphiql": embedded, **own, **values}

    @model_validator(mode="after")
    def _go_together(self) -> Settings:
        if self.jwt_secret and self.jwks_url:
            raise ValueError("JWT_SECRET and JWKS_URL: should be one or the other, not both")
        if self.is_embedded and (self.tenant_role_arn or self.dax_endpoint):
            raise ValueError("TENANT_ROLE_ARN, DAX_ENDPOINT: should not be set when embedded")
        if self.tenant_role_arn and self.dax_endpoint:
            raise ValueError(
                "TENANT_ROLE_ARN and DAX_ENDPOINT: should be one or the other, not both: DAX reads "
                "with a role of its own, for all tenants"
            )
        if self.cache and self.dax_endpoint:
            raise ValueError(
                "CACHE and DAX_ENDPOINT: should be one or the other, not both: what is kept until "
                "it changes would be read anew from what DAX has kept of before"
            )
        if self.trusted_documents_only and self.trusted_documents is None:
            raise ValueError("TRUSTED_DOCUMENTS: should be set with TRUSTED_DOCUMENTS_ONLY")
        return self

    @property
    def is_embedded(self) -> bool:
        return self.store == self.embedded

    @property
    def endpoint(self) -> str | None:
        """The URL of the store where the settings name one."""
        return None if self.store in {"embedded", "aws"} else self.store

    @property
    def currency_scale(self) -> int:
        """Digits after the point of an amount in the store's currency (ISO 4217)."""
        return scale_of(self.currency)
