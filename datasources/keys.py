"""Every partition key, sort key and index key of the table; no other module builds one.

A partition key begins with the tenant, so an IAM condition on `dynamodb:LeadingKeys` can hold
a tenant to its own rows. `#` separates the parts of a key; text that a person or an identity
provider chose is escaped.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import idna
import msgspec

PK = "PK"
SK = "SK"
GSI1 = "GSI1"
GSI2 = "GSI2"
GSI3 = "GSI3"  # projects its keys only
TTL = "ttl"  # epoch seconds, after which the store may remove the row
# Marks a row of a bulk load: what counts it does so already, nothing follows from its insert.
LOADED = "loaded"

# What a row is that has its partition for itself, by the name in that and its sort key.
_WHOLES = {
    ("USER", "PROFILE"): "User",
    ("EMAIL", "UNIQUE"): "Unique",
    ("USERNAME", "UNIQUE"): "Unique",
    ("CATEGORY", "METADATA"): "Category",
    ("PRODUCT", "METADATA"): "Product",
}
_WHOLE = frozenset(name for _, name in _WHOLES)
# Above every character that a key holds: DynamoDB compares UTF-8 bytes.
_LAST = "\U0010ffff"
# "PRICE#" and the minor units: wide enough for 12 digits before the point and 4 after it.
_PRICE_DIGITS = 16
# A sort key may have 1,024 bytes; this leaves room for the slug behind a category's name.
_NAME_BYTES = 900
# Ends a name below every character that could go on: "home" before "home garden".
_END_OF_NAME = "\x1f"


class Key(NamedTuple):
    """The primary key of one row."""

    pk: str
    sk: str


class SortRange(NamedTuple):
    """Sort keys from `low` to `high`, both inclusive; None leaves that end open."""

    low: str | None = None
    high: str | None = None

    @classmethod
    def beginning_with(cls, prefix: str) -> SortRange:
        return cls(prefix, prefix + _LAST)

    @property
    def is_empty(self) -> bool:
        """Whether the ends have crossed, which a key condition may not say."""
        return self.low is not None and self.high is not None and self.low > self.high


EVERYTHING = SortRange()


def partition_attribute(index: str | None) -> str:
    """The attribute that holds the partition key of the table (None) or of an index."""
    return f"{index}PK" if index else PK


def sort_attribute(index: str | None) -> str:
    """The attribute that holds the sort key of the table (None) or of an index."""
    return f"{index}SK" if index else SK


def index_keys(index: str, pk: str, sk: str) -> dict[str, str]:
    """The two attributes that put a row into an index."""
    return {partition_attribute(index): pk, sort_attribute(index): sk}


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: of fixed width, so that text order is time order."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # A third of what `isoformat` takes, of each row of a page.
    return f"{msgspec.to_builtins(moment)[:19]}.{moment.microsecond // 1000:03d}Z"


def month(moment: datetime) -> str:
    """The month, `yyyy-mm`, in UTC."""
    return timestamp(moment)[:7]


def fold_email(email: str) -> str:
    """The form under which an email address is unique: NFKC, case-folded, trimmed, its domain
    in ASCII (IDNA), so that each way to write one address is one row."""
    folded = _fold(email.strip())
    local, at, domain = folded.rpartition("@")
    try:
        return local + at + idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return folded


def fold_username(username: str) -> str:
    """The form under which a username is unique."""
    return _fold(username.strip())


def _fold(text: str) -> str:
    """NFKC and case-folded; NFKC again, since folding takes some letters apart."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def price_key(minor: int) -> str:
    """The sort key prefix of a price in minor units."""
    return f"PRICE#{minor:0{_PRICE_DIGITS}d}"


def price_range(low: int | None, high: int | None) -> SortRange:
    """Prices from `low` to `high` minor units, both inclusive."""
    return SortRange(
        price_key(low) if low is not None else "PRICE#",
        (price_key(high) if high is not None else "PRICE#") + _LAST,
    )


def time_range(start: datetime | None, end: datetime | None) -> SortRange:
    """Sort keys that begin with a time from `start` (inclusive) to `end` (exclusive).

    A sort key continues behind its time, so it is above the bare time: a bound's own
    millisecond is inside as `low` and outside as `high`. A bound finer than the milliseconds
    that rows are timed in lies behind the rows of its own.
    """
    low, high = (None if bound is None else _edge(bound) for bound in (start, end))
    return SortRange(low, high)


def _edge(bound: datetime) -> str:
    return timestamp(bound) + (_LAST if bound.microsecond % 1000 else "")


def tenant_of(pk: str) -> str:
    """The tenant whose partition this is."""
    return pk.partition("#")[0]


def entity_of(keys: Sequence[Key]) -> str | None:
    """The kind of the rows that keys should have, where it is one and the keys tell."""
    if not _WHOLE.issuperset([key.sk for key in keys]):
        return None
    kinds = {_WHOLES.get((key.pk.split("#", 2)[1], key.sk)) for key in keys}
    return kinds.pop() if len(kinds) == 1 else None


# Rows of the system table, which are no tenant's.


def lease(stream: str, shard: str) -> Key:
    """Who follows a shard of a stream, named by its ARN, and how far it has been followed."""
    return Key(f"STREAM#{stream}", f"SHARD#{shard}")


def leases(stream: str) -> tuple[str, SortRange]:
    return f"STREAM#{stream}", SortRange.beginning_with("SHARD#")


def handled(event_id: str, reaction: str) -> Key:
    """That a reaction to an event of the stream has had its effect."""
    return Key(f"EVENT#{event_id}", f"HANDLED#{reaction}")


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("#", "%23")


def _within(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one tenant's rows. `shards` is the number of write shards, read whole."""

    tenant: str
    shards: int

    # Rows.

    def user(self, user_id: str) -> Key:
        return Key(self._user(user_id), "PROFILE")

    def email(self, email: str) -> Key:
        return Key(f"{self.tenant}#EMAIL#{_escape(fold_email(email))}", "UNIQUE")

    def username(self, username: str) -> Key:
        return Key(f"{self.tenant}#USERNAME#{_escape(fold_username(username))}", "UNIQUE")

    def category(self, slug: str) -> Key:
        return Key(f"{self.tenant}#CATEGORY#{slug}", "METADATA")

    def product(self, product_id: str) -> Key:
        return Key(self._product(product_id), "METADATA")

    def order(self, user_id: str, order_id: str) -> Key:
        return Key(self._user(user_id), f"ORDER#{order_id}")

    def review(self, product_id: str, review_id: str) -> Key:
        return Key(self._product(product_id), f"REVIEW#{review_id}")

    def reviewed(self, user_id: str, product_id: str) -> Key:
        return Key(self._user(user_id), f"REVIEWED#{product_id}")

    def purchased(self, user_id: str, product_id: str) -> Key:
        return Key(self._user(user_id), f"PURCHASED#{product_id}")

    def idempotency(self, user_id: str, operation: str, key: str) -> Key:
        scope = "#".join(map(_escape, (user_id, operation, key)))
        return Key(f"{self.tenant}#IDEMPOTENCY#{scope}", "RESULT")

    def audit(self, subject: str, at: datetime, action: str) -> Key:
        return Key(f"{self.tenant}#AUDIT#{_escape(subject)}", f"{timestamp(at)}#{action}")

    # Partitions of the table itself.

    def orders_of(self, user_id: str) -> tuple[str, SortRange]:
        return self._user(user_id), SortRange.beginning_with("ORDER#")

    def reviews_of(self, product_id: str) -> tuple[str, SortRange]:
        return self._product(product_id), SortRange.beginning_with("REVIEW#")

    # Partitions of the indexes; where a list is sharded, one for each shard.

    def categories(self) -> str:
        return f"{self.tenant}#CATEGORIES"

    def category_products(self, slug: str, status: str) -> str:
        return f"{self.tenant}#CATEGORY#{slug}#{status}"

    def order_number(self, number: str) -> str:
        return f"{self.tenant}#ORDERNO#{_escape(number)}"

    def reviews_by(self, user_id: str) -> tuple[str, SortRange]:
        return self._user(user_id), SortRange.beginning_with("REVIEW#")

    def users(self, status: str) -> tuple[str, ...]:
        return self._sharded(f"USERS#{status}")

    def products(self, status: str) -> tuple[str, ...]:
        return self._sharded(f"PRODUCTS#{status}")

    def orders(self, status: str) -> tuple[str, ...]:
        return self._sharded(f"ORDERS#{status}")

    def orders_in(self, month: str) -> tuple[str, ...]:
        return self._sharded(f"ORDERS#{month}")

    # What a row carries to be in the indexes.

    def user_indexes(self, user_id: str, status: str, created: str) -> dict[str, str]:
        pk = self.users(status)[self._shard(user_id)]
        return index_keys(GSI2, pk, f"{created}#{_escape(user_id)}")

    def category_indexes(self, slug: str, name: str) -> dict[str, str]:
        folded = _within(_fold(name), _NAME_BYTES)
        return index_keys(GSI1, self.categories(), f"{folded}{_END_OF_NAME}#{slug}")

    def product_indexes(
        self, product_id: str, slug: str | None, status: str, created: str, price: int
    ) -> dict[str, str]:
        made = f"{created}#{product_id}"
        found = index_keys(GSI2, self.products(status)[self._shard(product_id)], made)
        if slug is not None:
            pk = self.category_products(slug, status)
            found |= index_keys(GSI1, pk, made)
            found |= index_keys(GSI3, pk, f"{price_key(price)}#{product_id}")
        return found

    def order_indexes(self, order_id: str, number: str, status: str, placed: str) -> dict[str, str]:
        shard, made = self._shard(order_id), f"{placed}#{order_id}"
        return {
            **index_keys(GSI1, self.order_number(number), "ORDER"),
            **index_keys(GSI2, self.orders(status)[shard], made),
            **index_keys(GSI3, self.orders_in(placed[:7])[shard], made),
        }

    def review_indexes(self, user_id: str, review_id: str) -> dict[str, str]:
        return index_keys(GSI2, self._user(user_id), f"REVIEW#{review_id}")

    def _user(self, user_id: str) -> str:
        return f"{self.tenant}#USER#{_escape(user_id)}"

    def _product(self, product_id: str) -> str:
        return f"{self.tenant}#PRODUCT#{product_id}"

    def _sharded(self, name: str) -> tuple[str, ...]:
        return tuple(f"{self.tenant}#{name}#{shard}" for shard in range(self.shards))

    def _shard(self, item_id: str) -> int:
        return zlib.crc32(item_id.encode()) % self.shards
