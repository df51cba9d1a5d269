"""Keys: each row's place in the table is its own, and text order is the order wanted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from datasources.ids import is_subject
from datasources.keys import (
    GSI1,
    GSI2,
    GSI3,
    Key,
    Keys,
    SortRange,
    entity_of,
    fold_email,
    fold_username,
    month,
    partition_attribute,
    price_key,
    price_range,
    sort_attribute,
    time_range,
    timestamp,
)

KEYS = Keys("acme", 4)
P = "0190d9a0-0000-7000-8000-000000000001"
R = "0190d9a0-0000-7000-8000-000000000002"
CREATED = "2026-11-20T12:00:00.000Z"

# Text that would be mistaken for a part of a key if it were not escaped, mixed with any other.
nasty = st.lists(
    st.sampled_from(["#", "%", "%23", "%25", ":", "USER", "PROFILE", "a", "é", "太"]), min_size=1
).map("".join)
subjects = (nasty | st.text(min_size=1, max_size=20)).filter(is_subject)
moments = st.datetimes(
    min_value=datetime(1970, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.just(UTC),
)


def everything(keys: Keys, user: str = "太郎#1") -> list[str]:
    """A partition key of every kind, of the table and of its indexes."""
    single = [
        keys.user(user),
        keys.email("a#b@example.com"),
        keys.username("x#y"),
        keys.category("books"),
        keys.product(P),
        keys.order(user, R),
        keys.review(P, R),
        keys.reviewed(user, P),
        keys.purchased(user, P),
    ]
    indexes = [
        keys.user_indexes(user, "ACTIVE", CREATED),
        keys.category_indexes("books", "Books"),
        keys.product_indexes(P, "books", "ACTIVE", CREATED, 5),
        keys.order_indexes(R, "NO-1", "PAID", CREATED),
        keys.review_indexes(user, R),
    ]
    return [
        *(key.pk for key in single),
        *(value for found in indexes for name, value in found.items() if name.endswith("PK")),
        *keys.users("ACTIVE"),
        *keys.products("DRAFT"),
        *keys.orders("PAID"),
        *keys.orders_in("2026-11"),
        keys.categories(),
        keys.category_products("books", "ACTIVE"),
        keys.order_number("NO#1"),
        keys.orders_of(user)[0],
        keys.reviews_of(P)[0],
        keys.reviews_by(user)[0],
    ]


def test_every_partition_key_begins_with_the_tenant() -> None:
    assert all(pk.startswith("acme#") for pk in everything(KEYS))
    assert not set(everything(KEYS)) & set(everything(Keys("acme2", 4)))


def test_rows_stand_where_the_table_of_the_design_has_them() -> None:
    assert KEYS.user("u1") == ("acme#USER#u1", "PROFILE")
    assert KEYS.email(" A@Example.COM ") == ("acme#EMAIL#a@example.com", "UNIQUE")
    assert KEYS.username("Taro") == ("acme#USERNAME#taro", "UNIQUE")
    assert KEYS.category("books") == ("acme#CATEGORY#books", "METADATA")
    assert KEYS.product(P) == (f"acme#PRODUCT#{P}", "METADATA")
    assert KEYS.order("u1", R) == ("acme#USER#u1", f"ORDER#{R}")
    assert KEYS.review(P, R) == (f"acme#PRODUCT#{P}", f"REVIEW#{R}")
    assert KEYS.reviewed("u1", P) == ("acme#USER#u1", f"REVIEWED#{P}")
    assert KEYS.purchased("u1", P) == ("acme#USER#u1", f"PURCHASED#{P}")


def test_indexes_are_those_of_the_table_of_the_design() -> None:
    one = Keys("acme", 1)
    assert one.user_indexes("u#1", "ACTIVE", CREATED) == {
        "GSI2PK": "acme#USERS#ACTIVE#0",
        "GSI2SK": f"{CREATED}#u%231",
    }
    assert one.category_indexes("books", "Books") == {
        "GSI1PK": "acme#CATEGORIES",
        "GSI1SK": "books\x1f#books",
    }
    assert one.product_indexes(P, "books", "DRAFT", CREATED, 120_000) == {
        "GSI1PK": "acme#CATEGORY#books#DRAFT",
        "GSI1SK": f"{CREATED}#{P}",
        "GSI2PK": "acme#PRODUCTS#DRAFT#0",
        "GSI2SK": f"{CREATED}#{P}",
        "GSI3PK": "acme#CATEGORY#books#DRAFT",
        "GSI3SK": f"PRICE#0000000000120000#{P}",
    }
    assert one.order_indexes(R, "NO-1", "PAID", CREATED) == {
        "GSI1PK": "acme#ORDERNO#NO-1",
        "GSI1SK": "ORDER",
        "GSI2PK": "acme#ORDERS#PAID#0",
        "GSI2SK": f"{CREATED}#{R}",
        "GSI3PK": "acme#ORDERS#2026-11#0",
        "GSI3SK": f"{CREATED}#{R}",
    }
    assert one.review_indexes("u#1", R) == {"GSI2PK": "acme#USER#u%231", "GSI2SK": f"REVIEW#{R}"}


def test_a_product_without_a_category_is_in_no_list_of_a_category() -> None:
    assert set(KEYS.product_indexes(P, None, "ACTIVE", CREATED, 5)) == {"GSI2PK", "GSI2SK"}


def test_attributes_are_named_after_their_index() -> None:
    assert (partition_attribute(None), sort_attribute(None)) == ("PK", "SK")
    assert [partition_attribute(index) for index in (GSI1, GSI2, GSI3)] == [
        "GSI1PK",
        "GSI2PK",
        "GSI3PK",
    ]
    assert sort_attribute(GSI3) == "GSI3SK"


@given(subjects, subjects)
@example("#", "%23")
@example("a%23b", "a#b")
@example("%25", "%")
def test_two_users_never_share_a_key(one: str, other: str) -> None:
    assume(one != other)
    same_shard = Keys("acme", 1)
    assert KEYS.user(one) != KEYS.user(other)
    assert KEYS.order(one, R) != KEYS.order(other, R)
    assert KEYS.reviews_by(one) != KEYS.reviews_by(other)
    assert same_shard.user_indexes(one, "ACTIVE", CREATED) != same_shard.user_indexes(
        other, "ACTIVE", CREATED
    )


@given(subjects, subjects)
def test_rows_of_different_kinds_never_share_a_key(one: str, other: str) -> None:
    kinds: list[Callable[[str], Key]] = [
        KEYS.user,
        KEYS.email,
        KEYS.username,
        KEYS.category,
        KEYS.product,
        lambda text: KEYS.order(text, P),
        lambda text: KEYS.review(text, P),
        lambda text: KEYS.reviewed(text, P),
        lambda text: KEYS.purchased(text, P),
    ]
    made = [kind(one) for kind in kinds]
    assert len(set(made)) == len(made)
    for first, kind in zip(made, kinds, strict=True):
        assert first not in [each(other) for each in kinds if each is not kind]


@given(subjects)
def test_text_that_somebody_chose_adds_no_part_to_a_key(text: str) -> None:
    assert KEYS.user(text).pk.count("#") == 2
    assert KEYS.email(text).pk.count("#") == 2
    assert KEYS.username(text).pk.count("#") == 2
    assert KEYS.order_number(text).count("#") == 2
    assert KEYS.user_indexes(text, "ACTIVE", CREATED)["GSI2SK"].count("#") == 1


def test_one_address_or_name_has_one_key_however_it_is_written() -> None:
    spellings = ["Taro@Example.com", " taro@example.COM", "ＴＡＲＯ@example.com"]  # noqa: RUF001
    assert {fold_email(each) for each in spellings} == {"taro@example.com"}
    assert fold_email("x@BÜCHER.example") == fold_email("x@xn--bcher-kva.example")
    assert fold_email("no address") == "no address"
    assert fold_email("x@" + "ü" * 70) == "x@" + "ü" * 70  # too long a label for IDNA
    assert fold_username(" TARO ") == fold_username("taro")


@given(moments, moments)
def test_timestamps_are_of_one_width_and_in_order_of_time(one: datetime, other: datetime) -> None:
    assert len(timestamp(one)) == len(timestamp(other)) == len(CREATED)
    if timestamp(one) < timestamp(other):
        assert one < other
    if other - one >= timedelta(milliseconds=1):
        assert timestamp(one) < timestamp(other)


@given(moments)
def test_timestamps_are_what_the_standard_library_writes(moment: datetime) -> None:
    written = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    assert timestamp(moment) == written.removesuffix("+00:00") + "Z"


def test_timestamps_are_in_utc_with_milliseconds() -> None:
    tokyo = datetime(2026, 11, 1, 8, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=9)))
    assert timestamp(tokyo) == "2026-10-31T23:59:59.999Z"
    assert month(tokyo) == "2026-10"


prices = st.integers(0, 10**15)


@given(prices, prices)
def test_price_keys_are_in_order_of_price(one: int, other: int) -> None:
    assert (price_key(one) < price_key(other)) == (one < other)
    assert len(price_key(one)) == len(price_key(other))


def within(whole: SortRange, key: str) -> bool:
    return (whole.low is None or whole.low <= key) and (whole.high is None or key <= whole.high)


@given(st.none() | prices, st.none() | prices, prices)
def test_a_price_range_holds_both_its_ends(low: int | None, high: int | None, price: int) -> None:
    expected = (low is None or low <= price) and (high is None or price <= high)
    assert within(price_range(low, high), f"{price_key(price)}#{P}") == expected


@given(st.none() | moments, st.none() | moments, moments)
def test_a_range_of_time_holds_its_start_and_not_its_end(
    start: datetime | None, end: datetime | None, moment: datetime
) -> None:
    stored = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    expected = (start is None or start <= stored) and (end is None or stored < end)
    assert within(time_range(start, end), f"{timestamp(stored)}#{P}") == expected


@pytest.mark.parametrize(
    ("micros", "inside"),
    [(0, [0, 1]), (1, [1]), (999, [1]), (1_000, [1]), (1_001, [])],
)
def test_a_bound_finer_than_a_millisecond_is_exact(micros: int, inside: list[int]) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    rows = [f"{timestamp(noon + timedelta(milliseconds=n))}#{R}" for n in (0, 1)]
    bound = noon + timedelta(microseconds=micros)
    from_bound, to_bound = time_range(bound, None), time_range(None, bound)
    assert [n for n in (0, 1) if within(from_bound, rows[n])] == inside
    assert [n for n in (0, 1) if within(to_bound, rows[n])] == [
        n for n in (0, 1) if n not in inside
    ]


def test_the_first_and_the_last_moment_can_be_bounds() -> None:
    first = datetime.min.replace(tzinfo=UTC)
    last = datetime.max.replace(tzinfo=UTC)
    assert within(time_range(first, last), f"{CREATED}#{R}")


@given(moments, moments)
def test_a_range_of_time_never_crosses_its_ends(one: datetime, other: datetime) -> None:
    assert not time_range(min(one, other), max(one, other)).is_empty


def test_a_range_is_empty_when_its_ends_have_crossed() -> None:
    assert SortRange("b", "a").is_empty
    assert not SortRange("a", "a").is_empty
    assert not SortRange("b", None).is_empty
    assert not SortRange(None, "a").is_empty


def test_a_prefix_holds_what_begins_with_it_and_nothing_else() -> None:
    whole = SortRange.beginning_with("ORDER#")
    assert within(whole, f"ORDER#{R}")
    assert within(whole, "ORDER#ÿ太😀")
    assert not within(whole, f"ORDERS#{R}")
    assert not within(whole, "PROFILE")
    assert not within(whole, f"REVIEW#{R}")


@given(subjects)
@settings(max_examples=30)
def test_a_shard_depends_on_the_id_alone(user: str) -> None:
    earlier, later = (KEYS.user_indexes(user, "ACTIVE", at) for at in (CREATED, "2027"))
    assert earlier["GSI2PK"] == later["GSI2PK"]
    assert earlier["GSI2PK"] in KEYS.users("ACTIVE")


def test_shards_are_the_same_in_every_process_and_all_are_used() -> None:
    shards = [
        KEYS.user_indexes(f"user-{n}", "ACTIVE", CREATED)["GSI2PK"].rpartition("#")[2]
        for n in range(12)
    ]
    assert "".join(shards) == "202031310220"
    assert KEYS.users("ACTIVE") == tuple(f"acme#USERS#ACTIVE#{n}" for n in range(4))


def test_more_shards_keep_the_partitions_there_were() -> None:
    assert Keys("acme", 6).orders("PAID")[:4] == KEYS.orders("PAID")


def test_categories_stand_by_name_without_regard_to_case() -> None:
    names = ["apples", "Books", "books and more", "books!", "bookshelves", "Ｄesks"]  # noqa: RUF001
    made = [KEYS.category_indexes(f"c{9 - n}", name)["GSI1SK"] for n, name in enumerate(names)]
    assert made == sorted(made)


def test_the_longest_category_name_leaves_room_for_the_slug() -> None:
    found = KEYS.category_indexes("s" * 64, "ﷺ" * 200)["GSI1SK"]
    assert len(found.encode()) <= 1_024
    assert found.endswith("#" + "s" * 64)


@pytest.mark.parametrize(
    ("wanted", "entity"),
    [
        ([KEYS.user("a"), KEYS.user("b")], "User"),
        ([KEYS.product("p")], "Product"),
        ([KEYS.category("books"), KEYS.category("toys")], "Category"),
        ([KEYS.email("a@example.com"), KEYS.username("a")], "Unique"),
        ([KEYS.user("a"), KEYS.product("p")], None),
        ([KEYS.category("books"), KEYS.product("p")], None),
        ([KEYS.user("a"), KEYS.order("a", "o")], None),
        ([KEYS.review("p", "METADATA")], None),
        ([Key("of the system", "LEASE")], None),
    ],
)
def test_keys_tell_the_kind_of_rows_that_stand_alone(wanted: list[Key], entity: str | None) -> None:
    assert entity_of(wanted) == entity
